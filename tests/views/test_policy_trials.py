"""Kept trainings of policies as one view, and its figure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from motionlab.errors import InputError
from motionlab.plots.policy_trials import policy_figure
from motionlab.views.policy_trials import choices, compute_policy, load_policies


def kept(seed: int = 0, freeze: bool = True) -> dict[str, Any]:
    """A training as the ablation of lesson 14 writes it."""
    return {
        "fusion": "film", "freeze": freeze, "standardise": True, "seed": seed, "parameters": [1000, 900],
        "ms_a_step": 20.0, "loss": 0.1, "val_loss": 0.2 + seed, "val_mean_action_loss": 0.7, "val_pose_mm": 15.0,
        "val_mean_action_mm": 30.0, "val_gripper_accuracy": 0.9,
        "closed_loop": {
            "unchanged": {"of the task": [2, 3, 6, 8.0 + 2 * seed], "another one": [0, 0, 6, 14.0]},
            "rotated": {"of the task": [0, 0, 6, 16.0], "another one": [0, 0, 6, 15.0]},
        },
    }  # fmt: skip


def test_seeds_are_put_together() -> None:
    view = compute_policy([kept(0), kept(1), kept(0, freeze=False)], "film", True, True, "unchanged", "of the task")
    assert (view.seeds, view.val_loss, view.trainable) == (2, 0.7, 900)
    assert (view.trial.successes, view.trial.grasps, view.trial.episodes, view.trial.closest_cm) == (4, 6, 12, 9.0)
    assert compute_policy([kept()], "film", True, True, "rotated", "another one").trial.closest_cm == 15.0
    assert choices([kept()]) == {
        "fusion": ["film"], "change": ["unchanged", "rotated"], "instruction": ["of the task", "another one"],
    }  # fmt: skip


def test_what_was_not_trained_or_tried_is_said() -> None:
    with pytest.raises(InputError, match="film, not frozen, standardised"):
        compute_policy([kept()], "film", False, True, "unchanged", "of the task")
    with pytest.raises(InputError, match="unchanged, rotated"):
        compute_policy([kept()], "film", True, True, "upside down", "of the task")


def test_the_figure_marks_the_change_that_is_looked_at() -> None:
    view = compute_policy([kept()], "film", True, True, "rotated", "of the task")
    _, right = policy_figure(view).axes
    bars: list[Any] = list(right.patches)
    assert bars[0].get_facecolor() != bars[1].get_facecolor() and [bar.get_width() for bar in bars] == [8.0, 16.0]


def test_a_file_that_is_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "kept.json"
    path.write_text(json.dumps({"policies": [kept()]}))
    assert len(load_policies(path)) == 1
    for wrong in ("{", "{}", '{"policies": []}'):
        path.write_text(wrong)
        with pytest.raises(InputError, match="Make it again"):
            load_policies(path)
