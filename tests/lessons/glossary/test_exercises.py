"""Lesson 17: its checks name the mistakes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from lessons.glossary import exercises as lesson17
from motionlab.teaching.exercise import run_check

RIGHT = list(lesson17.RIDDLES)


def directly(allow: torch.Tensor, changed: list[int]) -> list[int]:
    stale = allow[:, changed].any(1)
    stale[changed] = True
    return (~stale).nonzero().flatten().tolist()


def frozen_by(*tests: str) -> Callable[..., list[str]]:
    return lambda part, optimizer: [name for name in lesson17.not_frozen(part, optimizer) if name in tests]


def outer_eval(part: torch.nn.Module, optimizer: Any) -> list[str]:
    found = [name for name in lesson17.not_frozen(part, optimizer) if name != "eval"]
    return [name for name in ("gradient", "eval", "optimizer") if name in found or (name == "eval" and part.training)]


def first_gradient(part: torch.nn.Module, optimizer: Any) -> list[str]:
    found = [name for name in lesson17.not_frozen(part, optimizer) if name != "gradient"]
    return ["gradient", *found] if next(part.parameters()).requires_grad else found


MUTANTS: dict[str, dict[str, tuple[Callable[..., Any], str]]] = {
    "glossary.block_flags": {
        "labels": (lambda groups: [int(g in ("state", "action")) for g in groups], "labels every token"),
        "one suffix": (lambda groups: [int(g == "state") for g in groups], "share the block of the state"),
        "text apart": (
            lambda groups: [int(i > 0 and g != groups[i - 1]) for i, g in enumerate(groups)],
            "the text opens a block",
        ),
        "first": (lambda groups: [1, *lesson17.block_flags(groups)[1:]], "nothing stands before it"),
        "causal": (lambda groups: [0, *[1] * (len(groups) - 1)], "should be [0, 0, 0, 0, 1, 1, 0, 0]"),
        "only with a state": (
            lambda groups: lesson17.block_flags(groups) if "state" in groups else [0] * len(groups), "[0, 1, 0]",
        ),
        "too few": (lambda groups: [0], "one flag per token"),
    },
    "glossary.still_valid": {
        "one layer": (directly, "second layer"),
        "itself": (lambda allow, changed: sorted({*changed, *lesson17.still_valid(allow, changed)}), "itself is stale"),
        "the others": (
            lambda allow, changed: sorted(set(range(len(allow))) - set(lesson17.still_valid(allow, changed))),
            "itself is stale",
        ),
        "columns": (lambda allow, changed: lesson17.still_valid(allow.T, changed), "swapped"),
        "none": (lambda allow, changed: [], "[3, 4] stay right"),
        "always": (lambda allow, changed: [3, 4], "everything may be kept"),
    },
    "glossary.name_the_terms": {
        "one word wrong": (lambda riddles: [RIGHT[0], "codebook", *RIGHT[2:]], "riddle 2: codebook (码本) means"),
        "no term": (lambda riddles: ["teacher", *RIGHT[1:]], "'teacher' is not in the glossary"),
        "too few": (lambda riddles: RIGHT[:4], "a list of 5 terms"),
    },
    "glossary.not_frozen": {
        "nothing": (lambda part, optimizer: None, "return a list"),
        "gradient only": (frozen_by("gradient", "optimizer"), "requires_grad is not enough"),
        "outer module": (outer_eval, "look at all modules"),
        "first parameter": (first_gradient, "all parameters"),
        "no optimizer": (frozen_by("gradient", "eval"), "by identity"),
        "another order": (lambda part, optimizer: lesson17.not_frozen(part, optimizer)[::-1], "the order"),
    },
    "glossary.verdict": {
        "the best": (
            lambda known, new, good: lesson17.verdict(known, [min(new)], good), "compare the last errors",
        ),
        "new first": (
            lambda known, new, good: "overfitting" if new[-1] > known[-1] + good else lesson17.verdict(known, new, 0.2),
            "fitting comes first",
        ),
        "the gap": (
            lambda known, new, good: (
                "overfitting" if known[-1] <= good and new[-1] > 2 * known[-1] else lesson17.verdict(known, new, good)
            ),
            "no fault",
        ),
        "other words": (lambda known, new, good: "fine", "the answer should be"),
        "always": (lambda known, new, good: "generalises", "this is 'underfitting'"),
    },
}  # fmt: skip


def test_every_mistake_is_named(missed_mistakes) -> None:
    assert missed_mistakes(MUTANTS) == {}


def test_terms_that_one_demonstration_shows_are_all_right() -> None:
    other = ["teacher forcing", "codebook collapse", "weight decay", "foot skating", "loss scaling"]
    assert run_check("glossary.name_the_terms", lambda riddles: other).startswith("✓")


def test_a_riddle_does_not_hold_its_answer() -> None:
    for riddle, term in zip(lesson17.riddles(), lesson17.RIDDLES, strict=True):
        assert term not in riddle
