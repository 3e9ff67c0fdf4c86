"""Mirror, resample, place."""

import math

import pytest
import torch

from motionlab.errors import InputError
from motionlab.motion import features as f
from motionlab.motion import transforms
from motionlab.motion.rotations import axis_angle_to_matrix, yaw_matrix
from motionlab.motion.skeleton import MIRROR, canonical_skeleton, forward_kinematics

OFFSETS = canonical_skeleton(torch.float64).offsets
REFLECT = torch.diag(torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64))


def smooth_motion(frames: int = 41, rate: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    """A waving walk along a curve; `rate` is frames of a 30 fps clip for one frame."""
    time = torch.arange(frames, dtype=torch.float64)[:, None, None] * rate / 30
    phase = torch.linspace(0, 6, 22 * 3, dtype=torch.float64).view(22, 3)
    angles = 0.5 * torch.sin(3 * time + phase)  # [T, 22, 3]
    rotations = axis_angle_to_matrix(angles)
    rotations[:, 0] = yaw_matrix(time[:, 0, 0]) @ rotations[:, 0]
    root = torch.cat((time[:, 0].sin(), 0.9 + 0.05 * (4 * time[:, 0]).cos(), time[:, 0]), -1)
    return forward_kinematics(rotations, root, OFFSETS), rotations


def test_mirroring_features_equals_encoding_the_mirrored_body():
    joints, rotations = smooth_motion()
    mirrored_joints = joints[:, list(MIRROR)] @ REFLECT
    mirrored_rotations = REFLECT @ rotations[:, list(MIRROR)] @ REFLECT
    expected = f.encode(mirrored_joints, mirrored_rotations)
    torch.testing.assert_close(transforms.mirror(f.encode(joints, rotations)), expected, atol=1e-12, rtol=0)


def test_mirror_of_the_original_clip_matches_the_published_convention(golden):
    data = golden("motion272.npz")
    body = torch.from_numpy(data["smpl85_face_z"][:, :66]).double().reshape(-1, 22, 3)
    features = torch.from_numpy(data["features"])
    # Published: permute the joints, negate y and z of every axis-angle vector.
    mirrored = axis_angle_to_matrix(body[:, list(MIRROR)] * torch.tensor([1.0, -1.0, -1.0]))
    expected = f.encode(torch.from_numpy(data["joints"]).double(), mirrored)
    result = transforms.mirror(features)
    for part in (f.HEADING, f.ROTATIONS):
        torch.testing.assert_close(result[:, part], expected[:, part], atol=3e-7, rtol=0)


def test_resample_by_one_changes_nothing():
    values = f.encode(*smooth_motion())
    torch.testing.assert_close(transforms.resample(values, 1.0), values, atol=1e-9, rtol=0)


@pytest.mark.parametrize("step", [0.5, 0.8, 1.25, 2.0])
def test_resampled_motion_is_near_the_true_one(step):
    values = f.encode(*smooth_motion(), ground=False)
    result = transforms.resample(values, step)
    assert len(result) == math.floor(40 / step) + 1
    truth = f.encode(*smooth_motion(len(result), rate=step), ground=False)
    error = (f.decode_positions(result) - f.decode_positions(truth)).norm(dim=-1).max()
    assert error < 3e-3  # metres; the motion bends between frames
    assert (values[: len(truth), f.VELOCITIES] - truth[: len(values), f.VELOCITIES]).abs().max() > 3e-3


def test_resample_keeps_bone_lengths():
    values = f.encode(*smooth_motion())
    joints = f.decode_positions(transforms.resample(values, 0.8))
    lengths = (joints[:, 4] - joints[:, 1]).norm(dim=-1)
    torch.testing.assert_close(lengths, OFFSETS[4].norm().expand_as(lengths), atol=1e-9, rtol=0)


@pytest.mark.parametrize("step", [0.0, -1.0, math.inf, math.nan])
def test_resample_needs_a_positive_step(step):
    with pytest.raises(InputError, match="positive"):
        transforms.resample(torch.zeros(4, 272), step)


def test_resample_of_a_single_frame():
    values = f.encode(*smooth_motion(1))
    torch.testing.assert_close(transforms.resample(values, 0.7), values, atol=1e-9, rtol=0)


def test_place_moves_and_turns_the_decoded_motion():
    values = f.encode(*smooth_motion())
    placed = transforms.place(values, (2.0, -1.0), 0.6)
    start = f.decode_positions(values)
    turn = yaw_matrix(torch.tensor(0.6, dtype=torch.float64))
    torch.testing.assert_close(
        f.decode_positions(placed), start @ turn.mT + torch.tensor([2.0, 0.0, -1.0]), atol=1e-9, rtol=0
    )
    assert f.decode_heading(placed)[0].item() == pytest.approx(0.6)
    torch.testing.assert_close(f.crop(placed, 0, len(placed)), values)


def test_resample_and_mirror_keep_the_place():
    values = transforms.place(f.encode(*smooth_motion()), (2.0, -1.0), 0.6)
    again = transforms.resample(values, 0.5)
    torch.testing.assert_close(f.decode_positions(again)[::2], f.decode_positions(values), atol=1e-9, rtol=0)
    mirrored = f.decode_positions(transforms.mirror(values))
    torch.testing.assert_close(mirrored, f.decode_positions(values)[:, list(MIRROR)] @ REFLECT, atol=1e-9, rtol=0)
