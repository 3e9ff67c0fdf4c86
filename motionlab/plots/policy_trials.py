"""A trained policy: its loss next to that of a policy that knows nothing, and how it acts behind changed conventions.

A `PolicyView` in, a figure out: `views.policy_trials` reads the numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from motionlab.plots.labels import plain
from motionlab.plots.player import PALETTE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_GREY = "#b8bec6"


@dataclass(frozen=True)
class Trial:
    """Episodes behind one change.

    Fields:
        change: what was changed between policy and world.
        successes, grasps, episodes: how many.
        closest_cm: how near the hand came to the cube of the task, mean over episodes.
    """

    change: str
    successes: int
    grasps: int
    episodes: int
    closest_cm: float


@dataclass(frozen=True)
class PolicyView:
    """One way to train, and what became of it; numbers are means over the seeds.

    Fields:
        name: fusion, freezing and standardising in words.
        instruction: the one that the policy was given.
        parameters, trainable: how many.
        ms_a_step: processor time of a training step.
        train_loss, val_loss: of the last step, and on held-out episodes.
        mean_action_loss: of a policy that always does the mean action, on the same episodes.
        pose_mm, gripper_accuracy: on held-out episodes.
        trials: one a change.
        chosen: number of the trial that is looked at.
        seeds: trainings that are behind the means.
    """

    name: str
    instruction: str
    parameters: int
    trainable: int
    ms_a_step: float
    train_loss: float
    val_loss: float
    mean_action_loss: float
    pose_mm: float
    gripper_accuracy: float
    trials: tuple[Trial, ...]
    chosen: int
    seeds: int

    @property
    def trial(self) -> Trial:
        """The one that is looked at."""
        return self.trials[self.chosen]


def policy_figure(view: PolicyView) -> Figure:
    """Losses on the left; on the right how near the hand came to the cube behind each change, and the successes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.6, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.0, 2.2))
    losses = {"mean action": view.mean_action_loss, "held out": view.val_loss, "training": view.train_loss}
    left.bar(list(losses), list(losses.values()), color=[_GREY, PALETTE[0], PALETTE[2]], width=0.6)
    for place, value in enumerate(losses.values()):
        left.text(place, value, f"{value:.2f}", ha="center", va="bottom", fontsize=8)
    left.set_title("loss on stored pictures", fontsize=9)
    left.tick_params(labelsize=8)
    places = list(range(len(view.trials)))[::-1]
    colors = [PALETTE[1] if number == view.chosen else PALETTE[0] for number in range(len(view.trials))]
    right.barh(places, [trial.closest_cm for trial in view.trials], color=colors, height=0.65)
    for place, trial in zip(places, view.trials, strict=True):
        text = f"{trial.successes} of {trial.episodes} succeed"
        right.text(trial.closest_cm + 0.2, place, text, va="center", fontsize=8)
    right.set_yticks(places, [plain(trial.change) for trial in view.trials], fontsize=8)
    right.set_xlim(0, 1.35 * max(trial.closest_cm for trial in view.trials) + 1)
    right.set_xlabel("closest approach to the cube of the task, cm", fontsize=8)
    right.set_title(plain(f"acting, instruction {view.instruction}"), fontsize=9)
    figure.suptitle(plain(view.name), fontsize=10)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    return figure
