"""Lesson 09: the checks name the mistakes, and the experiments measure what the lesson says."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from torch import nn

from lessons.mixed_precision import experiment as lesson09
from lessons.mixed_precision import runs as lesson09_runs
from lessons.mixed_precision.exercises import amp_step, frozen_share, next_scale, spacing
from lessons.mixed_precision.experiment import (
    logit_gradients,
    moved_share,
    norm_scales,
    probe_autocast,
    scan_scales,
    train,
    train_clipped,
)
from lessons.shared.small_models import sequence_batches, small_decoder
from motionlab.plots.loss_scale import Gradients
from motionlab.views.loss_scale import live
from motionlab.views.number_formats import FORMATS

clip_ = nn.utils.clip_grad_norm_


# ---- exercises -------------------------------------------------------------------------------------------------------
SPACING_MUTANTS = {
    "of 1": (lambda x, m: 2.0**-m, "just above 1"),
    "relative": (lambda x, m: abs(x) * 2.0**-m, "grows with the number"),
    "ceil": (lambda x, m: 2.0 ** (math.ceil(math.log2(abs(x))) - m), "round DOWN"),
    "leading digit counted": (lambda x, m: 2.0 ** (math.floor(math.log2(abs(x))) - m - 1), "not stored"),
    "cut": (lambda x, m: 2.0 ** (int(math.log2(abs(x))) - m), "math.floor does not"),
    "sign": (lambda x, m: 2.0 ** (math.floor(math.log2(x)) - m), "abs(x)"),
    "natural logarithm": (lambda x, m: 2.0 ** (math.floor(math.log(abs(x))) - m), "base 2"),
    "nothing": (lambda x, m: None, "one number"),
}


def _no_reset_after_growth(scale, streak, overflow, interval):
    new, left = next_scale(scale, streak, overflow, interval)
    return (new, streak + 1) if new > scale else (new, left)


SCALE_MUTANTS = {
    "never falls": (lambda s, k, o, n: (s, 0) if o else next_scale(s, k, o, n), "Halve it"),
    "grows on overflow": (lambda s, k, o, n: (s * 2, 0) if o else next_scale(s, k, o, n), "too large: halve"),
    "streak kept": (lambda s, k, o, n: (s / 2, k) if o else next_scale(s, k, o, n), "begin again at 0"),
    "grows at once": (lambda s, k, o, n: (s / 2, 0) if o else (s * 2, k + 1), "waits for"),
    "one late": (
        lambda s, k, o, n: (s / 2, 0) if o else (s * 2, 0) if k == n else (s, k + 1),
        "this step counts too",
    ),
    "no reset": (_no_reset_after_growth, "not set back"),
    "no count": (lambda s, k, o, n: (s / 2, 0) if o else (s, k), "add 1"),
    "a quarter": (lambda s, k, o, n: (s / 4, 0) if o else next_scale(s, k, o, n), "in the story"),
    "one thing": (lambda s, k, o, n: s, "two things"),
}


def _steps(*calls):
    """A step made of named calls, in their order; it returns what the scale tells."""

    def function(loss, parameters, optimizer, scaler, clip):
        before = scaler.get_scale()
        for call in calls:
            match call:
                case "backward":
                    scaler.scale(loss).backward()
                case "plain backward":
                    loss.backward()
                case "unscale":
                    scaler.unscale_(optimizer)
                case "clip":
                    clip_(parameters, clip)
                case "step":
                    scaler.step(optimizer)
                case "plain step":
                    optimizer.step()
                case "update":
                    scaler.update()
                case "zero":
                    optimizer.zero_grad()
        return scaler.get_scale() >= before

    return function


def _returning(value):
    def function(*arguments):
        amp_step(*arguments)
        return value

    return function


STEP_MUTANTS = {
    "clip before unscale": (_steps("backward", "clip", "unscale", "step", "update", "zero"), "before clip_grad_norm_"),
    "never unscaled": (_steps("backward", "clip", "step", "update", "zero"), "before clip_grad_norm_"),
    "not scaled": (_steps("plain backward", "unscale", "clip", "step", "update", "zero"), "never multiplied"),
    "plain step": (_steps("backward", "clip", "plain step", "zero"), "1024 times too large"),
    "plain step, unscaled": (_steps("backward", "unscale", "clip", "plain step", "update", "zero"), "inf gradient"),
    "no clip": (_steps("backward", "step", "update", "zero"), "is not clipped"),
    "no zero": (_steps("backward", "unscale", "clip", "step", "update"), "zero_grad() is missing"),
    "no step": (_steps("backward", "unscale", "clip", "update", "zero"), "does not move"),
    "no update": (_steps("backward", "unscale", "clip", "step", "zero"), "scaler.update() is missing"),
    "returns nothing": (_returning(None), "return whether"),
    "always True": (_returning(True), "False when the step was skipped"),
}

FROZEN_MUTANTS = {
    "in float32": (lambda w, c: float((w + c == w).double().mean()), "in float32"),
    "those that moved": (lambda w, c: 1 - frozen_share(w, c), "those that moved"),
    "a count": (lambda w, c: frozen_share(w, c) * len(w), "Divide"),
    "not rounded first": (
        lambda w, c: float(((w.bfloat16() + torch.tensor(c).bfloat16()).float() == w).double().mean()),
        "ROUNDED",
    ),
    "sign lost": (lambda w, c: frozen_share(w, abs(c)), "Keep the sign"),
    "fp16": (
        lambda w, c: float((w.half() + torch.tensor(c).half() == w.half()).double().mean()),
        "about bf16",
    ),
    "nothing": (lambda w, c: None, "one number"),
}

MUTANTS = {
    "amp.spacing": SPACING_MUTANTS,
    "amp.next_scale": SCALE_MUTANTS,
    "amp.amp_step": STEP_MUTANTS,
    "amp.frozen_share": FROZEN_MUTANTS,
}


def test_every_mistake_is_named(missed_mistakes) -> None:
    assert missed_mistakes(MUTANTS) == {}


def test_references_agree_with_the_package() -> None:
    x = torch.tensor([1.0, -5.0, 0.75, 1000.0, 2.0**-13])
    for name, form in FORMATS.items():
        assert [spacing(float(v), form.mantissa_bits) for v in x] == form.spacing(x).tolist(), name
    ceilings = (20.0, 20.0, 8.0, 20.0, 20.0, 20.0, 20.0)
    gradients = Gradients("", (0, 1), ceilings, ((0.0, 0.0),) * 7)
    scale, streak, found = 1024.0, 0, []
    for ceiling in ceilings:
        found.append(math.log2(scale))
        scale, streak = next_scale(scale, streak, math.log2(scale) > ceiling, 3)
    assert tuple(found) == live(gradients, init_scale=1024.0, growth_interval=3).log2_scale


# ---- experiments -----------------------------------------------------------------------------------------------------
def test_gradients_of_many_codes_vanish_in_fp16_and_a_scale_brings_them_back() -> None:
    """With K codes and N labels a typical number is 1 / (K N): 2.6e-8 here, and fp16 ends at 3e-8."""
    lost, saved = (logit_gradients(65536, torch.float16, scale) for scale in (1.0, 2.0**16))
    assert float((lost == 0).float().mean()) > 0.3
    assert float((saved == 0).float().mean()) == 0


def test_a_scan_finds_the_window_of_good_scales() -> None:
    ceiling, lost = scan_scales(small_decoder(), sequence_batches(4)(0), (-20, 0, 12, 24))
    assert ceiling == 12 and lost[0] > 0.9 and lost[1] < 0.01 and lost[2] == 0


def test_bf16_weights_freeze_the_norms_and_autocast_does_not() -> None:
    shares = {kind: moved_share(small_decoder(), train(kind, steps=2, rows=4).model) for kind in lesson09.KINDS}
    assert shares["bf16 weights"]["norm scales"] == 0 < shares["bf16 weights"]["matrices"]
    assert shares["frozen norms"]["norm scales"] == 0 and shares["frozen norms"]["matrices"] > 0.99
    for kind in ("fp32", "bf16", "fp16"):
        assert shares[kind]["norm scales"] > 0.9, kind
    assert all(torch.equal(p, torch.ones_like(p)) for p in norm_scales(small_decoder()))


def test_a_fixed_scale_of_one_half_power_skips_nothing_and_a_huge_one_everything() -> None:
    assert train("fp16", steps=2, scale=256.0, rows=4).skipped == 0
    done = train("fp16", steps=2, scale=2.0**40, rows=4)
    assert done.skipped == 2 and moved_share(small_decoder(), done.model) == {"norm scales": 0, "matrices": 0}
    assert train("fp16", steps=1, rows=4).scales == [65536.0]


def test_the_clip_function_meets_the_scaled_gradient() -> None:
    def right(scaler: torch.amp.GradScaler, optimizer: torch.optim.Optimizer, parameters: list[nn.Parameter]) -> None:
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(parameters, 0.1)

    def wrong(scaler: torch.amp.GradScaler, optimizer: torch.optim.Optimizer, parameters: list[nn.Parameter]) -> None:
        nn.utils.clip_grad_norm_(parameters, 0.1)
        scaler.unscale_(optimizer)

    (_, true), (_, scaled) = (train_clipped(clip, optimizer="sgd", steps=1, rows=4) for clip in (right, wrong))
    assert true[0] == pytest.approx(0.1, rel=1e-3)  # the true norm is above it
    assert scaled[0] == pytest.approx(0.1 / 65536, rel=1e-3)


def test_probes_find_what_autocast_does_on_a_cpu() -> None:
    found = probe_autocast("cpu")
    assert {"linear", "matmul", "conv1d", "attention"} == set(found["in half"])
    assert {"cross_entropy", "smooth_l1", "mse"} <= set(found["in float32"])
    assert "add (one fp32)" in found["widest"] and "relu" in found["as it comes"]
    assert sum(map(len, found.values())) == len(lesson09._operations("cpu"))


def test_every_kept_point_is_there() -> None:
    path = Path(__file__).resolve().parents[3] / "notebooks" / "results" / "mixed_precision.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    assert record["done"] == [name for name, _ in lesson09_runs.points()]
    assert all(len(values) == 3 for values in record["final"].values())
