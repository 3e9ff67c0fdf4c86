"""Every rotation and feature function at the hard places, in four precisions: right, or NaN for NaN."""

from __future__ import annotations

import math

import pytest
import torch

from motionlab.data.composed.samples import load_samples
from motionlab.motion import features as f
from motionlab.motion import rotations as r
from motionlab.motion.skeleton import canonical_skeleton, forward_kinematics
from motionlab.motion.transforms import mirror, place, resample

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
# Largest error of an entry of a matrix: half precision is rounded once for each notation on the way.
CLOSE = {torch.float16: 4e-3, torch.bfloat16: 4e-2, torch.float32: 2e-6, torch.float64: 1e-12}
HARD = [  # axis times angle
    (0.0, 0.0, 0.0),
    (1e-4, 0.0, 0.0),
    (0.0, 0.0, 1e-7),
    (math.pi, 0.0, 0.0),
    (0.0, -math.pi, 0.0),
    (math.pi / math.sqrt(2), -math.pi / math.sqrt(2), 0.0),
    (0.0, math.pi / 2, 0.0),  # gimbal lock
    (0.3, -1.2, 0.5),
]
eye = torch.eye(3, dtype=torch.float64)


def is_rotation(matrix: torch.Tensor, close: float) -> None:
    wide = matrix.double()
    torch.testing.assert_close(wide @ wide.mT, eye.expand_as(wide), rtol=0, atol=close)
    torch.testing.assert_close(torch.linalg.det(wide), torch.ones(wide.shape[:-2]).double(), rtol=0, atol=2 * close)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_notation_at_the_hard_angles(dtype: torch.dtype) -> None:
    turns = torch.tensor(HARD, dtype=torch.float64)
    true = r.axis_angle_to_matrix(turns)
    matrix, close = r.axis_angle_to_matrix(turns.to(dtype)), CLOSE[dtype]
    assert matrix.dtype == dtype
    is_rotation(matrix, close)
    torch.testing.assert_close(matrix.double(), true, rtol=0, atol=close)
    for there, back in (
        (r.matrix_to_6d, r.matrix_from_6d),
        (r.matrix_to_quaternion, r.quaternion_to_matrix),
        (r.matrix_to_axis_angle, r.axis_angle_to_matrix),
    ):
        again = back(there(matrix))
        assert again.dtype == dtype
        torch.testing.assert_close(again.double(), true, rtol=0, atol=4 * close)
    angles = torch.deg2rad(r.matrix_to_euler(matrix).double())
    assert angles.isfinite().all()
    z, y, x = (torch.diag_embed(angles)[:, :, i] for i in range(3))
    about = [r.axis_angle_to_matrix(part.flip(-1)) for part in (z, y, x)]  # (Z, Y, X) lie on the axes z, y, x
    torch.testing.assert_close(about[0] @ about[1] @ about[2], true, rtol=0, atol=max(4 * close, 1e-5) ** (2 / 3))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("t", [0.0, 0.25, 1.0])
def test_slerp_at_the_hard_places(dtype: torch.dtype, t: float) -> None:
    start = r.axis_angle_to_quaternion(torch.tensor(HARD, dtype=torch.float64))
    for end in (start, -start, r.axis_angle_to_quaternion(torch.tensor([[0.5, 0.0, 0.0]]).double()).expand_as(start)):
        true = r.quaternion_to_matrix(r.slerp(start, end, t))
        found = r.slerp(start.to(dtype), end.to(dtype), t)
        assert found.dtype == dtype
        torch.testing.assert_close(r.quaternion_to_matrix(found).double(), true, rtol=0, atol=4 * CLOSE[dtype])


