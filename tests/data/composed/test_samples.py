"""The bundled samples are whole, say what they show, and refuse to be anything else."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path

import pytest
import torch

from motionlab.data.composed import samples as module
from motionlab.data.composed.samples import Sample, load_caption_embeddings, load_samples, samples_dir
from motionlab.errors import InputError
from motionlab.motion.features import POSITIONS, decode_heading
from motionlab.motion.skeleton import JOINT_NAMES, PARENTS, canonical_skeleton


@cache
def bundled() -> dict[str, Sample]:
    return {sample.name: sample for sample in load_samples()}


def joint(sample: Sample, name: str) -> torch.Tensor:
    return sample.motion.joints()[:, JOINT_NAMES.index(name)]


def turned(sample: Sample) -> float:
    """Degrees to the left from the first to the last frame."""
    heading = decode_heading(sample.motion.features)
    return float(torch.rad2deg(heading[-1]))


# ---------------------------------------------------------------- content


def test_there_are_two_minutes_of_many_actions() -> None:
    samples = list(bundled().values())
    assert len(samples) == 55
    assert 115 < sum(sample.motion.duration for sample in samples) < 125
    actions = {sample.action for sample in samples}
    assert len(actions) == 29
    assert {"walk", "run", "jump", "kick", "punch", "turn_left", "turn_right", "get_up"} <= actions
    assert sum(sample.action == "jump" for sample in samples) == 11
    folder = samples_dir()
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 2.5e6


def test_every_clip_has_captions_phrases_and_stands_on_its_own() -> None:
    everything: list[str] = []
    for sample in bundled().values():
        assert 4 <= len(sample.captions) <= 6
        assert len(sample.phrases) >= 3
        assert sample.captions_zh and all(ord(sentence[0]) >= 0x4E00 for sentence in sample.captions_zh)
        assert sample.phrase == sample.phrases[0]
        for phrase in sample.phrases:  # "a person ..."
            verb = phrase.split()[0]
            assert phrase == phrase.strip() and verb.rstrip(",").endswith("s") and verb.islower(), phrase
        for caption in sample.captions:
            assert caption == caption.strip() and not caption.endswith("."), caption
        everything += sample.captions
    assert len(set(everything)) == len(everything)


def test_common_actions_have_their_bare_verb() -> None:
    """The first thing that people type: "a person jumps". A phrase fits no other action, so nothing simply "dances"."""
    verbs = {
        "walk": "walks",
        "run": "runs",
        "jump": "jumps",
        "kick": "kicks",
        "punch": "punches",
        "turn_left": "turns left",
    }
    actions_of: dict[str, set[str]] = {}
    for sample in bundled().values():
        assert verbs.get(sample.action, sample.phrase) in sample.phrases
        for phrase in sample.phrases:
            actions_of.setdefault(phrase, set()).add(sample.action)
    assert {phrase: actions for phrase, actions in actions_of.items() if len(actions) > 1} == {}


def test_clips_start_at_the_origin_facing_forward() -> None:
    for sample in bundled().values():
        positions, heading = sample.motion.root()
        assert positions[0, [0, 2]].tolist() == [0, 0], sample.name
        assert heading[0] == 0
        assert len(sample.motion) >= 24
        assert sample.motion.fps == 30


@pytest.mark.parametrize("name", sorted(bundled()))
def test_both_paths_decode_to_the_same_joints(name: str) -> None:
    motion = bundled()[name].motion
    difference = (motion.joints("positions") - motion.joints("rotations")).norm(dim=-1).max()
    assert difference < 2e-3  # metres; float16 on disk
    bones = motion.joints()[:, 1:] - motion.joints()[:, PARENTS[1:]]
    lengths = canonical_skeleton().offsets[1:].norm(dim=-1)
    assert (bones.norm(dim=-1) - lengths).abs().max() < 2e-3


def test_nothing_jumps() -> None:
    # 0.55 m per frame is the ankle of the backflip; a flipped limb would move by its length, and further.
    for sample in bundled().values():
        speed = sample.motion.joints().diff(dim=0).norm(dim=-1).max()
        assert speed < 0.56, sample.name


def test_feet_stand_on_one_floor() -> None:
    raised = {"raised", "hang", "prone", "supine"}
    feet = [JOINT_NAMES.index(name) for name in ("left_ankle", "right_ankle", "left_foot", "right_foot")]
    for sample in bundled().values():
        heights = sample.motion.joints()[:, feet, 1]
        assert heights.min() > -0.06, sample.name
        if not raised & {sample.start_pose, sample.end_pose}:
            assert heights.min() < 0.03, sample.name


def test_hard_heading_is_what_the_features_say() -> None:
    for sample in bundled().values():
        steps = torch.rad2deg(decode_heading(sample.motion.features).diff().abs())
        assert sample.hard_heading == bool(steps.max() > 30), sample.name


def test_looping_clips_close() -> None:
    """From the last frame to the first is hardly more than the largest step inside the clip."""
    names = {sample.name for sample in bundled().values() if sample.looping}
    assert {"walk", "walk_forward", "run"} <= names
    for name in names - {
        "spin",
        "backflip",
        "roll",
    }:  # these start and end standing; their heading is not defined inside
        local = bundled()[name].motion.features[:, POSITIONS].unflatten(-1, (22, 3))
        largest = local.diff(dim=0).norm(dim=-1).max()
        assert (local[0] - local[-1]).norm(dim=-1).max() < 1.5 * largest, name


def test_poses_at_the_ends_are_what_is_said() -> None:
    for sample in bundled().values():
        for pose, frame in ((sample.start_pose, 0), (sample.end_pose, -1)):
            pelvis, head = joint(sample, "pelvis")[frame, 1], joint(sample, "head")[frame, 1]
            if pose in ("stand", "fight", "hang"):
                assert 0.7 < pelvis < 0.95 and head > 1.25, (sample.name, pose)
            elif pose == "raised":
                assert pelvis > 1.4, sample.name
            else:
                assert pelvis < 0.25, sample.name
            hands = (joint(sample, "left_wrist")[frame, 1], joint(sample, "right_wrist")[frame, 1])
            assert pose != "hang" or min(hands) > head + 0.05, sample.name


# ---------------------------------------------------------------- left and right


def test_turns_go_the_way_the_captions_say() -> None:
    degrees = {name: turned(sample) for name, sample in bundled().items()}
    assert 20 < degrees["turn_left0"] < 40 and 45 < degrees["turn_left1"] < 65
    assert -110 < degrees["turn_right0"] < -90 and -65 < degrees["turn_right1"] < -45
    assert degrees["cmu_walk_turn_right"] < -90
    assert 165 < degrees["cmu_turn_around_left"] < 195 and -195 < degrees["cmu_turn_around_right"] < -165
    assert degrees["dance_a"] < -340 and degrees["spinkick"] > 340 and degrees["kick"] > 120
    for sample in bundled().values():
        if sample.action in ("walk", "run", "jump"):
            assert abs(turned(sample)) < 20, sample.name
            assert joint(sample, "pelvis")[-1, 2] > 0.6, sample.name  # forward is +z


def test_left_and_right_side_of_the_body() -> None:
    for name in ("kick", "spinkick"):
        sample = bundled()[name]
        right, left = joint(sample, "right_ankle")[:, 1], joint(sample, "left_ankle")[:, 1]
        height = right.max()
        assert height > 1.2 and right.argmax() != left.argmax()
        assert left[right.argmax()] < height - 0.4, name
    for sample in bundled().values():
        if sample.action == "punch":
            reach = [
                (joint(sample, f"{side}_wrist") - joint(sample, f"{side}_shoulder")).norm(dim=-1)
                for side in ("left", "right")
            ]
            moment = reach[1].argmax()
            assert reach[1][moment] > 0.5 and reach[0][moment] < 0.4, sample.name
            assert "right" in sample.phrase
        if sample.action == "combination":
            for side in ("left", "right"):
                assert (joint(sample, f"{side}_wrist") - joint(sample, f"{side}_shoulder")).norm(dim=-1).max() > 0.5
    # The left is +x when facing +z.
    walk = bundled()["walk"]
    assert joint(walk, "left_shoulder")[0, 0] > joint(walk, "right_shoulder")[0, 0] + 0.3
    assert joint(bundled()["cartwheel"], "pelvis")[-1, 0] > 2


def test_feet_point_forward_while_walking() -> None:
    for name in ("walk", "walk_forward", "run"):
        for side in ("left", "right"):
            foot = joint(bundled()[name], f"{side}_foot") - joint(bundled()[name], f"{side}_ankle")
            assert foot[:, 2].mean() > 0.05, name


# ---------------------------------------------------------------- embeddings


def test_embeddings_belong_to_the_captions() -> None:
    embeddings = load_caption_embeddings()
    assert embeddings.captions == tuple(caption for sample in bundled().values() for caption in sample.captions)
    assert embeddings.vectors.shape == (len(embeddings.captions), 384)
    torch.testing.assert_close(embeddings.vectors.norm(dim=-1), torch.ones(len(embeddings.captions)), atol=1e-3, rtol=0)
    walk = embeddings.vector("a person walks forward")
    assert walk @ embeddings.vector("someone walks straight ahead at a normal pace") > 0.6
    assert walk @ embeddings.vector("a person does a backflip") < 0.5
    with pytest.raises(InputError, match="Encode new captions"):
        embeddings.vector("a person reads the newspaper")


# ---------------------------------------------------------------- where they are


def test_samples_dir_follows_the_environment(copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTIONLAB_SAMPLES", str(copied))
    assert samples_dir() == copied
    monkeypatch.setenv("MOTIONLAB_SAMPLES", str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="MOTIONLAB_SAMPLES: found no captions.jsonl"):
        samples_dir()


def test_samples_dir_of_an_installed_package(copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MOTIONLAB_SAMPLES", raising=False)
    package = tmp_path / "site-packages" / "motionlab"
    (package / "data" / "composed").mkdir(parents=True)
    monkeypatch.setattr(module, "__file__", str(package / "data" / "composed" / "samples.py"))
    with pytest.raises(InputError, match="Set MOTIONLAB_SAMPLES"):
        samples_dir()
    shutil.copytree(copied, package / "data_samples")
    assert samples_dir() == package / "data_samples"
