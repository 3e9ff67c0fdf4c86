"""The walk over true and own codes equals the plain way, for both kinds of decoder."""

from __future__ import annotations

import math

import pytest
import torch

from motionlab.errors import InputError
from motionlab.llama.decoding.sampling import Sampling
from motionlab.llama.exposure import Curve, by_distance, clip_codes, walk
from motionlab.llama.masks import padding_mask, real_positions
from motionlab.llama.model import MotionLlama
from motionlab.llama.sequence import Sequences, build_sequences
from motionlab.llama.variant import LlamaVariant
from motionlab.runtime import seeded
from motionlab.text.encoder import TextFeatures

K = 30
GREEDY = Sampling(max_tokens=64, greedy=True)


def make_model(mask_token: bool = False) -> MotionLlama:
    with seeded(0):
        variant = LlamaVariant(hidden=48, mask_token=mask_token)
        model = MotionLlama(K, n_layer=2, n_head=2, dim=32, text_dim=8, max_length=64, variant=variant)
        for parameter in model.parameters():  # untrained decoders are nearly even: make their choices clear
            parameter.data.mul_(3.0)
    return model.eval()


@pytest.fixture(scope="module")
def batch() -> Sequences:
    generator = torch.Generator().manual_seed(1)
    codes = [torch.randint(K, (length,), generator=generator) for length in (12, 7, 10)]
    text = TextFeatures.from_rows([torch.randn(width, 8, generator=generator) for width in (3, 5, 2)])
    return build_sequences(codes, text, K)


def plain(model: MotionLlama, batch: Sequences, codes: torch.Tensor, place: int) -> torch.Tensor:
    """Logits of the code at `place` for every row that has one, given the codes before it: one row at a time."""
    true, there = clip_codes(model, batch)
    rows = []
    for row in range(len(batch)):
        if not there[row, place]:
            rows.append(torch.zeros(K))
            continue
        width = int(batch.text_mask[row].sum())
        tokens = batch.tokens[row : row + 1].clone()
        tokens[0, width : width + place] = codes[row, :place]
        text, mask = batch.text[row : row + 1], batch.text_mask[row : row + 1]
        with torch.no_grad():
            if model.mask_token is None:
                logits = model(tokens[:, : max(width + place, text.shape[1])], text, mask)[0, width + place - 1]
            else:
                length = int(there[row].sum())
                tokens[0, width + place : width + length] = model.mask_token
                everyone = padding_mask(real_positions(batch.tokens[row : row + 1], mask, model.pad_token))
                logits = model.lm_head(model.hidden(tokens, text, mask, everyone))[0, width + place]
        rows.append(logits[:K])
    return torch.stack(rows)


@pytest.mark.parametrize("mask_token", [False, True])
@pytest.mark.parametrize("start", [0, 4, 99])
def test_a_walk_is_the_plain_way(batch: Sequences, mask_token: bool, start: int) -> None:
    model = make_model(mask_token)
    codes, there = clip_codes(model, batch)
    true, hits, nats = codes.clone(), [], []
    for place in range(12):
        logits = plain(model, batch, codes, place)
        inside = there[:, place]
        nats.append(-float(logits.log_softmax(-1).gather(-1, true[:, place : place + 1])[inside].sum()))
        hits.append(int((logits.argmax(-1) == true[:, place])[inside].sum()))
        if place >= start:
            codes[:, place] = logits.argmax(-1)
    curve = walk(model, batch, start=start, places=range(12), sampling=GREEDY)
    assert curve.hits.tolist() == hits and curve.count.tolist() == there.sum(0).tolist()
    assert torch.allclose(curve.nats, torch.tensor(nats), atol=1e-3)


def test_fewer_places_note_the_same(batch: Sequences) -> None:
    for model in (make_model(), make_model(mask_token=True)):
        full = walk(model, batch, start=99, places=range(12), sampling=GREEDY)
        some = walk(model, batch, start=99, places=range(0, 12, 3), sampling=GREEDY)
        assert torch.allclose(some.nats, full.nats[::3]) and torch.equal(some.count, full.count[::3])


def test_places_behind_every_clip_count_nothing(batch: Sequences) -> None:
    curve = walk(make_model(), batch, start=0, places=range(20), sampling=GREEDY)
    assert curve.count[12:].sum() == 0 and math.isnan(float(curve.accuracy[15]))


def test_distance_0_is_the_true_history(batch: Sequences) -> None:
    model = make_model()
    clean = walk(model, batch, start=99, places=range(12), sampling=GREEDY)
    curve = by_distance(model, batch, [2, 5], 3, GREEDY)
    assert len(curve) == 3
    assert torch.allclose(curve.nats[0], clean.nats[2] + clean.nats[5])
    assert torch.equal(curve.count, clean.count[2:5] + clean.count[5:8])


def test_the_draw_depends_on_the_seed_only(batch: Sequences) -> None:
    model, drawn = make_model(), Sampling(max_tokens=64, temperature=2.0)
    first, again, other = (
        walk(model, batch, start=0, places=range(12), sampling=drawn, seed=seed).nats for seed in (1, 1, 50)
    )
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_the_model_is_left_as_it_was(batch: Sequences) -> None:
    model = make_model(mask_token=True).train()
    tokens = batch.tokens.clone()
    walk(model, batch, start=0, places=[3], sampling=GREEDY)
    assert model.training and torch.equal(batch.tokens, tokens)


def test_no_place() -> None:
    with pytest.raises(InputError, match="places"):
        walk(make_model(), None, start=0, places=[], sampling=GREEDY)  # type: ignore[arg-type]


def test_curves_add_and_bin() -> None:
    curve = Curve(torch.tensor([1.0, 0, 2]), torch.tensor([3.0, 1, 1]), torch.tensor([2.0, 2, 2]))
    twice = (curve + curve).binned(2)
    assert twice.hits.tolist() == [2] and twice.nats.tolist() == [8] and twice.count.tolist() == [8]
    assert twice.accuracy.tolist() == [0.25] and twice.loss.tolist() == [1.0]
