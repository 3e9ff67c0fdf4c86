"""The motion encoder sees the same whatever the place, the heading and the form of a motion; and it sees sliding."""

from __future__ import annotations

import pytest
import torch

from motionlab.errors import InputError
from motionlab.evaluation.text_motion.inputs import SIZE, encoder_inputs, joints_of, padded
from motionlab.motion.motion import Motion
from motionlab.motion.rotations import yaw_matrix
from motionlab.motion.skeleton import JOINT_NAMES

VELOCITIES, TURN = slice(66, 132), 132


@pytest.fixture(scope="module")
def walk(splits) -> Motion:
    return splits.train[0].motion


def test_features_joints_and_motions_are_one(walk: Motion) -> None:
    expected = walk.joints()
    for form in (walk, walk.features, walk.joints(), walk.joints().numpy()):
        torch.testing.assert_close(joints_of(form), expected)


def test_place_and_heading_do_not_matter(walk: Motion) -> None:
    joints = walk.joints()[None]
    turned = joints @ yaw_matrix(torch.tensor(1.1)).mT + torch.tensor([3.0, 0.0, -2.0])
    torch.testing.assert_close(encoder_inputs(turned), encoder_inputs(joints), rtol=0, atol=1e-5)


def test_the_body_faces_forward(walk: Motion) -> None:
    places = encoder_inputs(walk.joints()[None])[0, :, :66].unflatten(-1, (22, 3))
    left, right = (places[:, JOINT_NAMES.index(f"{side}_hip")] for side in ("left", "right"))
    shoulders = places[:, JOINT_NAMES.index("left_shoulder")] - places[:, JOINT_NAMES.index("right_shoulder")]
    across = left - right + shoulders
    assert float(across[:, 0].min()) > 0  # left is +x
    torch.testing.assert_close(across[:, 2], torch.zeros(len(across)), rtol=0, atol=1e-5)


def test_a_joint_that_stands_has_no_velocity_and_one_that_slides_has(walk: Motion) -> None:
    still = walk.joints()[:1].expand(10, 22, 3)
    assert float(encoder_inputs(still[None])[..., VELOCITIES].abs().max()) == 0
    slide = torch.arange(10)[:, None, None] * torch.tensor([0.01, 0.0, 0.0])
    speeds = encoder_inputs((still + slide)[None])[0, :, VELOCITIES].unflatten(-1, (22, 3))
    torch.testing.assert_close(speeds.norm(dim=-1), torch.full((10, 22), 0.01), rtol=0, atol=1e-6)


def test_the_turn_is_that_of_the_body() -> None:
    pose = torch.zeros(22, 3)
    pose[JOINT_NAMES.index("left_hip"), 0] = 0.1
    turned = torch.stack([pose @ yaw_matrix(torch.tensor(0.05 * t)).mT for t in range(8)])  # to the left
    inputs = encoder_inputs(turned[None])[0]
    torch.testing.assert_close(inputs[:, TURN].abs(), torch.full((8,), 0.05), rtol=0, atol=1e-6)
    back = encoder_inputs(turned.flip(0)[None])[0]
    torch.testing.assert_close(back[:, TURN], -inputs[:, TURN], rtol=0, atol=1e-6)


def test_one_frame_and_a_body_without_a_heading_give_numbers() -> None:
    inputs = encoder_inputs(torch.zeros(1, 1, 22, 3))
    assert inputs.shape == (1, 1, SIZE) and bool(torch.isfinite(inputs).all())


def test_padding_repeats_the_last_frame() -> None:
    one, other = torch.randn(4, 22, 3), torch.randn(6, 22, 3)
    block, lengths = padded([one, other])
    assert lengths.tolist() == [4, 6] and torch.equal(block[1], other)
    assert torch.equal(block[0, :4], one) and bool((block[0, 4:] == one[-1]).all())


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (torch.zeros(4, 263), r"shape \(4, 263\)"),
        (torch.zeros(0, 22, 3), r"shape \(0, 22, 3\)"),
        (torch.zeros(4, 24, 3), r"joints \(T, 22, 3\)"),
        (torch.full((4, 22, 3), torch.nan), "NaN"),
        (torch.full((4, 272), torch.inf), "inf"),
    ],
)
def test_what_is_no_motion_is_refused_by_name(bad: torch.Tensor, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        joints_of(bad, "motion 7")
    assert caught.value.where == "motion 7"
