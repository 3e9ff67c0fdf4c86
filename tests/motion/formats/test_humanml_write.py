"""The 263 numbers, against a decoder that was written from the published definition and not from the encoder."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from motionlab.data.composed.samples import load_samples
from motionlab.errors import InputError
from motionlab.motion.formats.facing import facing, smooth
from motionlab.motion.formats.humanml_write import CHAINS, REST_BONES, encode_263, least_turn
from motionlab.motion.formats.write import write_motion
from motionlab.motion.rotations import yaw_matrix
from motionlab.motion.skeleton import canonical_skeleton, forward_kinematics

MOTIONS = {sample.name: sample.motion.resample(fps=20) for sample in load_samples()}


def turned_by_half_angle(half: Tensor, vectors: Tensor) -> Tensor:
    """`[T], [T, n, 3]`: vectors turned by minus the quaternion (cos, 0, sin, 0), by quaternion products."""
    w, y = half.cos()[:, None], -half.sin()[:, None]
    x, up, z = vectors.unbind(-1)
    # q v q* for q = (w, 0, y, 0)
    return torch.stack(
        ((w * w - y * y) * x + 2 * w * y * z, up * (w * w + y * y), (w * w - y * y) * z - 2 * w * y * x), dim=-1
    )


def from_positions(data: Tensor) -> Tensor:
    """`[T, 263] -> [T, 22, 3]`."""
    half = torch.cat((data.new_zeros(1), data[:-1, 0])).cumsum(0)
    step = torch.zeros(len(data), 1, 3, dtype=data.dtype)
    step[1:, 0, 0], step[1:, 0, 2] = data[:-1, 1], data[:-1, 2]
    root = turned_by_half_angle(half, step).cumsum(0)  # [T, 1, 3]
    joints = turned_by_half_angle(half, data[:, 4:67].reshape(-1, 21, 3)) + root
    root[:, 0, 1] = data[:, 3]
    return torch.cat((root, joints), dim=1)


def from_rotations(data: Tensor, lengths: Tensor) -> Tensor:
    """Forward kinematics along the five chains, with the bone lengths `[22]`; `[T, 22, 3]`."""
    half = torch.cat((data.new_zeros(1), data[:-1, 0])).cumsum(0)
    root_turn = yaw_matrix(2 * half)
    columns = data[:, 67:193].reshape(-1, 21, 2, 3)
    first = columns[:, :, 0]
    second = columns[:, :, 1]
    matrices = torch.stack((first, second, torch.linalg.cross(first, second)), dim=-1)  # columns
    joints = torch.zeros(len(data), 22, 3, dtype=data.dtype)
    joints[:, 0] = from_positions(data)[:, 0]
    for chain in CHAINS:
        turn = root_turn
        for start, end in zip(chain[:-1], chain[1:], strict=True):
            turn = turn @ matrices[:, end - 1]
            bone = data.new_tensor(REST_BONES[end]) * lengths[end]
            joints[:, end] = joints[:, start] + turn @ bone
    return joints


def faced(joints: Tensor) -> Tensor:
    """On the floor, above the origin, the first frame facing +z by hips and shoulders."""
    joints = joints.double()
    joints = joints - torch.stack((joints[0, 0, 0], joints[..., 1].min(), joints[0, 0, 2]))
    first = joints[0]
    across = first[1] - first[2] + first[16] - first[17]
    return joints @ yaw_matrix(-torch.atan2(-across[2], across[0])).mT


@pytest.mark.parametrize("name", list(MOTIONS))
def test_an_independent_decoder_finds_the_joints(name: str) -> None:
    joints = MOTIONS[name].joints("rotations")  # bones that keep their length
    data = encode_263(joints)
    assert data.shape == (len(joints) - 1, 263) and bool(torch.isfinite(data).all())
    wanted = faced(joints)[:-1]
    assert float((from_positions(data) - wanted).abs().max()) < 1e-9
    lengths = canonical_skeleton(torch.float64).offsets.norm(dim=-1)
    assert float((from_rotations(data, lengths) - wanted).abs().max()) < 2e-6  # float32


def test_velocities_and_contacts() -> None:
    joints = faced(MOTIONS["walk"].joints())
    data = encode_263(joints)
    step = joints[1:] - joints[:-1]
    torch.testing.assert_close(data[:, 193:259].reshape(-1, 22, 3).norm(dim=-1), step.norm(dim=-1))
    torch.testing.assert_close(data[0, 193:259].reshape(22, 3), step[0])  # the first frame faces +z
    for column, joint in enumerate((7, 10, 8, 11)):
        still = step[:, joint].square().sum(-1) < 0.002
        assert data[:, 259 + column].bool().tolist() == still.tolist() and 0 < int(still.sum()) < len(still)


def test_the_rest_pose_has_hanging_arms() -> None:
    rest = torch.zeros(22, 3)
    for chain in CHAINS:
        for start, end in zip(chain[:-1], chain[1:], strict=True):
            rest[end] = rest[start] + 0.1 * torch.tensor(REST_BONES[end])
    data = encode_263(rest.expand(3, 22, 3))
    turns = data[:, 67:193].reshape(2, 21, 6)
    torch.testing.assert_close(turns, torch.tensor([1.0, 0, 0, 0, 1, 0], dtype=torch.float64).expand(2, 21, 6))
    assert rest[20, 1] < rest[16, 1] and rest[20, 0] == rest[16, 0]


def test_a_body_that_turns_through_180_degrees() -> None:
    """The original takes the sign of a half turn from a quaternion that flips there; the angle continues here."""
    heading = torch.linspace(0, 4 * torch.pi, 200, dtype=torch.float64)
    rotations = torch.eye(3, dtype=torch.float64).repeat(200, 22, 1, 1)
    rotations[:, 0] = yaw_matrix(heading)
    pelvis = torch.tensor([0.0, 0.9, 0.0], dtype=torch.float64).expand(200, 3)
    joints = forward_kinematics(rotations, pelvis, canonical_skeleton(torch.float64).offsets)
    data = encode_263(joints)
    torch.testing.assert_close(data[85:115, 0], torch.full((30,), -2 * torch.pi / 199, dtype=torch.float64))
    assert float((from_positions(data) - faced(joints)[:-1]).abs().max()) < 1e-9


def test_opposite_directions_take_half_a_turn() -> None:
    start = torch.eye(3, dtype=torch.float64)
    turn = least_turn(start, -start)
    torch.testing.assert_close((turn @ start[..., None])[..., 0], -start)
    torch.testing.assert_close(torch.linalg.det(turn), torch.ones(3, dtype=torch.float64))


def test_a_body_on_its_side_faces_somewhere() -> None:
    across = torch.tensor([[0.0, 1.0, 0.0]]).expand(5, 3)
    assert facing(across).tolist() == [[0.0, 0.0, 1.0]] * 5
    torch.testing.assert_close(smooth(torch.ones(3, 2), 20.0), torch.ones(3, 2))


def test_the_file_has_20_frames_a_second(tmp_path) -> None:
    motion = load_samples()[0].motion
    write_motion(tmp_path / "walk.npy", motion, to="263")
    values = np.load(tmp_path / "walk.npy", allow_pickle=False)
    assert values.dtype == np.float32 and values.shape == (len(motion.resample(fps=20)) - 1, 263)


def test_one_frame_has_no_step() -> None:
    with pytest.raises(InputError, match="expected at least two"):
        encode_263(torch.zeros(1, 22, 3))
