"""Policies that were trained in several ways, and how each acts: kept numbers, for `plots.policy_trials` to draw."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from motionlab.errors import InputError
from motionlab.plots.policy_trials import PolicyView, Trial

Kept = Sequence[Mapping[str, Any]]
"""One entry a training, as `lessons/vla/ablation.py` writes them."""
_NUMBERS = {
    "ms_a_step": "ms_a_step", "train_loss": "loss", "val_loss": "val_loss", "mean_action_loss": "val_mean_action_loss",
    "pose_mm": "val_pose_mm", "gripper_accuracy": "val_gripper_accuracy",
}  # fmt: skip


def load_policies(path: str | Path) -> Kept:
    """The trainings of a result file.

    Raises:
        InputError: no such file, or one without trainings.
    """
    try:
        policies: Kept = json.loads(Path(path).read_text(encoding="utf-8"))["policies"]
        choices(policies)
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise InputError(
            path, found=f"{type(error).__name__}: {error}", expected="trainings of policies",
            fix="Make it again: python -m lessons.vla.ablation, in the folder notebooks.",
        ) from None  # fmt: skip
    return policies


def choices(policies: Kept) -> dict[str, list[str]]:
    """All choices: fusions, changes and instructions, in their order."""
    loop = policies[0]["closed_loop"]
    return {
        "fusion": list(dict.fromkeys(one["fusion"] for one in policies)),
        "change": list(loop),
        "instruction": list(next(iter(loop.values()))),
    }


def compute_policy(
    policies: Kept, fusion: str, freeze: bool, standardise: bool, change: str, instruction: str
) -> PolicyView:
    """The trainings of one kind as one view.

    Raises:
        InputError: nobody trained this, or nobody tried this change.
    """
    known = choices(policies)
    for name, value in (("fusion", fusion), ("change", change), ("instruction", instruction)):
        if value not in known[name]:
            raise InputError(name, found=repr(value), expected=", ".join(known[name]), fix="Choose one of these.")
    mine = [
        one for one in policies
        if (one["fusion"], one["freeze"], one["standardise"]) == (fusion, freeze, standardise)
    ]  # fmt: skip
    words = f"{fusion}, {'frozen' if freeze else 'not frozen'}, {'' if standardise else 'not '}standardised"
    if not mine:
        raise InputError("policy", found=words, expected="one that was trained", fix="Choose another combination.")
    trials = tuple(_trial(name, [one["closed_loop"][name][instruction] for one in mine]) for name in known["change"])
    numbers = {name: sum(float(one[key]) for one in mine) / len(mine) for name, key in _NUMBERS.items()}
    total, trainable = mine[0]["parameters"]
    return PolicyView(
        name=words, instruction=instruction, parameters=total, trainable=trainable, trials=trials,
        chosen=known["change"].index(change), seeds=len(mine), **numbers,
    )  # fmt: skip


def _trial(change: str, found: Sequence[Sequence[float]]) -> Trial:
    successes, grasps, episodes = (int(sum(one[i] for one in found)) for i in range(3))
    return Trial(change, successes, grasps, episodes, sum(float(one[3]) for one in found) / len(found))
