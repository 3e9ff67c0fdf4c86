"""Demonstrations of the expert on the table, made once and kept in a cache folder; nothing of it is ever committed.

Half of them are carried out with noise on the action while the label stays the clean action of the expert. So the
policy sees places next to the expert's path, and the way back from there (DART: Laskey et al., arXiv:1703.09327). The
actions as carried out are stored next to the labels: only `executed_actions` lead from the first state to the pictures.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from motionlab.data.building import build_once
from motionlab.errors import InputError
from motionlab.vla.libero.hdf5 import h5py
from motionlab.vla.libero.layout import Episode
from motionlab.vla.libero.write import write_libero
from motionlab.vla.observation import POSE_DIMS
from motionlab.vla.table_lab.env import LEAST_SIZE, MOST_SIZE, TASKS, TableLab
from motionlab.vla.table_lab.expert import expert_action

VERSION = 2  # goes up when the same settings would give other files
FIRST_SEED = (
    1_000_000  # of a layout; evaluation takes the seeds below, so no demonstration shows a table that is tested
)
MOST_PER_TASK = 10_000
_TRIES = 20  # tables for one demonstration, each with a seed of its own


@dataclass(frozen=True)
class DemonstrationSettings:
    """Everything that decides what is in the files.

    Fields:
        per_task: demonstrations of each of the three tasks.
        seed: another one gives other tables and other noise.
        image_size: edge of the pictures, in pixels.
        noise_sd: standard deviation of the noise on the six numbers of the pose, in units of an action.
        noisy_share: of the demonstrations that are carried out with noise.
        max_steps: after which a demonstration has failed; failed ones are not kept.

    Raises:
        InputError: a setting out of its range.
    """

    per_task: int = 100
    seed: int = 0
    image_size: int = 64
    noise_sd: float = 0.2
    noisy_share: float = 0.5
    max_steps: int = 80

    def __post_init__(self) -> None:
        for name, least, most in (
            ("per_task", 1, MOST_PER_TASK), ("seed", 0, 1000), ("image_size", LEAST_SIZE, MOST_SIZE),
            ("noise_sd", 0, 10), ("noisy_share", 0, 1), ("max_steps", 1, 10_000),
        ):  # fmt: skip
            value = getattr(self, name)
            if not least <= value <= most:
                raise InputError(name, found=value, expected=f"{least} to {most}", fix="Change this setting.")

    def key(self) -> str:
        """A short name that changes with any setting."""
        text = json.dumps({"version": VERSION, **asdict(self)}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def make_demonstrations(
    cache: str | Path, settings: DemonstrationSettings | None = None, processes: int = 1
) -> list[Path]:
    """The files of all tasks, one per task in the order of `TASKS`, made now unless the cache has them.

    Args:
        cache: folder of the caches; each set of settings gets a folder in it, complete or not there at all.
        processes: more than 1 share the work; the files are the same.

    Raises:
        InputError: noise that the expert cannot overcome, or a folder that cannot be written.
        MissingExtra: h5py is not installed.
    """
    h5py()  # before the work, not after it
    settings = settings or DemonstrationSettings()
    folder = Path(cache) / f"table_lab_{settings.key()}"
    names = [f"{sentence.replace(' ', '_')}_demo.hdf5" for sentence in TASKS]
    build_once(folder, lambda new: _fill(new, names, settings, processes))
    return [folder / name for name in names]


def is_noisy(number: int, share: float) -> bool:
    """Whether a demonstration is carried out with noise: as many as `share` says, spread evenly.

    >>> [is_noisy(number, 0.5) for number in range(4)]
    [False, True, False, True]
    """
    return int((number + 1) * share + 1e-9) > int(number * share + 1e-9)


def demonstrate(settings: DemonstrationSettings, job: tuple[int, int]) -> Episode:
    """One demonstration that succeeds: number `job[1]` of the task `job[0]`.

    Raises:
        InputError: none of twenty tables was solved.
    """
    task, number = job
    sd = settings.noise_sd if is_noisy(number, settings.noisy_share) else 0.0
    env = TableLab(settings.image_size)
    place = (settings.seed * len(TASKS) + task) * MOST_PER_TASK + number
    for attempt in range(_TRIES):
        seed = FIRST_SEED + place * _TRIES + attempt
        episode = _attempt(env, task, seed, sd, settings.max_steps)
        if episode is not None:
            return episode
    raise InputError(
        f"demonstration {number} of task {task}", found=f"no success on {_TRIES} tables with noise {sd:g}",
        expected=f"success within {settings.max_steps} steps", fix="Lower noise_sd or raise max_steps.",
    )  # fmt: skip


def _attempt(env: TableLab, task: int, seed: int, sd: float, max_steps: int) -> Episode | None:
    """Follow the expert until the cube lies on the plate; None when it does not in time."""
    rng = np.random.default_rng([seed, 1])
    seen, states = [env.reset(task, seed)], [env.state()]
    labels: list[np.ndarray] = []
    executed: list[np.ndarray] = []
    while not env.success():
        if len(labels) == max_steps:
            return None
        label = expert_action(env.table)
        action = label.copy()
        action[:POSE_DIMS] = np.clip(action[:POSE_DIMS] + rng.normal(0.0, sd, POSE_DIMS), -1.0, 1.0)
        labels.append(label)
        executed.append(action)
        seen.append(env.step(action))
        states.append(env.state())
    del seen[-1], states[-1]  # what is seen after the last action has no action
    attributes: dict[str, str | int | float] = {"task": task, "seed": seed, "action_noise_sd": sd}
    return Episode.recorded(env.instruction, seen, labels, executed, states, attributes)


def _fill(folder: Path, names: list[str], settings: DemonstrationSettings, processes: int) -> None:
    notes = {
        "labels": "actions are the expert's, without noise; executed_actions were carried out",
        "settings": json.dumps({"version": VERSION, **asdict(settings)}, sort_keys=True),
    }
    make = partial(demonstrate, settings)
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) if processes > 1 else None
    try:
        for task, name in enumerate(names):
            jobs = [(task, number) for number in range(settings.per_task)]
            episodes = map(make, jobs) if pool is None else pool.map(make, jobs, chunksize=4)
            write_libero(folder / name, episodes, problem_name="TableLab", notes=notes)
    finally:
        if pool is not None:
            pool.shutdown(cancel_futures=True)
