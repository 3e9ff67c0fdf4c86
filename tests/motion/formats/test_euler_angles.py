"""Rotation matrices in closed form are the products of matrices, to the last digit."""

from __future__ import annotations

from itertools import permutations

import pytest
import torch

from motionlab.motion.formats import euler_angles
from motionlab.motion.formats.euler_angles import euler_to_matrix, euler_to_matrix_plain
from motionlab.motion.rotations import axis_angle_to_matrix

ORDERS = ["".join(order) for order in permutations("XYZ")]


@pytest.mark.parametrize("axes", [*ORDERS, "", "X", "ZY", "ZXZ"])
def test_closed_form_is_the_product(axes: str, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    angles = (torch.rand(37, 5, len(axes), generator=generator, dtype=torch.float64) - 0.5) * 800
    angles[0] = 90.0
    plain = euler_to_matrix_plain(angles, axes)
    assert torch.equal(euler_to_matrix(angles, axes), plain)
    monkeypatch.setattr(euler_angles, "BLOCK", 30)  # two frames at a time
    out = torch.full((37, 5, 3, 3), torch.nan, dtype=torch.float64)
    assert torch.equal(euler_to_matrix(angles, axes, out), plain) and torch.equal(out, plain)


def test_the_first_axis_is_outermost() -> None:
    angles = torch.tensor([[[10.0, 20.0, 30.0]]], dtype=torch.float64)
    x, y, z = (axis_angle_to_matrix(torch.eye(3, dtype=torch.float64)[i] * torch.pi / 180) for i in range(3))
    power = torch.linalg.matrix_power
    expected = power(z, 10) @ power(x, 20) @ power(y, 30)
    torch.testing.assert_close(euler_to_matrix(angles, "ZXY")[0, 0], expected, rtol=0, atol=1e-12)
