"""Clips that say the same are one group; who knows the actions is not misled by likeness of words."""

from __future__ import annotations

from pathlib import Path

import torch

from motionlab.data.store import Clip, MotionStore, Segment
from motionlab.evaluation.text_motion.meaning import alike, joined, meanings, sentences
from motionlab.motion.motion import Motion
from motionlab.text.encoder import TextFeatures


def store(folder: Path, told: list[tuple[list[str], list[str]]], segments: bool) -> MotionStore:
    clips = []
    for i, (captions, actions) in enumerate(told):
        parts = [Segment(action, action, 5 * n, 5 * n + 5) for n, action in enumerate(actions)] if segments else []
        clips.append(Clip(str(i), Motion(torch.zeros(20, 272)), captions, parts))
    return MotionStore.write(folder, clips)


TOLD = [
    (["walks and kicks"], ["walk", "kick"]),
    (["strolls, then kicks"], ["walk", "walk", "kick"]),  # walking on is one walk
    (["kicks and walks"], ["kick", "walk"]),
    (["walks and kicks", "moves"], ["walk", "kick"]),
    (["moves"], ["run"]),  # shares a caption with the one before
]


def test_the_same_actions_in_the_same_order_mean_the_same(tmp_path: Path) -> None:
    assert meanings(store(tmp_path / "s", TOLD, True)).tolist() == [0, 0, 1, 0, 0]
    assert meanings(store(tmp_path / "s2", TOLD[:3], True)).tolist() == [0, 0, 1]


def test_without_actions_equal_captions_decide(tmp_path: Path) -> None:
    clips = store(tmp_path / "s", TOLD, False)
    assert meanings(clips).tolist() == [0, 1, 2, 0, 0]
    assert meanings(clips, [4, 2, 3]).tolist() == [0, 1, 0]


def test_chains_are_joined_whatever_their_order() -> None:
    chain = [[i, i + 1] for i in range(50)]
    assert set(joined(chain[::-1]).tolist()) == {0}
    assert set(joined(chain[::2] + chain[1::2]).tolist()) == {0}
    assert joined([[], []]).tolist() == [0, 1]


def test_likeness_is_the_cosine_of_mean_vectors() -> None:
    rows = [torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([[3.0, 0.1]]), torch.tensor([[0.0, 1.0]])]
    features = TextFeatures.from_rows(rows)
    torch.testing.assert_close(sentences(features)[0], torch.tensor([1.0, 0.0]))
    assert alike(features, 0.85).tolist() == [[True, True, False], [True, True, False], [False, False, True]]