DEGENERATE = [
    [0.0] * 6,
    [1.0, 2, 3, 0, 0, 0],
    [0.0, 0, 0, 1, 0, 0],
    [1.0, 2, 3, 1, 2, 3],
    [1.0, 2, 3, -3, -6, -9],
    [0.1, 0.7, -0.3, 0.3, 2.1, -0.9],  # parallel but for rounding
    [1.0, 0, 0, 1, 1e-3, 0],
    [0.3, 0.3, 0.3, 0.3, 0.3, 0.3001],
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [1.0, 1e-4, 1e-30, 1e4, 1e30])
def test_6d_is_always_a_rotation(dtype: torch.dtype, scale: float) -> None:
    values = (torch.tensor(DEGENERATE, dtype=torch.float64) * scale).to(dtype).nan_to_num(posinf=0, neginf=0)
    values.requires_grad_(True)
    matrix = r.matrix_from_6d(values)
    is_rotation(matrix.detach(), {**CLOSE, torch.float32: 1e-6, torch.float64: 1e-9}[dtype])
    matrix.sum().backward()
    assert values.grad is not None and not values.grad.isnan().any()
    if dtype not in (torch.float16, torch.bfloat16) and scale > 1e-20:  # else 1 / scale leaves the dtype
        assert values.grad.isfinite().all()


def test_the_first_row_of_6d_keeps_its_direction_when_the_second_says_nothing() -> None:
    matrix = r.matrix_from_6d(torch.tensor([0.0, 3.0, 4.0, 0.0, 6.0, 8.0]))
    torch.testing.assert_close(matrix[0], torch.tensor([0.0, 0.6, 0.8]))
    assert torch.equal(r.matrix_from_6d(torch.zeros(6)), torch.eye(3))


@pytest.mark.parametrize("dtype", DTYPES)
def test_nan_gives_nan_and_no_rotation(dtype: torch.dtype) -> None:
    nan = float("nan")
    for function, size in (
        (r.matrix_from_6d, (6,)),
        (r.axis_angle_to_matrix, (3,)),
        (r.axis_angle_to_quaternion, (3,)),
        (r.quaternion_to_axis_angle, (4,)),
        (r.quaternion_to_matrix, (4,)),
        (r.matrix_to_quaternion, (3, 3)),
        (r.matrix_to_axis_angle, (3, 3)),
        (r.matrix_to_euler, (3, 3)),
        (r.yaw_matrix, ()),
    ):
        value = torch.full(size, nan, dtype=dtype)
        assert function(value).isnan().any(), function.__name__
    assert all(part.isnan() for part in r.heading_vector(torch.full((3, 3), nan, dtype=dtype)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("length", [1.0, 1e-4, 1e-7])
def test_the_heading_of_a_nearly_vertical_pelvis_has_length_one(dtype: torch.dtype, length: float) -> None:
    turn = torch.zeros(3, 3, dtype=dtype)
    turn[0, 2], turn[2, 2] = 0.6 * length, 0.8 * length
    cosine, sine = r.heading_vector(turn)
    close = 0.2 if length < 1e-6 and dtype == torch.float16 else CLOSE[dtype]  # what float16 rounds 6e-8 to
    true = torch.tensor([0.8, 0.6], dtype=torch.float64)
    torch.testing.assert_close(torch.stack((cosine, sine)).double(), true, rtol=0, atol=close)


@pytest.mark.parametrize("dtype", DTYPES)
def test_features_of_a_clip(dtype: torch.dtype) -> None:
    """Half precision loses the digits of the input, and none on the way."""
    motion = max((sample.motion for sample in load_samples()), key=len)
    given = motion.features.to(dtype)
    exact = given.double()
    share = 2 * torch.finfo(dtype).eps
    for function in (
        f.decode_positions,
        f.decode_heading,
        lambda x: f.decode_rotations(x)[0],
        lambda x: f.decode_rotations(x)[1],
        lambda x: resample(x, 0.7),
        mirror,
        lambda x: place(x, (1.0, 2.0), 0.5),
        lambda x: f.crop(x, 3, 20),
    ):
        found = function(given)
        assert found.dtype == dtype
        torch.testing.assert_close(found.double(), function(exact), rtol=share, atol=max(share, 2e-4))
    rotations, root = (part.to(dtype) for part in f.decode_rotations(exact))
    joints = forward_kinematics(rotations, root, canonical_skeleton(dtype).offsets)
    assert joints.dtype == dtype
    wide = forward_kinematics(rotations.double(), root.double(), canonical_skeleton(torch.float64).offsets)
    torch.testing.assert_close(joints.double(), wide, rtol=share, atol=max(share, 1e-5))
    encoded = f.encode(joints, rotations)
    torch.testing.assert_close(
        encoded.double(), f.encode(joints.double(), rotations.double()), rtol=share, atol=max(share, 1e-5)
    )
