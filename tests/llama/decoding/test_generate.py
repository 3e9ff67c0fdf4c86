"""Generating: cached equals plain, a batch equals single rows, stops are reported, nothing is cut silently."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

import motionlab.llama.decoding.generate as generating
from motionlab.errors import InputError
from motionlab.llama.decoding.fast.flat_step import FlatDecoder
from motionlab.llama.decoding.generate import Generated, generate
from motionlab.llama.decoding.next_logits import CachedReader, PlainReader
from motionlab.llama.decoding.sampling import Sampling
from motionlab.llama.model import MotionLlama
from motionlab.text.encoder import TextFeatures

Make = Callable[..., MotionLlama]


def same(first: list[Generated], second: list[Generated]) -> bool:
    return all(
        torch.equal(a.tokens, b.tokens) and a.stopped_by == b.stopped_by for a, b in zip(first, second, strict=True)
    )


@pytest.fixture(params=[4, 2, 1], ids=lambda heads: f"n_kv_heads={heads}")
def model(request: pytest.FixtureRequest, make_model: Make) -> MotionLlama:
    return make_model(n_kv_heads=request.param)


@pytest.mark.parametrize("sampling", [Sampling(max_tokens=30, greedy=True), Sampling(max_tokens=30, seed=1)])
def test_cached_equals_plain_token_for_token(model: MotionLlama, text: TextFeatures, sampling: Sampling) -> None:
    cached = generate(model, text.states, text.mask, sampling)
    plain = generate(model, text.states, text.mask, sampling, use_cache=False)
    assert same(cached, plain)


def test_cached_logits_equal_the_full_forward(model: MotionLlama, text: TextFeatures) -> None:
    codes = torch.randint(20, (4, 12), generator=torch.Generator().manual_seed(1))
    cache = model.new_cache(4, 7 + 12)
    steps = [model.prefill(text.states, text.mask, cache)]
    for at in range(12):
        cache.used += 1
        steps.append(model.step(codes[:, at], text.lengths + at, cache))
    for row, width in enumerate(text.lengths.tolist()):
        tokens = torch.cat([torch.full((width,), model.pad_token), codes[row]])[None]
        full = model(tokens, text.states[row : row + 1, :width], text.mask[row : row + 1, :width])
        expected = full[0, width - 1 :]  # from the last text slot on
        torch.testing.assert_close(torch.stack(steps)[:, row], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("use_cache", [True, False])
def test_together_equals_alone_with_different_texts_and_ends(
    model: MotionLlama, text: TextFeatures, use_cache: bool
) -> None:
    sampling, seeds = Sampling(max_tokens=30, temperature=1.5), [11, 12, 13, 14]
    together = generate(model, text.states, text.mask, sampling, seeds=seeds, use_cache=use_cache)
    alone = [
        generate(model, part.states, part.mask, sampling, seeds=[seed], use_cache=use_cache)[0]
        for part, seed in ((text.rows([row]), seed) for row, seed in enumerate(seeds))
    ]
    assert same(together, alone)
    assert len({len(one.tokens) for one in together}) > 1, "the test needs rows that end at different steps"


def test_default_seeds_count_up(make_model: Make, text: TextFeatures) -> None:
    model, sampling = make_model(), Sampling(max_tokens=20, seed=40)
    given_seeds = generate(model, text.states, text.mask, sampling, seeds=[40, 41, 42, 43])
    assert same(generate(model, text.states, text.mask, sampling), given_seeds)
    other = generate(model, text.states, text.mask, Sampling(max_tokens=20, seed=90))
    assert not same(given_seeds, other)


def always_end(model: MotionLlama, wins: bool) -> MotionLlama:
    """END gets the largest logit always, or never: every code has logit 0 and END the sign of `wins`."""

    class Fixed(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            logits = torch.zeros(*x.shape[:-1], model.end_token + 1)
            logits[..., model.end_token] = 100.0 if wins else -100.0
            return logits

    model.lm_head = Fixed()  # type: ignore[assignment]
    return model


def test_limit_is_reported(make_model: Make, text: TextFeatures) -> None:
    model = always_end(make_model(), wins=False)
    for one in generate(model, text.states, text.mask, Sampling(max_tokens=9)):
        assert one.stopped_by == "limit" and len(one.tokens) == 9


@pytest.mark.parametrize("min_tokens", [0, 1, 4])
def test_end_stops_but_not_before_min_tokens(make_model: Make, text: TextFeatures, min_tokens: int) -> None:
    model = always_end(make_model(), wins=True)
    for greedy in (True, False):
        sampling = Sampling(max_tokens=9, min_tokens=min_tokens, greedy=greedy)
        for one in generate(model, text.states, text.mask, sampling):
            assert one.stopped_by == "end" and len(one.tokens) == min_tokens
            assert (one.tokens < model.end_token).all()


def test_end_as_the_last_allowed_token_is_an_end(make_model: Make, text: TextFeatures) -> None:
    """max_tokens=1, min_tokens=0 and END at once: an empty motion that ended, not one that was cut."""
    model = always_end(make_model(), wins=True)
    for one in generate(model, text.states, text.mask, Sampling(max_tokens=1, min_tokens=0)):
        assert one.stopped_by == "end" and len(one.tokens) == 0


def test_the_mode_of_the_model_is_put_back(make_model: Make, text: TextFeatures) -> None:
    model = make_model().train()
    generate(model, text.states, text.mask, Sampling(max_tokens=2))
    assert model.training


def test_tokens_can_be_used_outside(make_model: Make, text: TextFeatures) -> None:
    """The result must not be an inference-mode tensor: autograd would refuse to save it."""
    tokens = generate(make_model(), text.states, text.mask, Sampling(max_tokens=2))[0].tokens
    table = torch.nn.Embedding(30, 3)
    table(tokens).sum().backward()
    assert table.weight.grad is not None


GUIDED = Sampling(max_tokens=20, guidance=2.5, temperature=1.5)


@pytest.mark.parametrize("use_cache", [True, False])
def test_guidance_together_equals_alone(model: MotionLlama, text: TextFeatures, use_cache: bool) -> None:
    seeds = [11, 12, 13, 14]
    together = generate(model, text.states, text.mask, GUIDED, seeds=seeds, use_cache=use_cache)
    alone = [
        generate(model, part.states, part.mask, GUIDED, seeds=[seed])[0]
        for part, seed in ((text.rows([row]), seed) for row, seed in enumerate(seeds))
    ]
    assert same(together, alone)
    assert not same(together, generate(model, text.states, text.mask, replace(GUIDED, guidance=1.0), seeds=seeds))


def test_guidance_is_its_formula(make_model: Make, text: TextFeatures) -> None:
    """The first code: logits without text plus scale times the difference."""
    model, part = make_model(), text.rows([3])
    pad = torch.full((1, 7), model.pad_token)
    with_text = model(pad, part.states, part.mask)[0, -1]
    without = model(pad[:, :1], torch.zeros(1, 1, 6), torch.ones(1, 1))[0, -1]
    for scale in (0.0, 1.0, 4.0):
        guided = without + scale * (with_text - without)
        guided[model.end_token] = float("-inf")
        sampling = Sampling(max_tokens=1, greedy=True, guidance=scale)
        assert generate(model, part.states, part.mask, sampling)[0].tokens.tolist() == [int(guided.argmax())]


def test_without_text_the_prompt_does_not_matter(make_model: Make, text: TextFeatures) -> None:
    made = generate(make_model(), text.states, text.mask, Sampling(max_tokens=15, greedy=True, guidance=0.0))
    assert all(torch.equal(one.tokens, made[0].tokens) for one in made)


def test_several_samples_of_a_text_equal_separate_calls(model: MotionLlama, text: TextFeatures) -> None:
    for sampling in (Sampling(max_tokens=20, temperature=1.5), GUIDED):
        made = generate(model, text.states, text.mask, sampling, samples=3, seeds=list(range(12)))
        repeated = text.rows([0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3])
        assert same(made, generate(model, repeated.states, repeated.mask, sampling, seeds=list(range(12))))
    assert not torch.equal(made[0].tokens, made[1].tokens)


def test_the_text_is_read_once(make_model: Make, text: TextFeatures, monkeypatch: pytest.MonkeyPatch) -> None:
    model, read = make_model(), []
    layers = model._layers
    monkeypatch.setattr(model, "_layers", lambda x, *rest: (read.append(tuple(x.shape[:2])), layers(x, *rest))[1])
    step = FlatDecoder.step
    monkeypatch.setattr(
        FlatDecoder, "step", lambda self, tokens, *rest: (read.append((len(tokens), 1)), step(self, tokens, *rest))[1]
    )
    generate(model, text.states, text.mask, Sampling(max_tokens=5, min_tokens=5), samples=2)
    assert read == [(4, 7)] + [(8, 1)] * 4  # four texts of up to 7 tokens, then one code per sample and step


@pytest.mark.parametrize("use_cache", [True, False])
def test_given_lengths(model: MotionLlama, text: TextFeatures, use_cache: bool) -> None:
    lengths = [9, 1, 20, 9]
    made = generate(model, text.states, text.mask, Sampling(max_tokens=20), lengths=lengths, use_cache=use_cache)
    assert [len(one.tokens) for one in made] == lengths
    for one in made:
        assert one.stopped_by == "length" and (one.tokens < model.end_token).all()
    alone = text.rows([2])
    again = generate(model, alone.states, alone.mask, Sampling(max_tokens=20), seeds=[2], lengths=[20])
    assert same(made[2:3], again)


@pytest.mark.parametrize("lengths", [[1, 2, 3], [0, 1, 2, 3], [1, 2, 3, 21]])
def test_bad_lengths(make_model: Make, text: TextFeatures, lengths: list[int]) -> None:
    with pytest.raises(InputError, match="lengths: found .* 4 numbers from 1 to max_tokens=20"):
        generate(make_model(), text.states, text.mask, Sampling(max_tokens=20), lengths=lengths)


def test_no_run_is_written_twice(model: MotionLlama, text: TextFeatures) -> None:
    sampling = Sampling(max_tokens=30, min_tokens=30, temperature=0.3)

    def repeats(sampling: Sampling) -> int:
        count = 0
        for one in generate(model, text.states, text.mask, sampling):
            runs = [tuple(run) for run in one.tokens.unfold(0, 3, 1).tolist()]
            count += len(runs) - len(set(runs))
        return count

    assert repeats(sampling) > 0
    assert repeats(replace(sampling, no_repeat_ngram=3)) == 0


def test_a_penalty_makes_codes_more_varied(make_model: Make, text: TextFeatures) -> None:
    def distinct(penalty: float) -> int:
        sampling = Sampling(max_tokens=15, min_tokens=15, greedy=True, repetition_penalty=penalty)
        return sum(len(one.tokens.unique()) for one in generate(make_model(), text.states, text.mask, sampling))

    assert distinct(1e6) > 50 > distinct(1.0)  # of 4 x 15


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("use_cache", [True, False])
def test_logits_that_are_no_numbers(make_model: Make, text: TextFeatures, value: float, use_cache: bool) -> None:
    model = make_model()
    model.lm_head.weight.data[4] = value
    with pytest.raises(InputError, match="logits: found NaN or infinity at code 0"):
        generate(model, text.states, text.mask, Sampling(max_tokens=5), use_cache=use_cache)


def test_text_features_that_are_no_numbers(make_model: Make, text: TextFeatures) -> None:
    states = text.states.clone()
    states[0, 0, 0] = float("nan")
    with pytest.raises(InputError, match="logits: found NaN"):
        generate(make_model(), states, text.mask, Sampling(max_tokens=5))


def test_a_batch_of_zero(make_model: Make) -> None:
    with pytest.raises(InputError, match=r"text: found features \[0, 3, 6\].*B at least 1"):
        generate(make_model(), torch.zeros(0, 3, 6), torch.ones(0, 3), Sampling(max_tokens=5))
    with pytest.raises(InputError, match="samples: found 0"):
        generate(make_model(), torch.zeros(1, 3, 6), torch.ones(1, 3), Sampling(max_tokens=5), samples=0)


def test_a_masked_decoder_is_sent_to_its_own_way(make_model: Make, text: TextFeatures) -> None:
    with pytest.raises(InputError, match="generate_masked"):
        generate(make_model(mask_token=True), text.states, text.mask, Sampling(max_tokens=5))


def test_prompt_over_the_limit_says_both_numbers(make_model: Make, text: TextFeatures) -> None:
    model = make_model(max_length=30)
    generate(model, text.states, text.mask, Sampling(max_tokens=22, greedy=True))  # 7 + 22 + END = 30 fits
    with pytest.raises(InputError, match="prompt: found 7 tokens, expected at most 6"):
        generate(model, text.states, text.mask, Sampling(max_tokens=23, greedy=True))


@pytest.mark.parametrize("max_tokens", [29, 30, 99_999])
def test_a_limit_beyond_the_model_is_a_sensible_number(make_model: Make, text: TextFeatures, max_tokens: int) -> None:
    with pytest.raises(InputError, match=rf"^max_tokens: found {max_tokens}, expected 1 to 28: the model has 30"):
        generate(make_model(max_length=30), text.states, text.mask, Sampling(max_tokens=max_tokens))


def test_bad_text(make_model: Make, text: TextFeatures) -> None:
    model, sampling = make_model(), Sampling(max_tokens=3)
    with pytest.raises(InputError, match="text encoder that the model was trained with"):
        generate(model, text.states[..., :4], text.mask, sampling)
    empty, gap = text.mask.clone(), text.mask.clone()
    empty[2] = False
    gap[3, 2] = False
    for mask in (empty, gap):
        with pytest.raises(InputError, match="text_mask"):
            generate(model, text.states, mask, sampling)
    with pytest.raises(InputError, match="found 3 seeds, expected 4"):
        generate(model, text.states, text.mask, sampling, seeds=[1, 2, 3])


@pytest.mark.parametrize(
    ("rows", "weights", "options", "expected"),
    [
        (4, 1.0, {}, 1),
        (3, 1.0, {}, 2),
        (4, 0.9, {}, 2),
        (4, 1.0, {"guidance": 2.0}, 2),
        (8, 1.0, {"guidance": 2.0}, 1),
        (4, 1.0, {"use_cache": False}, 2),
    ],
)
def test_little_work_is_done_by_one_thread(
    make_model: Make,
    text: TextFeatures,
    monkeypatch: pytest.MonkeyPatch,
    rows: int,
    weights: float,
    options: dict[str, Any],
    expected: int,
) -> None:
    """The text has four rows; guidance doubles them."""
    model, threads, before = make_model(), [], torch.get_num_threads()
    monkeypatch.setattr(generating, "FEW_ROWS", rows)
    monkeypatch.setattr(generating, "FEW_WEIGHTS", weights * sum(p.numel() for p in model.parameters()))
    monkeypatch.setattr(generating, "check_logits", lambda logits, step: threads.append(torch.get_num_threads()))
    guidance, use_cache = options.get("guidance", 1.0), options.get("use_cache", True)
    try:
        torch.set_num_threads(2)
        generate(model, text.states, text.mask, Sampling(max_tokens=3, guidance=guidance), use_cache=use_cache)
        assert set(threads) == {expected}
        assert torch.get_num_threads() == 2, "as it was"
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("guidance", [1.0, 2.5])
@pytest.mark.parametrize("use_cache", [True, False])
def test_half_precision_generates(
    make_model: Make, text: TextFeatures, dtype: torch.dtype, guidance: float, use_cache: bool
) -> None:
    """The text comes in float32, as every encoder gives it."""
    model = make_model(n_kv_heads=2).to(dtype)
    sampling = Sampling(max_tokens=12, min_tokens=12, guidance=guidance)
    made = generate(model, text.states, text.mask, sampling, use_cache=use_cache)
    assert [len(one.tokens) for one in made] == [12] * 4
    assert same(made, generate(model, text.states.to(dtype), text.mask, sampling, use_cache=use_cache))


@pytest.mark.parametrize("kind", [CachedReader, PlainReader])
@pytest.mark.parametrize(("dtype", "error"), [(torch.bfloat16, 0.1), (torch.float16, 0.02)])
@torch.no_grad()
def test_half_precision_reads_what_float32_reads(
    make_model: Make, text: TextFeatures, kind: Any, dtype: torch.dtype, error: float
) -> None:
    found = []
    for model in (make_model(n_kv_heads=2).to(dtype), make_model(n_kv_heads=2).to(dtype).float()):
        options = (6,) if kind is CachedReader else ()
        reader = kind(model, text.states * text.mask[..., None], text.mask, *options)
        found.append(torch.stack([reader.first(), *(reader.next(torch.full((4,), at)) for at in range(5))]).float())
    half, exact = found
    assert half.std() > 0.1 and (half - exact).square().mean().sqrt() < error * exact.std()
