"""The panel of lesson 14: how a policy was trained, what is changed when it acts, and what becomes of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import ipywidgets as W

from motionlab.plots.policy_trials import PolicyView, policy_figure
from motionlab.views.policy_trials import Kept, choices, compute_policy
from motionlab.widgets.panel import Panel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FIRST = {"freeze": True, "standardise": True}


class PolicyPanel(Panel):
    """Choose fusion, freezing and standardising of a trained policy, and a change in its closed loop.

    Args:
        policies: from `views.load_policies`.
    """

    PRESETS: ClassVar = {
        "as trained": {**_FIRST, "fusion": "spatial FiLM", "change": "unchanged", "instruction": "of the task"},
        "picture rotated": {
            **_FIRST, "fusion": "spatial FiLM", "change": "images rotated by 180 degrees", "instruction": "of the task",
        },
        "pooled": {
            **_FIRST, "fusion": "cross-attention, one vector a view", "change": "unchanged",
            "instruction": "of the task",
        },
        "another instruction": {
            **_FIRST, "fusion": "spatial FiLM", "change": "unchanged", "instruction": "another one",
        },
    }  # fmt: skip

    def __init__(self, policies: Kept) -> None:
        self.policies = policies
        super().__init__()

    def make_controls(self) -> dict[str, Any]:
        known = choices(self.policies)
        style, wide = {"description_width": "90px"}, W.Layout(width="420px")
        return {
            "fusion": W.Dropdown(options=known["fusion"], description="fusion", style=style, layout=wide),
            "freeze": W.Checkbox(True, description="backbone frozen", style=style),
            "standardise": W.Checkbox(True, description="features standardised", style=style),
            "change": W.Dropdown(options=known["change"], description="changed", style=style, layout=wide),
            "instruction": W.Dropdown(
                options=known["instruction"], description="instruction", style=style, layout=wide
            ),
        }

    def compute(self, **params: Any) -> PolicyView:  # type: ignore[override]  # not static: it knows the policies
        return compute_policy(self.policies, **params)

    def picture(self, result: PolicyView) -> Figure:
        return policy_figure(result)

    def describe(self, result: PolicyView) -> str:
        trial = result.trial
        return (
            f"held-out loss ≈{result.val_loss:.3g}, mean action ≈{result.mean_action_loss:.3g} | "
            f"{trial.successes} of {trial.episodes} succeed, {trial.grasps} grasp, "
            f"hand within ≈{trial.closest_cm:.2g} cm of the cube"
        )

    def rows(self, result: PolicyView) -> Sequence[Sequence[str]]:
        lines: list[Sequence[str]] = [("changed", "success", "grasp", "closest, cm")]
        for trial in result.trials:
            counts = (f"{trial.successes} of {trial.episodes}", f"{trial.grasps} of {trial.episodes}")
            lines.append((trial.change, *counts, f"≈{trial.closest_cm:.3g}"))
        return lines
