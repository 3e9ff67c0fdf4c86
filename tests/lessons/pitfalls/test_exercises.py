"""Lesson 16: the checks name the mistakes, and the broken functions that the lesson shows are among them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
import torch

from lessons.pitfalls.exercises import EXERCISES, _policies, sees_both
from motionlab.teaching.exercise import run_check

NOTEBOOKS = Path(__file__).resolve().parents[3] / "notebooks"
LESSON = (NOTEBOOKS / "16_pitfalls.ipynb", NOTEBOOKS / "appendix" / "16_pitfalls.ipynb")


def _by_name(names, test_of):
    return [n for n in names if not test_of(n)], [n for n in names if test_of(n)]


def _groups_of(model, wanted):
    return [p for name, p in model.named_parameters() if wanted(name)]


def _changes_both(policy):
    return not torch.equal(policy(torch.ones(4), torch.ones(4)), policy(2 * torch.ones(4), -torch.ones(4)))


def _picture_only(policy):
    return not torch.equal(policy(torch.ones(4), torch.ones(4)), policy(2 * torch.ones(4), torch.ones(4)))


def _from_zero(policy):
    zero, one = torch.zeros(4), torch.arange(1.0, 5)
    return not torch.equal(policy(zero, zero), policy(one, zero)) and not torch.equal(
        policy(zero, zero), policy(zero, one)
    )


MUTANTS = {
    "pitfalls.epoch_mean": {
        "mean of means": (lambda b, m: float(torch.stack([x.mean() for x in b[:m]]).mean()), "mean of means"),
        "planned": (lambda b, m: sum(float(x.sum()) for x in b[:m]) / sum(len(x) for x in b), "what was planned"),
        "no stop": (lambda b, m: float(torch.cat(list(b)).mean()), "max_batches is not looked at"),
        "sum": (lambda b, m: float(torch.cat(list(b)[:m]).sum()), "that is the sum"),
        "nothing": (lambda b, m: None, "one number"),
    },
    "pitfalls.pool": {
        "mask unused": (lambda s, m: s.mean(1), "not used"),
        "divisor": (lambda s, m: (s * m.unsqueeze(-1)).mean(1), "in the divisor"),
        "multiplied": (lambda s, m: (s * m.unsqueeze(-1)).sum(1) / m.sum(1, keepdim=True), "0 times NaN"),
        "wrong dimension": (lambda s, m: s.mean(2), "one vector a sentence"),
        "first token": (lambda s, m: s[:, 0], "neither sentence"),
    },
    "pitfalls.split": {
        "clips": (lambda names: (names[: -len(names) // 5], names[1::5]), "exactly one list"),
        "leak": (lambda names: ([n for i, n in enumerate(names) if i % 5], names[::5]), "on both sides"),
        "originals only": (
            lambda names: _by_name([n for n in names if n[0] != "M"], lambda n: int(n) % 5 == 0),
            "were lost",
        ),
        "swapped": (lambda names: _by_name(names, lambda n: int(n.strip("M")) % 5 != 0), "swapped"),
        "half": (lambda names: _by_name(names, lambda n: int(n.strip("M")) % 2 == 0), "every fifth"),
        "no test": (lambda names: (names, []), "is empty"),
    },
    "pitfalls.chunk_loss": {
        "wrong name": (lambda e, b: e.mean(), "nothing is masked"),
        "divisor": (lambda e, b: (e * ~b["action_is_pad"]).mean(), "still counted"),
        "inverted": (lambda e, b: e[b["action_is_pad"]].mean(), "NO action"),
        "mean of means": (
            lambda e, b: ((e * ~b["action_is_pad"]).sum(1) / (~b["action_is_pad"]).sum(1)).mean(),
            "mean of means",
        ),
        "silent": (lambda e, b: e[~b.get("action_is_pad", torch.zeros_like(e).bool())].mean(), "KeyError"),
    },
    "pitfalls.groups": {
        "forgotten": (
            lambda m, lr: [
                {"params": list(m.encoder.parameters()) + list(m.header.parameters()), "lr": lr},
                {"params": list(m.head.parameters()), "lr": 2 * lr},
            ],
            "positions is in no group",
        ),
        "frozen": (
            lambda m, lr: [
                {"params": _groups_of(m, lambda n: not n.startswith("head.")), "lr": lr},
                {"params": _groups_of(m, lambda n: n.startswith("head.")), "lr": 2 * lr},
            ],
            "wants no gradient",
        ),
        "header": (
            lambda m, lr: [
                {"params": _groups_of(m, lambda n: n[:4] != "head" and n[:6] != "frozen"), "lr": lr},
                {"params": _groups_of(m, lambda n: n[:4] == "head"), "lr": 2 * lr},
            ],
            "header.weight should have the rate 0.1",
        ),
        "twice": (
            lambda m, lr: [
                {"params": _groups_of(m, lambda n: n[:6] != "frozen"), "lr": lr},
                {"params": list(m.head.parameters()), "lr": 2 * lr},
            ],
            "in two places",
        ),
    },
    "pitfalls.sees_both": {
        "always": (lambda policy: True, "passes everything"),
        "never": (lambda policy: False, "refuses a sound one"),
        "both at once": (_changes_both, "Change one input at a time"),
        "picture only": (_picture_only, "passes one that never reads the sentence"),
        "from zero": (_from_zero, "zeros hide"),
        "a tensor": (lambda policy: torch.tensor(True), "True or False"),
    },
}


def test_every_mistake_is_named(missed_mistakes) -> None:
    assert missed_mistakes(MUTANTS) == {}
    assert set(MUTANTS) == {exercise.name for exercise in EXERCISES}


def test_the_policies_are_what_they_are_called() -> None:
    assert {name: sees_both(policy) for name, (policy, _) in _policies().items()} == {
        name: sound for name, (_, sound) in _policies().items()
    }


@pytest.mark.parametrize("name", [exercise.name for exercise in EXERCISES if exercise.name != "pitfalls.sees_both"])
def test_the_broken_function_that_the_lesson_shows_is_refused(name: str) -> None:
    """The text above a stub shows the function to be fixed; it has to be wrong, in a way that the check names."""
    cells = [cell for path in LESSON for cell in nbformat.read(path, as_version=4).cells]
    at = next(i for i, cell in enumerate(cells) if f'@ml.exercise("{name}")' in cell.source)
    (block,) = re.findall(r"```python\n(.*?)```", cells[at - 1].source, re.DOTALL)
    assert 4 <= len(block.splitlines()) <= 12
    space: dict[str, Any] = {"torch": torch}
    exec(block, space)
    verdict = run_check(name, space[name.split(".")[1]])
    assert verdict.startswith("✗") and "raised" not in verdict, verdict
