"""Parallel decoding: lengths, seeds, batches, schedule, and a small decoder that repeats its lesson."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from motionlab.errors import InputError
from motionlab.llama.decoding.generate import Generated
from motionlab.llama.decoding.masked import MaskedSampling, generate_masked, masked_left
from motionlab.llama.model import MotionLlama
from motionlab.llama.objectives.strategies import MaskedModelling
from motionlab.llama.sequence import build_sequences
from motionlab.llama.variant import LlamaVariant
from motionlab.text.encoder import TextFeatures

Make = Callable[..., MotionLlama]
LENGTHS = [9, 1, 20, 4]


@pytest.fixture
def model(make_model: Make) -> MotionLlama:
    return make_model(mask_token=True, n_kv_heads=2)


def same(first: list[Generated], second: list[Generated]) -> bool:
    return all(torch.equal(a.tokens, b.tokens) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize(
    "sampling",
    [
        MaskedSampling(),
        MaskedSampling(steps=1),
        MaskedSampling(choice_noise=2.0),
        MaskedSampling(guidance=3.0),
        MaskedSampling(top_p=0.8),
        MaskedSampling(top_k=5),
    ],
    ids=str,
)
def test_together_equals_alone(model: MotionLlama, text: TextFeatures, sampling: MaskedSampling) -> None:
    together = generate_masked(model, text.states, text.mask, LENGTHS, sampling, seeds=[1, 2, 3, 4])
    for row, length in enumerate(LENGTHS):
        assert len(together[row].tokens) == length and together[row].stopped_by == "length"
        assert (together[row].tokens < 20).all()
        part = text.rows([row])
        alone = generate_masked(model, part.states, part.mask, [length], sampling, seeds=[row + 1])
        assert same(together[row : row + 1], alone)
    assert not same(together, generate_masked(model, text.states, text.mask, LENGTHS, replace(sampling, seed=50)))


def test_the_schedule_falls_to_nothing() -> None:
    length = torch.arange(1, 200)
    for steps in (1, 2, 7, 10, 500):
        left = torch.stack([masked_left(length, step, steps) for step in range(steps)])
        assert (left[-1] == 0).all() and (left[0] < length).all() and (left.diff(dim=0) <= 0).all()


def test_every_look_fixes_a_code_while_there_is_one() -> None:
    for steps in range(1, 41):
        length = torch.arange(1, 61)
        left = torch.stack([length, *(masked_left(length, step, steps) for step in range(steps))])  # [steps + 1, 60]
        fixed = left[:-1] - left[1:]
        assert ((fixed >= 1) == (left[:-1] > 0)).all() and (left[-1] == 0).all(), steps
        assert (fixed[:, steps - 1] == 1).all(), "as many looks as codes: one each"
        plenty = length * 2 < steps  # more looks than codes: one each, then nothing
        assert (left[steps // 2 :, plenty] == 0).all()
    assert [int(masked_left(torch.tensor(10), step, 10)) for step in range(10)] == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]


@pytest.mark.parametrize("steps", [1, 3, 9, 20, 10**9])
def test_looks_fix_as_many_codes_as_the_schedule_says(
    model: MotionLlama, text: TextFeatures, steps: int, monkeypatch
) -> None:
    seen: list[torch.Tensor] = []
    hidden = model.hidden

    def counting(tokens: torch.Tensor, *rest: object) -> torch.Tensor:
        seen.append(tokens.eq(model.mask_token or -1).sum(1))
        return hidden(tokens, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(model, "hidden", counting)
    generate_masked(model, text.states, text.mask, LENGTHS, MaskedSampling(steps=steps))
    length = torch.tensor(LENGTHS)
    looks = min(steps, max(LENGTHS))
    expected = [length, *(masked_left(length, step, steps) for step in range(looks - 1))]
    assert torch.equal(torch.stack(seen), torch.stack(expected))


@pytest.mark.parametrize("temperature", [1e-40, 1e300])
def test_every_temperature_writes_codes(model: MotionLlama, text: TextFeatures, temperature: float) -> None:
    made = generate_masked(model, text.states, text.mask, LENGTHS, MaskedSampling(temperature=temperature))
    assert all(((0 <= one.tokens) & (one.tokens < 20)).all() for one in made)


@pytest.mark.parametrize("narrow", [{"top_p": 1e-9}, {"top_k": 1}], ids=str)
def test_the_narrowest_choice_is_the_most_likely_code(
    model: MotionLlama, text: TextFeatures, narrow: dict[str, float]
) -> None:
    cold = generate_masked(model, text.states, text.mask, LENGTHS, MaskedSampling(temperature=1e-9))
    made = generate_masked(model, text.states, text.mask, LENGTHS, MaskedSampling(**narrow))  # type: ignore[arg-type]
    assert same(cold, made)
    assert not same(cold, generate_masked(model, text.states, text.mask, LENGTHS, MaskedSampling()))


def test_the_surest_codes_are_fixed_first(model: MotionLlama, text: TextFeatures) -> None:
    """One row, two looks, greedy: after the first look only the most confident codes stay."""
    part, pad = text.rows([3]), model.pad_token
    tokens = torch.tensor([[pad] * 7 + [22] * 10 + [20]])
    logits = model(tokens, part.states, part.mask, torch.ones(1, 1, 18, 18, dtype=torch.bool))[0, 7:17, :20]
    confidence, best = logits.log_softmax(-1).max(-1)
    fixed = confidence.argsort(descending=True)[: 10 - 7]  # floor(10 cos(pi/4)) = 7
    made = generate_masked(model, part.states, part.mask, [10], MaskedSampling(steps=2, temperature=1e-3))[0].tokens
    assert torch.equal(made[fixed], best[fixed])
    tokens[0, 7:17][fixed] = best[fixed]
    second = model(tokens, part.states, part.mask, torch.ones(1, 1, 18, 18, dtype=torch.bool))[0, 7:17, :20]
    rest = torch.ones(10, dtype=torch.bool)
    rest[fixed] = False
    assert torch.equal(made[rest], second.argmax(-1)[rest])


def test_learns_by_heart_and_says_it_back() -> None:
    torch.manual_seed(0)
    text = TextFeatures(torch.randn(4, 3, 8), torch.arange(3) < torch.tensor([3, 1, 2, 3])[:, None])
    lengths = [6, 9, 3, 12]
    codes = [torch.randint(20, (n,)) for n in lengths]
    batch = build_sequences(codes, text, 20)
    variant = LlamaVariant(hidden=96, mask_token=True)
    model = MotionLlama(20, n_layer=2, n_head=4, dim=48, text_dim=8, max_length=32, variant=variant)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for step in range(240):
        MaskedModelling()(model, batch.seeded(step)).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    sampling = MaskedSampling(steps=6, temperature=0.1)
    for made, true in zip(generate_masked(model, text.states, text.mask, lengths, sampling), codes, strict=True):
        assert torch.equal(made.tokens, true)


def test_bad_input(model: MotionLlama, make_model: Make, text: TextFeatures) -> None:
    sampling = MaskedSampling()
    with pytest.raises(InputError, match="mask_token"):
        generate_masked(make_model(), text.states, text.mask, LENGTHS, sampling)
    for lengths in ([1, 2], [0, 1, 2, 3]):
        with pytest.raises(InputError, match="lengths"):
            generate_masked(model, text.states, text.mask, lengths, sampling)
    with pytest.raises(InputError, match="prompt: found 7 tokens"):
        generate_masked(model, text.states, text.mask, [1, 2, 3, 44], sampling)
    with pytest.raises(InputError, match="found 1 seeds, expected 4"):
        generate_masked(model, text.states, text.mask, LENGTHS, sampling, seeds=[1])
    with pytest.raises(InputError, match=r"text: found features \[0, 3, 6\]"):
        generate_masked(model, torch.zeros(0, 3, 6), torch.ones(0, 3), [], sampling)
    model.lm_head.weight.data[2] = float("nan")
    with pytest.raises(InputError, match="logits"):
        generate_masked(model, text.states, text.mask, LENGTHS, sampling)


@pytest.mark.parametrize(
    "bad",
    [
        {"steps": 0},
        {"steps": 2.5},
        {"temperature": 0.0},
        {"temperature": float("inf")},
        {"choice_noise": -1.0},
        {"choice_noise": 1e38},
        {"guidance": -1.0},
        {"seed": -1},
    ],
)
def test_bad_settings(bad: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(bad))):
        MaskedSampling(**bad)  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_half_precision_generates(model: MotionLlama, text: TextFeatures, dtype: torch.dtype, guidance: float) -> None:
    made = generate_masked(model.to(dtype), text.states, text.mask, LENGTHS, MaskedSampling(guidance=guidance))
    assert [len(one.tokens) for one in made] == LENGTHS
