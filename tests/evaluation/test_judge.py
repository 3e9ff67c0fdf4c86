"""A judge counts what lasts too long to be one action, and survives being saved."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from motionlab.data.store import Clip, MotionStore, Segment
from motionlab.errors import InputError
from motionlab.evaluation import judge as judge_file
from motionlab.evaluation.action_lists import spans
from motionlab.evaluation.actions import ActionClassifier
from motionlab.evaluation.judge import Judge, Lengths, SeenAction, action_lengths, describe_actions, tell_actions
from motionlab.evaluation.judge_accuracy import JudgeAccuracy, describe_accuracy
from motionlab.files.tensors import read_tensors, write_tensors
from motionlab.motion.motion import Motion
from tests.chinese import faults

KICK = Lengths(36, 44.0, 57)


@pytest.mark.parametrize(("frames", "times"), [(20, 1), (57, 1), (58, 2), (90, 2), (132, 3)])
def test_an_action_longer_than_all_training_clips_was_done_more_than_once(frames: int, times: int) -> None:
    seen = SeenAction("kick", frames, KICK)
    assert seen.times == times
    assert ("one lasts 1.2 to 1.9 s" in str(seen)) == (times > 1)


def test_the_number_of_actions_is_said() -> None:
    one, two = SeenAction("kick", 45, KICK), SeenAction("kick", 90, KICK)
    assert describe_actions([one]) == "1 action: kick 1.5 s"
    assert describe_actions([one, two]).startswith("about 3 actions: kick 1.5 s, kick 3.0 s (")


def test_what_a_judge_says_is_chinese_for_a_chinese_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = SeenAction("a, b", 45, KICK), SeenAction("turn_left", 159, Lengths(39, 44.0, 57))
    asked = [describe_actions(actions) for actions in ([], [one], [one, one], [one, two, one])]
    assert [tell_actions(described) for described in asked] == asked
    monkeypatch.setenv("MOTIONLAB_LANG", "zh")
    none, single, both, longer = map(tell_actions, asked)
    assert none == "没有动作" and single == "1 个动作：a, b 1.5 秒"  # noqa: RUF001
    assert both == "2 个动作：a, b 1.5 秒，a, b 1.5 秒"  # noqa: RUF001
    assert longer == (
        "约 6 个动作：a, b 1.5 秒，turn_left 5.3 秒（训练片段中一次持续 1.3 至 1.9 秒，所以约 4 次），a, b 1.5 秒"  # noqa: RUF001
    )
    assert tell_actions("") == ""


def test_the_pairs_of_the_judge_are_sound() -> None:
    assert faults(Path(judge_file.__file__).with_name("zh.yaml")) == []


def test_lengths_are_those_of_whole_actions(tmp_path: Path) -> None:
    """Two walks in a row are one walk, as `wanted_actions` says."""
    segments = [Segment("walk", "w", 0, 30), Segment("walk", "w", 34, 60), Segment("kick", "k", 60, 80)]
    store = MotionStore.write(tmp_path / "s", [Clip("x", Motion(torch.zeros(80, 272)), ["x"], segments)])
    assert action_lengths(store) == {"walk": Lengths(60, 60, 60), "kick": Lengths(20, 20, 20)}


def test_spans_keep_their_place_over_a_short_interruption() -> None:
    assert spans(["a"] * 10 + ["b"] * 3 + ["a"] * 10 + ["b"] * 8, 8) == [("a", 0, 23), ("b", 23, 31)]
    assert spans([], 8) == [] and spans(["a"] * 7, 8) == []


def test_a_saved_judge_says_the_same(tmp_path: Path) -> None:
    accuracy = JudgeAccuracy(
        0.9, 0.85, 0.75, 0.9, 8, 4, {"order_score": (0.7, 0.95, 4)}, {"kick": {"kick": 0.75, "walk": 0.25}}
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        judge = Judge(ActionClassifier(["kick", "walk"]), {"kick": KICK, "walk": Lengths(32, 77, 130)}, accuracy)
        features = torch.randn(60, 272)
    judge.save(tmp_path / "judge.safetensors")
    again = Judge.load(tmp_path / "judge.safetensors")
    assert again.lengths == judge.lengths and again.accuracy == accuracy
    assert again.describe() == judge.describe() == describe_accuracy(accuracy)
    assert again.actions_in(features) == judge.actions_in(features)
    assert [action.name for action in judge.actions_in(features)] == judge.classifier.recognise(features)


def test_another_file_is_no_judge(tmp_path: Path) -> None:
    path = tmp_path / "judge.safetensors"
    write_tensors(path, {"weight": torch.zeros(1)}, {"actions": ["kick"]})
    with pytest.raises(InputError, match="expected a saved judge"):
        Judge.load(path)


def test_a_judge_of_an_earlier_version_says_so(tmp_path: Path) -> None:
    path = tmp_path / "judge.safetensors"
    Judge(ActionClassifier(["kick"]), {"kick": KICK}).save(path)
    state, known = read_tensors(path)
    assert Judge.load(path).describe() == "was not tested on other takes"
    write_tensors(path, state, {"actions": known["actions"], "lengths": known["lengths"]})
    with pytest.raises(InputError, match="found a judge of version 1, expected version 2.*motionlab evaluate"):
        Judge.load(path)
