"""The judge learns what is easy to learn, on other clips; it does not mind another body, and does mind noise."""

import math
import re

import pytest
import torch

import motionlab as ml
from motionlab.data.store import Clip, MotionStore, Segment
from motionlab.errors import InputError
from motionlab.evaluation.actions import (
    IGNORE,
    NONE,
    STRIDE,
    WHOLE,
    ActionClassifier,
    frame_labels,
    movement,
    train_classifier,
)
from motionlab.evaluation.judge_accuracy import describe_accuracy, measure_judge
from motionlab.evaluation.motion_changes import hold_poses, spoil, vary
from motionlab.motion.features import POSITIONS, ROOT_VELOCITY, decode_positions
from motionlab.motion.motion import Motion
from motionlab.motion.transforms import place

SWINGING = {"arms": (16, 17, 18, 19, 20, 21), "legs": (1, 2, 4, 5, 7, 8)}  # joints


def store_of_two_actions(folder, seed, clips=8):
    """A body whose arms swing in one action, and whose legs do in the other; it stands 1 m high."""
    generator = torch.Generator().manual_seed(seed)
    made = []
    for k in range(clips):
        joints = torch.zeros(96, 22, 3)
        joints[:, :, 1] = 1 + 0.3 * torch.linspace(-1, 1, 22)
        joints = joints + 0.03 * torch.randn(1, 22, 3, generator=generator)  # another body
        swing = 0.4 * torch.sin(torch.arange(96) / 3 + 6 * torch.rand((), generator=generator))
        first, second = ("arms", "legs") if k % 2 else ("legs", "arms")
        for half, action in ((slice(0, 48), first), (slice(48, 96), second)):
            for joint in SWINGING[action]:
                joints[half, joint, 2] += swing[half]
        features = torch.zeros(96, 272)
        features[:, 2:8] = torch.tensor([1.0, 0, 0, 0, 1.0, 0])
        features[:, POSITIONS] = joints.flatten(1)
        segments = [Segment(first, first, 0, 48), Segment(second, second, 48, 96)]
        made.append(Clip(f"clip{seed}{k}", Motion(features), [f"{first} then {second}"], segments))
    return MotionStore.write(folder, made)


@pytest.fixture(scope="module")
def two_actions(tmp_path_factory):
    """A judge of two actions, and clips that it has not seen."""
    folder = tmp_path_factory.mktemp("two")
    train, held_out = store_of_two_actions(folder / "a", 0), store_of_two_actions(folder / "b", 1)
    return train_classifier(train, steps=80, batch_size=16), train, held_out


def test_the_judge_learns_and_its_accuracy_is_measured_on_other_clips(two_actions):
    judge, train, held_out = two_actions
    trained = measure_judge(judge, held_out)
    untrained = measure_judge(train_classifier(train, steps=0), held_out)
    assert trained.frame_accuracy > 0.9 and trained.order_score > 0.9 and trained.clips == 8
    assert untrained.frame_accuracy < 0.8
    assert trained.intervals["exact"][0] <= trained.exact <= trained.intervals["exact"][1]
    assert set(trained.confusion) == {"arms", "legs"}
    assert all(sum(row.values()) == pytest.approx(1) for row in trained.confusion.values())
    assert "of 8 takes that it never saw" in describe_accuracy(trained)


def test_noise_is_no_action(two_actions):
    judge, _, held_out = two_actions
    clip = held_out.features(0)
    noise = clip.clone()
    noise[:, POSITIONS] += 0.1 * torch.randn(len(clip), 66, generator=torch.Generator().manual_seed(0))
    assert len(judge.recognise(clip)) == 2
    assert judge.recognise(noise) == [] and set(judge.frames(noise)) == {NONE}


def test_the_same_seed_gives_the_same_judge(two_actions):
    judge, train, _ = two_actions
    again = train_classifier(train, steps=80, batch_size=16)
    assert all(a.equal(b) for a, b in zip(judge.state_dict().values(), again.state_dict().values(), strict=True))


