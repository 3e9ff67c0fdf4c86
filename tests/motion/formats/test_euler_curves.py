"""The same rotations, as curves that another program can interpolate."""

from __future__ import annotations

import torch

from motionlab.data.composed.samples import load_samples
from motionlab.motion.formats.euler_curves import euler_curves
from motionlab.motion.rotations import matrix_to_euler, yaw_matrix


def matrix_of(angles: torch.Tensor) -> torch.Tensor:
    """Rz Ry Rx of angles (Z, Y, X) in degrees, `[..., 3] -> [..., 3, 3]`, written out."""
    (cz, cy, cx), (sz, sy, sx) = (f(torch.deg2rad(angles)).unbind(-1) for f in (torch.cos, torch.sin))
    rows = (
        torch.stack((cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx), -1),
        torch.stack((sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx), -1),
        torch.stack((-sy, cy * sx, cy * cx), -1),
    )
    return torch.stack(rows, -2)


def largest_jump(angles: torch.Tensor) -> float:
    return float((angles[1:] - angles[:-1]).abs().max())


def test_every_bundled_clip_keeps_its_rotations_and_jumps_nowhere() -> None:
    jumped = 0
    for sample in load_samples():
        rotations = sample.motion.to(dtype=torch.float64).rotations()
        angles = euler_curves(rotations)
        assert largest_jump(angles) <= 180, sample.name
        assert (matrix_of(angles) - rotations).abs().max() < 1e-6, sample.name
        plain = matrix_to_euler(rotations)
        torch.testing.assert_close(angles[0], plain[0])
        jumped += largest_jump(plain) > 180
    assert jumped == 13  # clips that this module is for


def test_a_joint_that_keeps_turning_goes_on_counting() -> None:
    turn = torch.linspace(0, 1080, 100, dtype=torch.float64)  # three turns about Y, the axis that Z and X flip at
    angles = euler_curves(yaw_matrix(torch.deg2rad(turn))[:, None])[:, 0]  # [100, 3]
    torch.testing.assert_close(angles[:, 1], turn)
    assert angles[:, [0, 2]].abs().max() < 1e-9  # the second solution flips neither


def test_gimbal_lock_keeps_x_where_it_was() -> None:
    """Y goes through 90 degrees while X is 40: the plain angles set X to 0 there."""
    wanted = torch.tensor([[10.0, y, 40.0] for y in (70, 80, 90, 100, 90, 80)], dtype=torch.float64)
    for sign in (1.0, -1.0):
        path = wanted * torch.tensor([1.0, sign, 1.0], dtype=torch.float64)
        angles = euler_curves(matrix_of(path)[:, None])[:, 0]
        torch.testing.assert_close(angles, path, atol=1e-6, rtol=0)
