"""Each strategy's loss against its definition, and one that learns its task."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from motionlab.errors import InputError
from motionlab.llama.masks import padding_mask
from motionlab.llama.model import MotionLlama
from motionlab.llama.objectives.corruption import corrupt_codes, mask_codes
from motionlab.llama.objectives.losses import sequence_losses
from motionlab.llama.objectives.strategies import (
    MaskedModelling,
    RandomReplacement,
    ScheduledSampling,
    Strategy,
    TeacherForcing,
    make_strategy,
    own_codes,
)
from motionlab.llama.sequence import IGNORE, Sequences, build_sequences
from motionlab.text.encoder import TextFeatures

Make = Callable[..., MotionLlama]
K = 20


@pytest.fixture
def batch(text: TextFeatures) -> Sequences:
    generator = torch.Generator().manual_seed(2)
    codes = [torch.randint(K, (n,), generator=generator) for n in (9, 4, 12, 1)]
    return build_sequences(codes, text, K).seeded(7)


STRATEGIES: list[Strategy] = [
    TeacherForcing(),
    RandomReplacement(0.5),
    ScheduledSampling(0.5, "sample"),
    MaskedModelling(),
    TeacherForcing(0.1),
]


@pytest.mark.parametrize("strategy", STRATEGIES, ids=str)
def test_finite_with_gradients_and_the_same_again(make_model: Make, batch: Sequences, strategy: Strategy) -> None:
    model = make_model(mask_token=True)
    before = torch.get_rng_state()
    losses = strategy(model, batch)
    assert torch.equal(torch.get_rng_state(), before), "only the seeds of the rows may be used"
    losses.loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
    again = strategy(model, batch)
    assert again.loss == losses.loss and 0 <= float(again.accuracy) <= 1
    if not isinstance(strategy, TeacherForcing):
        assert strategy(model, batch.seeded(8)).loss != losses.loss


def test_teacher_forcing_is_the_plain_loss(make_model: Make, batch: Sequences) -> None:
    model = make_model()
    for smoothing in (0.0, 0.1):
        found, expected = TeacherForcing(smoothing)(model, batch), sequence_losses(model, batch, smoothing)
        assert found.loss == expected.loss and found.accuracy == expected.accuracy


def test_keeping_all_is_teacher_forcing(make_model: Make, batch: Sequences) -> None:
    model = make_model()
    expected = TeacherForcing()(model, batch)
    for strategy in (RandomReplacement(1.0), ScheduledSampling(1.0), RandomReplacement(1.0, "sample")):
        assert strategy(model, batch).loss == expected.loss


def test_replacement_reads_noise_and_predicts_the_truth(make_model: Make, batch: Sequences) -> None:
    model = make_model()
    tokens = corrupt_codes(batch.tokens, 0.5, K, batch.draws())
    expected = sequence_losses(model, replace(batch, tokens=tokens))
    assert RandomReplacement(0.5)(model, batch).loss == expected.loss


def test_own_codes_are_drawn_from_the_models_own_prediction(make_model: Make, text: TextFeatures) -> None:
    """Many equal rows: the codes at a place follow the distribution that the place before predicts."""
    model, part = make_model(), text.rows([2] * 4000)
    batch = build_sequences([torch.tensor([3, 1, 4])] * 4000, part, K)
    noise = torch.rand(batch.tokens.shape, generator=torch.Generator().manual_seed(0))
    own = own_codes(model, batch, noise, batch.tokens < K)
    assert torch.equal(own[:, :3], batch.tokens[:, :3]) and torch.equal(own[:, 6:], batch.tokens[:, 6:])
    logits = model(batch.tokens[:1], batch.text[:1], batch.text_mask[:1])[0, :, :K]
    for place in (3, 4, 5):
        expected = logits[place - 1].softmax(-1)
        found = torch.bincount(own[:, place], minlength=K) / 4000
        torch.testing.assert_close(found, expected, rtol=0, atol=0.04)


def test_scheduled_sampling_reads_own_codes(make_model: Make, batch: Sequences) -> None:
    model = make_model()
    own = own_codes(model, batch, batch.draws().uniform(batch.tokens.shape[1]), batch.tokens < K)
    expected = sequence_losses(model, replace(batch, tokens=own))
    assert ScheduledSampling(0.0)(model, batch).loss == expected.loss


def test_own_codes_drawn_at_some_places_are_those_drawn_at_all(make_model: Make, batch: Sequences) -> None:
    """A code that nobody reads is not drawn, and that changes no other."""
    model, draws = make_model(), batch.draws()
    noise, codes = draws.uniform(batch.tokens.shape[1]), batch.tokens < K
    every = own_codes(model, batch, noise, codes)
    assert (every != batch.tokens)[codes].float().mean() > 0.5
    for keep in (0.9, 0.7, 0.2):
        where = codes & (draws.uniform(batch.tokens.shape[1]) >= keep)
        assert torch.equal(own_codes(model, batch, noise, where), torch.where(where, every, batch.tokens))


def test_masked_modelling_written_out(make_model: Make, batch: Sequences) -> None:
    model = make_model(mask_token=True)
    tokens, masked = mask_codes(batch.tokens, K, 22, batch.draws())
    losses, weights = [], []
    for row in range(len(batch)):  # alone, without any padding
        width, length = int(batch.text_mask[row].sum()), int((batch.tokens[row] < K).sum())
        end = width + length + 1
        logits = model(
            tokens[row : row + 1, :end], batch.text[row : row + 1, :width], torch.ones(1, width),
            padding_mask(torch.ones(1, end)),
        )  # fmt: skip
        there = masked[row, :end]
        losses.append(F.cross_entropy(logits[0, there], batch.tokens[row, :end][there], reduction="sum"))
        weights.append(int(there.sum()))
    torch.testing.assert_close(MaskedModelling()(model, batch).loss, sum(losses) / sum(weights))


def test_masked_modelling_needs_its_token(make_model: Make, batch: Sequences) -> None:
    with pytest.raises(InputError, match="mask_token"):
        MaskedModelling()(make_model(), batch)


def test_padding_changes_nothing_in_masked_modelling(make_model: Make, batch: Sequences) -> None:
    model = make_model(mask_token=True)
    longer = Sequences(
        F.pad(batch.tokens, (0, 3), value=model.pad_token), F.pad(batch.labels, (0, 3), value=IGNORE),
        batch.text, batch.text_mask,
    )  # fmt: skip
    real = batch.tokens != model.pad_token
    real[:, :7] |= batch.text_mask
    short = model(batch.tokens, batch.text, batch.text_mask, padding_mask(real))
    long = model(longer.tokens, batch.text, batch.text_mask, padding_mask(F.pad(real, (0, 3))))
    torch.testing.assert_close(long[:, :-3][real], short[real])


def test_names() -> None:
    assert make_strategy("next_token", label_smoothing=0.1) == TeacherForcing(0.1)
    assert make_strategy("next_token", keep=0.9, per="batch") == RandomReplacement(0.9, "batch")
    assert make_strategy("scheduled_sampling", keep=0.8) == ScheduledSampling(0.8)
    assert make_strategy("masked") == MaskedModelling()
    with pytest.raises(InputError, match="strategy"):
        make_strategy("guessing")  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("strategy", STRATEGIES, ids=str)
def test_weights_in_half_precision(make_model: Make, batch: Sequences, strategy: Strategy, dtype: torch.dtype) -> None:
    """The text of a batch is float32; the loss is that of the same weights in float32, up to their rounding."""
    half = strategy(make_model(mask_token=True).to(dtype), batch).loss
    exact = strategy(make_model(mask_token=True).to(dtype).float(), batch).loss
    torch.testing.assert_close(half.float(), exact, rtol=0.05, atol=0)
