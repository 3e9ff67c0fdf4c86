"""Rotation notations: round trips, the hard angles, gradients."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from motionlab.motion import rotations as r

IDENTITY = torch.eye(3, dtype=torch.float64)
number = st.floats(-1, 1, allow_nan=False, width=32)
vectors = st.tuples(number, number, number).filter(lambda v: sum(x * x for x in v) > 1e-4)
few = settings(max_examples=40, deadline=None)


def about(axis: tuple[float, float, float], angle: float) -> torch.Tensor:
    vector = torch.tensor(axis, dtype=torch.float64)
    return r.axis_angle_to_matrix(vector / vector.norm() * angle)


def from_euler_zyx(degrees: torch.Tensor) -> torch.Tensor:
    """Rz Ry Rx of the angles (Z, Y, X)."""
    z, y, x = torch.deg2rad(degrees).tolist()
    return about((0, 0, 1), z) @ about((0, 1, 0), y) @ about((1, 0, 0), x)


@few
@given(
    axis=vectors, angle=st.one_of(st.floats(0, math.pi), st.sampled_from([0.0, 1e-9, 1e-5, math.pi - 1e-7, math.pi]))
)
def test_every_notation_gives_the_matrix_back(axis, angle):
    matrix = about(axis, angle)
    torch.testing.assert_close(matrix @ matrix.mT, IDENTITY, atol=1e-12, rtol=0)
    assert torch.linalg.det(matrix).item() == pytest.approx(1)
    assert (torch.diagonal(matrix).sum().item() - 1) / 2 == pytest.approx(math.cos(angle), abs=1e-9)
    for there, back in (
        (r.matrix_to_6d, r.matrix_from_6d),
        (r.matrix_to_quaternion, r.quaternion_to_matrix),
        (r.matrix_to_axis_angle, r.axis_angle_to_matrix),
        (r.matrix_to_euler, from_euler_zyx),
    ):
        torch.testing.assert_close(back(there(matrix)), matrix, atol=2e-8, rtol=0)


@pytest.mark.parametrize("axis", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, -1, 0), (1, 1, -1), (-0.3, 0.5, 0.2)])
def test_half_turns_about_mixed_sign_axes_keep_their_axis(axis):
    """The copysign recipe turns the axis (1, -1, 0) into (1, 1, 0) here."""
    matrix = about(axis, math.pi)
    torch.testing.assert_close(r.quaternion_to_matrix(r.matrix_to_quaternion(matrix)), matrix, atol=1e-12, rtol=0)


def test_6d_is_the_first_two_rows_and_gram_schmidt_repairs_noise():
    matrix = about((1, 2, 3), 1.0)
    assert torch.equal(r.matrix_to_6d(matrix), torch.cat((matrix[0], matrix[1])))
    noisy = r.matrix_to_6d(matrix) * 3 + 0.1
    repaired = r.matrix_from_6d(noisy)
    torch.testing.assert_close(repaired @ repaired.mT, IDENTITY, atol=1e-12, rtol=0)
    torch.testing.assert_close(repaired[0], noisy[:3] / noisy[:3].norm())


def test_yaw_and_heading():
    angle = torch.linspace(-3.1, 3.1, 9, dtype=torch.float64)
    cosine, sine = r.heading_vector(r.yaw_matrix(angle))
    torch.testing.assert_close(torch.atan2(sine, cosine), angle)
    # A quarter turn to the left takes forward (+z) to the left (+x).
    left = r.yaw_matrix(torch.tensor(math.pi / 2)) @ torch.tensor([0.0, 0.0, 1.0])
    torch.testing.assert_close(left, torch.tensor([1.0, 0.0, 0.0]), atol=1e-6, rtol=0)


def test_heading_of_a_vertical_pelvis_is_zero_and_differentiable():
    up = torch.tensor([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]], requires_grad=True)  # z axis points up, exactly
    cosine, sine = r.heading_vector(up)
    (cosine + sine).backward()
    assert (cosine.item(), sine.item()) == (1, 0)
    assert up.grad is not None and torch.isfinite(up.grad).all()


@few
@given(axis=vectors, angle=st.floats(0.01, 3.0), t=st.floats(0, 1))
def test_slerp_turns_at_constant_speed(axis, angle, t):
    start = r.matrix_to_quaternion(about((0.2, -1, 0.4), 0.7))
    turn = about(axis, angle)
    end = r.matrix_to_quaternion(r.quaternion_to_matrix(start) @ turn)
    middle = r.quaternion_to_matrix(r.slerp(start, end, t))
    expected = r.quaternion_to_matrix(start) @ about(axis, angle * t)
    torch.testing.assert_close(middle, expected, atol=1e-5, rtol=0)
    # q and -q are the same rotation, so the path must be the same too.
    torch.testing.assert_close(r.quaternion_to_matrix(r.slerp(start, -end, t)), middle, atol=1e-9, rtol=0)


def test_euler_order_and_gimbal_lock():
    angles = torch.tensor([20.0, 30.0, 40.0], dtype=torch.float64)
    torch.testing.assert_close(r.matrix_to_euler(from_euler_zyx(angles)), angles)
    locked = from_euler_zyx(torch.tensor([25.0, 90.0, 10.0], dtype=torch.float64))
    angles = r.matrix_to_euler(locked)
    assert angles[2] == 0
    torch.testing.assert_close(from_euler_zyx(angles), locked, atol=1e-9, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("axis_angle", [(0.0, 0.0, 0.0), (math.pi, 0.0, 0.0), (0.0, math.pi, 0.0), (1e-20, 0.0, 0.0)])
def test_gradients_are_finite_at_the_identity_and_at_half_turns(axis_angle, dtype):
    value = torch.tensor(axis_angle, dtype=dtype, requires_grad=True)
    matrix = r.axis_angle_to_matrix(value)
    outputs = (
        matrix,
        r.matrix_to_quaternion(matrix),
        r.matrix_to_axis_angle(matrix),
        r.matrix_from_6d(r.matrix_to_6d(matrix)),
        torch.stack(r.heading_vector(matrix)),
        r.slerp(r.matrix_to_quaternion(matrix), r.matrix_to_quaternion(matrix.detach()), 0.3),
    )
    for output in outputs:
        assert output.dtype == dtype
        (gradient,) = torch.autograd.grad(output.sum(), value, retain_graph=True)
        assert torch.isfinite(gradient).all()


def test_zero_6d_has_finite_values_and_gradients():
    """A network can output zeros in its first step."""
    values = torch.zeros(6, requires_grad=True)
    matrix = r.matrix_from_6d(values)
    matrix.sum().backward()
    assert torch.isfinite(matrix).all()
    assert values.grad is not None and torch.isfinite(values.grad).all()