def test_the_judge_does_not_see_where_the_body_is_and_faces(two_actions):
    clip = two_actions[2].features(0)
    elsewhere = place(clip, (3.0, -2.0), 1.0)
    assert torch.allclose(movement(clip[None]), movement(elsewhere[None]), atol=1e-5)


def test_a_motion_its_features_and_its_joints_are_judged_alike():
    judge, clip = ml.pretrained_run().judge.classifier, ml.load_samples()[0].motion
    names = judge.frames(clip.features)
    assert judge.frames(clip) == names and judge.frames(clip.features.numpy()) == names
    assert judge.frames(decode_positions(clip.features)) == names


@pytest.mark.parametrize(
    ("motion", "found"),
    [
        (torch.zeros(10, 21, 3), "(10, 21, 3)"),
        (torch.zeros(10, 263), "(10, 263)"),
        (torch.zeros(0, 22, 3), "(0, 22, 3)"),
        (torch.full((10, 272), math.nan), "nan in frame 0"),
        (torch.full((10, 22, 3), math.nan), "NaN"),
    ],
)
def test_what_the_judge_cannot_read_is_an_input_error(motion, found):
    with pytest.raises(InputError, match=re.escape(found)):
        ActionClassifier(["a", "b"]).recognise(motion)


@pytest.mark.parametrize("frames", [1, 2, 31, 60])
def test_every_frame_gets_a_name(frames):
    judge = ActionClassifier(["a", "b"])
    features = torch.randn(frames, 272, generator=torch.Generator().manual_seed(2))
    assert judge(features[None]).shape == (1, frames, 3) and len(judge.frames(features)) == frames
    assert movement(features[None]).shape[-1] == -(-frames // STRIDE)


def test_movement_over_some_frames_is_a_difference_around_each():
    features = torch.zeros(1, 60, 272)
    features[..., 2] = 1.0
    features[..., ROOT_VELOCITY.start + 1] = 0.02  # 2 cm forwards in each frame
    channels = movement(features)[0]  # [C, N]
    whole = channels[-WHOLE:]  # height, sideways, forwards, turn over each span, then two speeds
    forwards = whole[2, 10], whole[4 + 2, 10], whole[8 + 2, 10]
    assert torch.stack(forwards).tolist() == pytest.approx([0.08, 0.32, 0.72], abs=1e-5)


def test_another_body_is_a_mild_change_and_spoiled_motion_is_not():
    generator = torch.Generator().manual_seed(3)
    clip = torch.zeros(6, 60, 272)
    clip[..., 2] = 1.0
    clip[..., POSITIONS] = torch.randn(6, 1, 66, generator=generator) + 0.3 * torch.sin(torch.arange(60) / 5)[:, None]
    clip[..., ROOT_VELOCITY] = 0.03

    def jerk(features):
        return features[..., POSITIONS].diff(n=3, dim=1).norm(dim=-1).mean(1) + features[..., ROOT_VELOCITY].abs().mean(
            (1, 2)
        )

    before = jerk(clip)
    varied, spoiled = vary(clip.clone(), generator), spoil(clip.clone(), generator)
    assert not varied.equal(clip)
    assert (jerk(spoiled) > 1.5 * before).all()
    assert (jerk(spoiled).mean() - before.mean()) > 2 * (jerk(varied).mean() - before.mean())
    assert hold_poses(clip[0], 1).equal(clip[0])


def test_frames_outside_segments_are_ignored(tmp_path):
    features = torch.zeros(20, 272)
    clip = Clip("x", Motion(features), ["x"], [Segment("up", "up", 4, 12)])
    store = MotionStore.write(tmp_path / "s", [clip])
    labels = frame_labels(store, 0, {"up": 0})
    assert labels.tolist() == [IGNORE] * 4 + [0] * 8 + [IGNORE] * 8
