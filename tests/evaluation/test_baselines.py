"""Baselines take real motion of training, by rules that know more and more of the caption."""

from __future__ import annotations

import pytest
import torch

from motionlab.config import CorpusConfig
from motionlab.data.composed.corpus import build_corpus
from motionlab.data.store import Clip, MotionStore
from motionlab.errors import InputError
from motionlab.evaluation.action_lists import wanted_actions
from motionlab.evaluation.baselines import BASELINES, OTHER_CAPTION, TrainingMotions
from motionlab.motion.motion import Motion
from motionlab.text.encoder import TextFeatures

WORDS = "abcdefghijklmnopqrstuvwxyz"


@pytest.fixture(scope="module")
def train(tmp_path_factory):
    """Twenty composed training clips."""
    settings = CorpusConfig(n_train=20, n_validation=1, n_seen_pairs=0, n_unseen_pairs=0, n_new_takes=0)
    return build_corpus(settings, tmp_path_factory.mktemp("corpus") / "c").train


def there(motion: torch.Tensor | None) -> torch.Tensor:
    """A motion that must be there."""
    assert motion is not None
    return motion


def encode(captions):
    """Letters as one-hot states: equal captions have equal vectors."""
    states = torch.zeros(len(captions), 80, len(WORDS))
    mask = torch.zeros(len(captions), 80, dtype=torch.bool)
    for row, caption in enumerate(captions):
        letters = [letter for letter in caption if letter in WORDS][:80]
        mask[row, : len(letters)] = True
        for slot, letter in enumerate(letters):
            states[row, slot, WORDS.index(letter)] = 1.0
    return TextFeatures(states, mask)


def test_a_take_is_one_segment_of_a_training_clip(train):
    known = TrainingMotions(train, encode, blend_frames=10)
    for index in range(len(train)):
        first = train.segments(index)[0]
        lengths = {len(there(known.take(first.action, number))) for number in range(20)}
        assert first.stop - first.start in lengths
    assert known.take("swim") is None


def test_the_look_up_finds_the_same_sequence_or_nothing(train):
    known = TrainingMotions(train, encode, blend_frames=10)
    wanted = wanted_actions(train.segments(3))
    same = [index for index in range(len(train)) if wanted_actions(train.segments(index)) == wanted]
    found = there(known.same_actions(wanted, 5))
    assert any(found.equal(train.features(index)) for index in same)
    assert known.same_actions(["walk"] * 9) is None


def test_cut_and_paste_joins_a_take_of_each_action(train):
    known = TrainingMotions(train, encode, blend_frames=10)
    actions = sorted({segment.action for index in range(len(train)) for segment in train.segments(index)})[:2]
    takes = [there(known.take(action, number)) for number, action in enumerate(actions)]
    joined = there(known.cut_and_paste(actions))
    assert len(joined) == 1 + sum(len(take) - 1 for take in takes) and joined.dtype == torch.float32
    assert torch.allclose(joined[: len(takes[0])], takes[0], atol=2e-3)  # clips are kept in float16
    assert known.cut_and_paste([actions[0], "swim"]) is None


@pytest.mark.parametrize("at_once", [1, 7, 500])
def test_a_training_caption_is_nearest_to_itself(train, at_once, monkeypatch):
    monkeypatch.setattr("motionlab.evaluation.baselines._AT_ONCE", at_once)
    known = TrainingMotions(train, encode, blend_frames=10)
    asked = [train.captions(index)[0] for index in range(len(train))]
    vectors = encode(asked).sentences()
    for index, other in enumerate(known.nearest_captions(asked)):
        best = encode(train.captions(other)).sentences() @ vectors[index]
        assert float(best.max()) == pytest.approx(1.0, abs=1e-5)


def test_every_baseline_has_a_motion_or_none_for_each_clip(train):
    known = TrainingMotions(train, encode, blend_frames=10)
    wanted = [wanted_actions(train.segments(index)) for index in range(3)]
    found = known.motions(wanted, [train.captions(index)[0] for index in range(3)])
    assert (OTHER_CAPTION, *found) == BASELINES
    assert all(len(some) == 3 and some[0] is not None and some[0].shape[-1] == 272 for some in found.values())


def test_clips_without_segments_are_refused(tmp_path):
    clips = MotionStore.write(tmp_path / "s", [Clip("x", Motion(torch.zeros(9, 272)), ["x"])])
    with pytest.raises(InputError, match="clips that do not say which action"):
        TrainingMotions(clips, encode, 10)
