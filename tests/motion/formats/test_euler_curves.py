"""The same rotations, as curves that another program can interpolate."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from motionlab.data.composed.samples import load_samples
from motionlab.motion.formats.euler_curves import ORDERS, euler_curves
from motionlab.motion.rotations import matrix_to_euler, yaw_matrix


def matrix_of(angles: torch.Tensor, order: str = "ZYX") -> torch.Tensor:
    """The product of three turns in degrees, in the order of the letters, `[..., 3] -> [..., 3, 3]`, written out."""
    result = torch.eye(3, dtype=angles.dtype)
    for axis, angle in zip(order, torch.deg2rad(angles).unbind(-1), strict=True):
        zero, one, c, s = torch.zeros_like(angle), torch.ones_like(angle), angle.cos(), angle.sin()
        rows = {
            "X": ((one, zero, zero), (zero, c, -s), (zero, s, c)),
            "Y": ((c, zero, s), (zero, one, zero), (-s, zero, c)),
            "Z": ((c, -s, zero), (s, c, zero), (zero, zero, one)),
        }[axis]
        result = result @ torch.stack([torch.stack(row, -1) for row in rows], -2)
    return result


def largest_jump(angles: torch.Tensor) -> float:
    return float((angles[1:] - angles[:-1]).abs().max())


@pytest.mark.parametrize(
    # clips whose plain angles jump, which this module is for
    ("order", "jumping"),
    [("XYZ", 12), ("XZY", 24), ("YXZ", 17), ("YZX", 16), ("ZXY", 17), ("ZYX", 13)],
)
def test_every_bundled_clip_keeps_its_rotations_and_jumps_nowhere(order: str, jumping: int) -> None:
    jumped = 0
    for sample in load_samples():
        rotations = sample.motion.to(dtype=torch.float64).rotations()
        angles = euler_curves(rotations, order)
        assert largest_jump(angles) <= 180, sample.name
        assert (matrix_of(angles, order) - rotations).abs().max() < 1e-6, sample.name
        plain = matrix_to_euler(rotations, order)
        torch.testing.assert_close(angles[0], plain[0])
        jumped += largest_jump(plain) > 180
    assert jumped == jumping


def test_a_joint_that_keeps_turning_goes_on_counting() -> None:
    turn = torch.linspace(0, 1080, 100, dtype=torch.float64)  # three turns about Y, the axis that Z and X flip at
    angles = euler_curves(yaw_matrix(torch.deg2rad(turn))[:, None])[:, 0]  # [100, 3]
    torch.testing.assert_close(angles[:, 1], turn)
    assert angles[:, [0, 2]].abs().max() < 1e-9  # the second solution flips neither


@pytest.mark.parametrize("order", ORDERS)
def test_gimbal_lock_keeps_the_last_angle_where_it_was(order: str) -> None:
    """The middle angle goes through 90 degrees while the last is 40: plain angles set that to 0 there."""
    wanted = torch.tensor([[10.0, middle, 40.0] for middle in (70, 80, 90, 100, 90, 80)], dtype=torch.float64)
    for sign in (1.0, -1.0):
        path = wanted * torch.tensor([1.0, sign, 1.0], dtype=torch.float64)
        angles = euler_curves(matrix_of(path, order)[:, None], order)[:, 0]
        torch.testing.assert_close(angles, path, atol=1e-6, rtol=0)


@settings(max_examples=60, deadline=None)
@given(
    order=st.sampled_from(ORDERS),
    frames=st.lists(
        st.tuples(*[st.floats(-720, 720) | st.sampled_from([-90.0, 90.0, 180.0])] * 3), min_size=1, max_size=8
    ),
)
def test_any_angles_in_any_order(order: str, frames: list[tuple[float, float, float]]) -> None:
    rotations = matrix_of(torch.tensor(frames, dtype=torch.float64), order)[:, None]
    angles = euler_curves(rotations, order)
    torch.testing.assert_close(matrix_of(angles, order), rotations, atol=1e-5, rtol=0)
    assert len(frames) == 1 or largest_jump(angles) <= 180 + 1e-9
    assert float(angles[0].abs().max()) <= 180 + 1e-9
