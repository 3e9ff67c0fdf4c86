"""The checks of lesson 04: the reference passes, and each typical mistake gets the message that names it."""

from __future__ import annotations

import math

import torch

from lessons.parameters_and_memory import exercises as lesson04
from motionlab.config import TokenizerConfig
from motionlab.cost.measure import one_hot_counts
from motionlab.cost.parameters import tokenizer_parameters, training_memory
from motionlab.cost.settings import StepSettings
from motionlab.cost.tokenizer_step import largest_batch, step_memory

STATES = {"sgd": 0, "momentum": 1, "adamw": 2}


def _only_last(batches, size):
    for batch in batches:
        counts = torch.bincount(batch.reshape(-1), minlength=size)
    return counts


def _together(batches, size):
    return torch.bincount(torch.cat(batches).reshape(-1), minlength=size)


def _one_hot(batches, size):
    return sum(one_hot_counts(batch, size) for batch in batches)


def _seen(batches, size):
    counts = torch.zeros(size, dtype=torch.int64)
    for batch in batches:
        counts[batch.reshape(-1)] = 1
    return counts


def _overwritten(batches, size):
    counts = torch.zeros(size, dtype=torch.int64)
    for batch in batches:
        counts[batch.reshape(-1)] += 1  # a code that occurs twice in a batch is counted once
    return counts


MUTANTS = {
    "params.conv": {
        "no bias": (lambda i, o, k: i * o * k, "only the weights"),
        "bias of the input": (lambda i, o, k: i * o * k + i, "INPUT channel"),
        "no kernel": (lambda i, o, k: i * o + o, "kernel is missing"),
        "kernel times bias": (lambda i, o, k: (i * o + o) * k, "biases were multiplied"),
        "two dimensions": (lambda i, o, k: i * o * k * k + o, "two-dimensional"),
        "one bias": (lambda i, o, k: i * o * k + 1, "whole layer"),
        "a fixed kernel": (lambda i, o, k: i * o * 3 + o, "use the arguments"),
        "a float": (lambda i, o, k: float(i * o * k + o), "whole numbers"),
        "something else": (lambda i, o, k: 7, "should have 418,304"),
    },
    "memory.parameter_bytes": {
        "no gradients": (lambda p, o: 4 * (1 + STATES[o]) * p, "one of the copies is missing"),
        "always adamw": (lambda p, o: 16 * p, "all three optimizers give the same"),
        "numbers": (lambda p, o: (2 + STATES[o]) * p, "not bytes"),
        "half precision": (lambda p, o: 2 * (2 + STATES[o]) * p, "stay float32"),
        "one average": (lambda p, o: 4 * (2 + min(STATES[o], 1)) * p, "two numbers for each parameter"),
        "momentum forgotten": (lambda p, o: 4 * (4 if o == "adamw" else 2) * p, "with momentum should take 12,000"),
        "text": (lambda p, o: "many", "one number"),
    },
    "memory.largest_batch": {
        "no fixed part": (lambda f, c, b: b // c, "fixed part is missing"),
        "rounded up": (lambda f, c, b: max(0, math.ceil((b - f) / c)), "round down"),
        "strict": (lambda f, c, b: max(0, (b - f - 1) // c), "With a budget of 330 they fit"),
        "one too few": (lambda f, c, b: max(0, (b - f) // c - 1), "you allow 49"),
        "negative": (lambda f, c, b: (b - f) // c, "should give 0"),
        "a float": (lambda f, c, b: (b - f) / c, "whole number of clips"),
    },
    "memory.count_codes": {
        "one-hot": (_one_hot, "matrix"),
        "all together": (_together, "grows with the data"),
        "only the last": (_only_last, "only the last batch"),
        "no minlength": (lambda b, k: torch.bincount(torch.cat(b).reshape(-1)), "Use minlength"),
        "shares": (lambda b, k: lesson04.count_codes(b, k) / 100_000, "these are shares"),
        "seen or not": (_seen, "counted each time"),
        "once a batch": (_overwritten, "counts are wrong"),
        "a list": (lambda b, k: lesson04.count_codes(b, k).tolist(), "should be a tensor"),
        "broken": (lambda b, k: b.bincounts(), "raised AttributeError"),
    },
}


def test_every_mistake_is_named(missed_mistakes) -> None:
    assert missed_mistakes(MUTANTS) == {}


def test_references_agree_with_the_package() -> None:
    config = TokenizerConfig()
    rows = {row.name: row.count for row in tokenizer_parameters(config, prefix="")}
    for name, sizes in (("encoder.model.1", (272, 512, 3)), ("encoder.model.3.0", (512, 512, 4))):
        assert lesson04.conv_parameters(*sizes) == rows[f"{name}.weight"] + rows[f"{name}.bias"]
    assert lesson04.parameter_bytes(11_349_782, "adamw") == training_memory(11_349_782).total
    at = {n: step_memory(config, StepSettings(batch=n)).peak for n in (64, 128)}
    per_clip = (at[128] - at[64]) // 64
    by_line = lesson04.largest_batch(at[64] - 64 * per_clip, per_clip, 2**30)
    assert by_line == largest_batch(config, StepSettings(), 2**30)
