"""The compiled step equals the modules and gives the same tokens; without a compiler the reason is said."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable
from typing import Any

import pytest
import torch

from motionlab.llama.decoding.fast import compiled
from motionlab.llama.decoding.fast.compiled import choose_compiled, missing_compiler
from motionlab.llama.decoding.generate import generate
from motionlab.llama.decoding.next_logits import CompiledReader
from motionlab.llama.decoding.sampling import Sampling
from motionlab.llama.model import MotionLlama
from motionlab.text.encoder import TextFeatures

Make = Callable[..., MotionLlama]
MISSING = missing_compiler("cpu")


@pytest.fixture
def uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same function without the compiler: its arithmetic can be tested where there is none, and in no time."""
    monkeypatch.setattr(compiled, "_compiled_step", lambda: compiled._step)


@pytest.mark.parametrize("rows", [[3], [0, 1, 2, 3]], ids=["one", "ragged"])
@torch.no_grad()
def test_every_step_equals_the_modules(make_model: Make, text: TextFeatures, uncompiled: None, rows: list[int]) -> None:
    model, part = make_model(n_kv_heads=2), text.rows(rows)
    reader = CompiledReader(model, part.states, part.mask, 15)
    plain = model.new_cache(len(part), part.mask.shape[1] + 15)
    torch.testing.assert_close(reader.first(), model.prefill(part.states, part.mask, plain), rtol=0, atol=0)
    codes = torch.randint(20, (15, len(part)), generator=torch.Generator().manual_seed(0))
    for at, tokens in enumerate(codes):
        plain.used += 1
        expected = model.step(tokens, part.lengths + at, plain)
        torch.testing.assert_close(reader.next(tokens), expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_half_precision_generates(
    make_model: Make, text: TextFeatures, uncompiled: None, monkeypatch: pytest.MonkeyPatch, dtype: Any, guidance: float
) -> None:
    monkeypatch.setattr(compiled, "missing_compiler", lambda device: None)
    model, sampling = make_model(n_kv_heads=2).to(dtype), Sampling(max_tokens=9, min_tokens=9, guidance=guidance)
    made = generate(model, text.states, text.mask, sampling, compiled=True)
    assert [len(one.tokens) for one in made] == [9] * 4


@pytest.mark.parametrize("more", [{}, {"samples": 3}, {"lengths": [3, 12, 1, 7]}], ids=str)
@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_same_codes_and_ends(
    make_model: Make,
    text: TextFeatures,
    uncompiled: None,
    monkeypatch: pytest.MonkeyPatch,
    more: dict[str, Any],
    guidance: float,
) -> None:
    """Rows that have ended stay in its batch, so that shapes stay; results must not change."""
    model, sampling = make_model(n_kv_heads=2), Sampling(max_tokens=20, temperature=1.5, guidance=guidance)
    monkeypatch.setattr(compiled, "missing_compiler", lambda device: None)
    found = generate(model, text.states, text.mask, sampling, compiled=True, **more)
    expected = generate(model, text.states, text.mask, sampling, compiled=False, **more)
    assert [one.tokens.tolist() for one in found] == [one.tokens.tolist() for one in expected]
    assert [one.stopped_by for one in found] == [one.stopped_by for one in expected]
    assert len({len(one.tokens) for one in found}) > 1, "the test needs rows that end at different steps"


@pytest.mark.slow
@pytest.mark.skipif(MISSING is not None, reason=str(MISSING))
def test_the_compiler_gives_the_same_codes(make_model: Make, text: TextFeatures) -> None:
    model, sampling = make_model(n_layer=1, n_kv_heads=2), Sampling(max_tokens=12, greedy=True)
    found = generate(model, text.states, text.mask, sampling, compiled=True)
    expected = generate(model, text.states, text.mask, sampling, use_cache=False)
    assert [one.tokens.tolist() for one in found] == [one.tokens.tolist() for one in expected]


@pytest.mark.parametrize(
    ("device", "requested", "compiler", "expected"),
    [
        ("cpu", None, True, "no (on a CPU the flat step"),
        ("cpu", False, True, "no (asked for)"),
        ("cpu", True, True, "yes (asked for)"),
        ("cpu", True, False, "no (no compiler: g++ or clang++ not found)"),
        ("cuda", None, True, "yes (a GPU"),
        ("cuda", None, False, "no (no compiler: the package triton"),
        ("cuda", False, True, "no (asked for)"),
        ("mps", None, True, "no (on a MPS"),
    ],
)
def test_every_choice_has_its_reason(
    monkeypatch: pytest.MonkeyPatch, device: str, requested: bool | None, compiler: bool, expected: str
) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(shutil, "which", lambda name: name if compiler else None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name if compiler else None)
    assert str(choose_compiled(device, requested)).startswith(expected)


def test_without_a_compiler_it_goes_on_and_says_so(
    make_model: Make, text: TextFeatures, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, sampling = make_model(), Sampling(max_tokens=8, greedy=True)
    monkeypatch.setattr(compiled, "missing_compiler", lambda device: "no compiler: g++ not found")
    with pytest.warns(UserWarning, match=r"without torch\.compile: no compiler: g\+\+ not found"):
        found = generate(model, text.states, text.mask, sampling, compiled=True)
    expected = generate(model, text.states, text.mask, sampling)
    assert [one.tokens.tolist() for one in found] == [one.tokens.tolist() for one in expected]
