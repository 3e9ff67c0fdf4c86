"""Training finds the caption of a motion, sees spoiled motions, gives the same weights again, and stops early."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from motionlab.data.splits import Splits
from motionlab.errors import InputError
from motionlab.evaluation.text_motion.batches import LoadedClips
from motionlab.evaluation.text_motion.evaluator import TextMotionEvaluator
from motionlab.evaluation.text_motion.inputs import encoder_inputs, joints_of, padded
from motionlab.evaluation.text_motion.spoiled import spoil
from motionlab.evaluation.text_motion.train import EvaluatorSettings, train_evaluator
from motionlab.runtime import random_generator
from motionlab.text.cache import TextCache
from tests.evaluation.text_motion.cuts import SMALL, TAKES, cuts


def cosines(evaluator: TextMotionEvaluator, texts: TextCache, splits: Splits, spoiled: bool = False) -> torch.Tensor:
    """Cosines of the captions and the motions of the test split, `[N, N]`."""
    clips = splits.tests["test"]
    motions = [joints_of(clips.features(i)) for i in range(len(clips))]
    if spoiled:
        block, lengths = padded(motions)
        worse = spoil(block, lengths, random_generator(9))
        motions = [row[:length] for row, length in zip(worse, lengths.tolist(), strict=True)]
    text = evaluator.embed_text([clips.captions(i)[0] for i in range(len(clips))], texts)
    return F.normalize(text, dim=-1) @ F.normalize(evaluator.embed_motion(motions), dim=-1).T


def test_captions_find_motions_of_their_action(evaluator, texts, splits) -> None:
    found = cosines(evaluator, texts, splits).argmax(1) % TAKES  # cuts of the four clips in turn
    right = (found == torch.arange(len(found)) % TAKES).float().mean()
    assert float(right) > 0.8  # chance: 0.25


def test_spoiled_motions_are_farther_from_their_captions(evaluator, texts, splits) -> None:
    good, worse = (cosines(evaluator, texts, splits, spoiled).diagonal() for spoiled in (False, True))
    assert float((good > worse).float().mean()) > 0.8
    untaught = train_evaluator(splits, texts, replace(SMALL, spoiled=0.0), seed=3)
    gap = float((good - worse).mean())
    plain = cosines(untaught, texts, splits).diagonal() - cosines(untaught, texts, splits, True).diagonal()
    assert gap > float(plain.mean())  # this is learned from the copies


def test_the_same_seed_gives_the_same_weights_and_another_one_others(splits, texts) -> None:
    short = replace(SMALL, epochs=1)
    one, again, other = (train_evaluator(splits, texts, short, seed=seed) for seed in (0, 0, 1))
    weights = [evaluator.model.state_dict() for evaluator in (one, again, other)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert not torch.equal(weights[0]["text.out.weight"], weights[2]["text.out.weight"])


def test_training_leaves_the_generators_alone(splits, texts) -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    train_evaluator(splits, texts, replace(SMALL, epochs=1))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_best_epoch_is_kept_and_patience_ends_the_training(splits, texts, monkeypatch) -> None:
    losses = iter([2.0, 1.0, 3.0, 4.0, 5.0, 6.0])
    monkeypatch.setattr("motionlab.evaluation.text_motion.train._validation", lambda *arguments: next(losses))
    told: list[int] = []
    found = train_evaluator(
        splits, texts, replace(SMALL, epochs=6, patience=2), on_epoch=lambda epoch, loss: told.append(epoch)
    )
    assert told == [1, 2, 3, 4] and found.record.epoch == 2 and found.record.validation == 1.0


def test_test_clips_have_no_part_in_it(splits, texts, tmp_path) -> None:
    short = replace(SMALL, epochs=1)
    other = replace(splits, tests={"test": cuts(tmp_path / "other", 4, seed=77)})
    one, two = (train_evaluator(some, texts, short) for some in (splits, other))
    assert all(
        torch.equal(a, b) for a, b in zip(*(some.model.state_dict().values() for some in (one, two)), strict=True)
    )
    assert one.record.trained_on == {"train": splits.train.digest, "validation": splits.validation.digest}


def test_motions_without_named_actions_can_be_learned_from(texts, tmp_path) -> None:
    """Captions that are alike are no rivals then; and a split without validation clips keeps the last epoch."""
    train = cuts(tmp_path / "train", 24, 0, segments=False)
    source = Splits("plain", train, cuts(tmp_path / "none", 0, 0), {"test": train})
    told: list[float | None] = []
    found = train_evaluator(source, texts, replace(SMALL, epochs=2), on_epoch=lambda epoch, loss: told.append(loss))
    assert told == [None, None] and found.record.epoch == 2 and found.record.validation is None


def test_an_epoch_holds_every_clip_once_in_batches_of_like_length(splits) -> None:
    clips = LoadedClips(splits.train, 1000)
    batches = list(clips.epoch(10, np.random.default_rng(0)))
    assert sum(len(batch.captions) for batch in batches) == len(splits.train)
    assert max(len(batch.captions) for batch in batches) <= 10
    assert sorted(n for batch in batches for n in batch.lengths.tolist()) == sorted(splits.train.lengths.tolist())
    spread = [int(batch.lengths.max() - batch.lengths.min()) for batch in batches]
    assert max(spread) < int(splits.train.lengths.max() - splits.train.lengths.min())
    few = LoadedClips(splits.train, 7)
    assert len(few) == 7 and len(set(few.numbers)) == 7 and max(few.numbers) > 38  # from all of the split


def test_statistics_are_those_of_the_inputs(splits) -> None:
    clips = LoadedClips(splits.train, 1000)
    inputs = torch.cat([encoder_inputs(joints[None])[0] for joints in clips.joints])
    mean, std = clips.statistics
    torch.testing.assert_close(mean, inputs.mean(0), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(std, inputs.std(0, correction=0).clamp(min=5e-3), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    "change", [{"epochs": 0}, {"batch_size": 1}, {"lr": 0.0}, {"temperature": -1.0}, {"clips": 2.5}, {"spoiled": -0.1}]
)
def test_wrong_settings_are_refused(change) -> None:
    with pytest.raises(InputError, match=next(iter(change))):
        EvaluatorSettings(**change)


def test_one_clip_is_too_few(texts, tmp_path) -> None:
    one = cuts(tmp_path / "one", 1, 0)
    with pytest.raises(InputError, match="two or more"):
        train_evaluator(Splits("one", one, one, {}), texts, SMALL)
