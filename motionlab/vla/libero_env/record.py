"""Demonstrations of the expert in LIBERO, in LIBERO's own layout, with what is not LIBERO's said in the file.

As on the table (`demonstrations.py`), some are carried out with noise while the label stays the clean action of the
expert. Files are made where you say and are never part of this package: their pictures show LIBERO's scenes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from motionlab.errors import InputError
from motionlab.vla.libero.hdf5 import h5py
from motionlab.vla.libero.layout import Episode
from motionlab.vla.libero.write import write_libero
from motionlab.vla.libero_env.env import LiberoEnv
from motionlab.vla.libero_env.expert import LiberoExpert
from motionlab.vla.observation import POSE_DIMS

MOST_STEPS = 300


@dataclass(frozen=True)
class Noise:
    """Noise on the six numbers of the pose of executed actions.

    Fields:
        sd: standard deviation, in units of an action.
        seed: another one gives other noise.

    Raises:
        InputError: a deviation below 0 or above 1.
    """

    sd: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.sd <= 1:
            raise InputError("noise", found=self.sd, expected="0 to 1 units of an action", fix="Choose another one.")


def follow_expert(env: LiberoEnv, task: int, state: int, most_steps: int = MOST_STEPS) -> int | None:
    """How many steps the expert needs from an initial state; None when it does not succeed in time. Draws nothing."""
    env.begin(task, state)
    expert = LiberoExpert(env)
    for steps in range(most_steps + 1):
        if env.success():
            return steps
        if steps < most_steps:
            env.act(expert.decide())
    return None


def demonstrate(
    env: LiberoEnv, task: int, state: int, noise: Noise | None = None, most_steps: int = MOST_STEPS
) -> Episode | None:
    """One demonstration with its pictures; None when the expert does not succeed in time."""
    noise = noise or Noise()
    rng = np.random.default_rng([noise.seed, task, state])
    seen, states = [env.reset(task, state)], [env.simulation.joints()]
    expert = LiberoExpert(env)
    labels: list[np.ndarray] = []
    executed: list[np.ndarray] = []
    while not env.success():
        if len(labels) == most_steps:
            return None
        label = expert.decide()
        action = label.copy()
        action[:POSE_DIMS] = np.clip(action[:POSE_DIMS] + rng.normal(0.0, noise.sd, POSE_DIMS), -1.0, 1.0)
        labels.append(label)
        executed.append(action)
        seen.append(env.step(action))
        states.append(env.simulation.joints())
    if not labels:
        return None  # solved before anything was done
    attributes: dict[str, str | int | float] = {"task": env.task, "seed": env.seed, "action_noise_sd": noise.sd}
    return Episode.recorded(env.instruction, seen[:-1], labels, executed, states[:-1], attributes)


def record_demonstrations(
    path: str | Path,
    env: LiberoEnv,
    task: int,
    states: Iterable[int],
    noises: Iterable[Noise] | None = None,
    enough: int | None = None,
) -> list[int]:
    """Write the demonstrations of one task from some initial states; those that fail are left out.

    Args:
        path: LIBERO names such a file `<task>_demo.hdf5`.
        env: whose pictures, stepper and thinning the file will say.
        states: initial states, as `LiberoEnv.reset` takes them.
        noises: one for each initial state; none if left out.
        enough: stop after this many demonstrations.

    Returns:
        The initial states whose demonstrations are in the file.

    Raises:
        InputError: no demonstration succeeded, or the expert does not know this kind of goal.
        MissingExtra: h5py is not installed.
    """
    h5py()  # before the work, not after it
    wanted = list(states)
    each = [Noise()] * len(wanted) if noises is None else list(noises)
    kept: list[int] = []

    def episodes() -> Iterator[Episode]:
        for state, noise in zip(wanted, each, strict=True):
            if len(kept) == enough:
                return
            episode = demonstrate(env, task, state, noise)
            if episode is not None:
                kept.append(state)
                yield episode

    write_libero(path, episodes(), problem_name=env.suite_name, notes=_notes(env, task))
    return kept


def _notes(env: LiberoEnv, task: int) -> dict[str, str | int | float]:
    thinning = "none"
    if env.visual_thinning is not None:
        thinning = f"vertex clustering, {env.visual_thinning} cells; edges not smoothed; no mirror images"
    return {
        "visual_thinning": thinning,
        "stepper": env.stepper_name,
        "labels": "actions are the expert's, without noise; executed_actions were carried out",
        "settings": json.dumps({"suite": env.suite_name, "task": task, "settle_steps": env.settle_steps}),
    }
