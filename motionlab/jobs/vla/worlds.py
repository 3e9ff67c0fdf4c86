"""The worlds that a run of the robot half can take its demonstrations from and try its policy in.

Everything that differs between them is here: who makes demonstrations, what one unit of an action is, which tasks and
layouts a policy is tried on, and who the expert is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from motionlab.config import VlaRunConfig
from motionlab.errors import InputError
from motionlab.runtime import cache_dir
from motionlab.vla.actions import ActionUnits
from motionlab.vla.closed_loop import Policy
from motionlab.vla.demonstrations import DemonstrationSettings, make_demonstrations
from motionlab.vla.observation import Env
from motionlab.vla.table_lab.env import TASKS, TableLab
from motionlab.vla.table_lab.expert import expert_action
from motionlab.vla.table_lab.world import METRES, RADIANS

STATES = 50  # initial states of a task of LIBERO


@dataclass(frozen=True)
class World:
    """All that a run needs to know of its world.

    Fields:
        tasks: numbers into `env.tasks` of those that a policy is tried on.
        units: what one unit of an action is.
        make_env: a new environment, built without a task.
        expert: a policy of this environment that looks at more than pictures.
        make_files: processes -> the files of the demonstrations, made now unless the cache has them.
        key: changes with everything that decides what is in them.
        variants: suites on which the same policy is tried as well, name -> a new environment.
        side_by_side: environments that one process may hold, so that as many episodes run in step.
    """

    tasks: tuple[int, ...]
    units: ActionUnits
    make_env: Callable[[], Env]
    expert: Callable[[Any], Policy]
    make_files: Callable[[int], list[Path]]
    key: str
    variants: dict[str, Callable[[], Env]]
    side_by_side: int = 1


def world_of(config: VlaRunConfig) -> World:
    """The world of a run.

    Raises:
        InputError: its demonstrations are files, of a world that is not known; a suite, task or initial state that
            LIBERO does not have.
        MissingExtra: the extra `libero` is not installed.
    """
    source = config.vla_data.source
    if source == "table_lab":
        return _table_lab(config)
    if source == "libero":
        return _libero(config)
    raise InputError(
        "vla_data.source", found=source, expected="table_lab or libero: files are of a world that is not known",
        fix="Read the errors on held-out episodes in vla/report.html.",
    )  # fmt: skip


@contextlib.contextmanager
def opened(make_env: Callable[[], Env]) -> Iterator[Any]:
    """A new environment, which gives back at the end what it holds of the machine."""
    env = make_env()
    try:
        yield env
    finally:
        close = getattr(env, "close", None)  # numpy worlds hold nothing
        if close is not None:
            close()


def has_world(config: VlaRunConfig) -> bool:
    """Whether a policy of this run can be tried."""
    return config.vla_data.source != "files"


def _table_lab(config: VlaRunConfig) -> World:
    data, size = config.vla_data, config.vla.image_size
    wanted = DemonstrationSettings(
        per_task=data.per_task, seed=data.seed, image_size=size, noise_sd=data.noise_sd, noisy_share=data.noisy_share
    )

    def expert(env: TableLab) -> Policy:
        return lambda seen, sentence: np.asarray(expert_action(env.table))

    return World(
        tasks=tuple(range(len(TASKS))),
        units=ActionUnits(METRES, RADIANS),
        make_env=lambda: TableLab(size),
        expert=expert,
        make_files=lambda processes: make_demonstrations(cache_dir(), wanted, processes),
        key=wanted.key(),
        variants={},
        side_by_side=16,  # a table is 25 numbers; a simulator holds models, meshes and a screen
    )


def _libero(config: VlaRunConfig) -> World:
    # Nothing of LIBERO is imported without need: its packages are an extra.
    from motionlab.vla.libero_env.demonstrations import (
        LiberoDemonstrationSettings,
        check_tasks,
        make_libero_demonstrations,
    )
    from motionlab.vla.libero_env.env import LiberoEnv
    from motionlab.vla.libero_env.expert import LiberoExpert
    from motionlab.vla.libero_env.package import check_installed

    check_installed()
    data, tried = config.vla_data, config.vla_evaluation
    wanted = LiberoDemonstrationSettings(
        data.libero_suite, tuple(data.libero_tasks), per_task=data.per_task, seed=data.seed,
        image_size=config.vla.image_size, visual_thinning=data.libero_thinning,
        noise_sd=data.noise_sd, noisy_share=data.noisy_share,
    )  # fmt: skip
    if tried.seed + tried.per_task > STATES:
        raise InputError(
            "vla_evaluation.per_task", found=f"{tried.per_task} from {tried.seed} on",
            expected=f"at most {STATES} in all, the initial states of a task of LIBERO", fix="Lower it.",
        )  # fmt: skip
    names = [data.libero_suite, *(f"{data.libero_suite}_{variant}" for variant in tried.libero_variants)]
    for name in names:
        check_tasks(name, wanted.tasks, for_expert=name == data.libero_suite)

    def env_of(name: str) -> Callable[[], Env]:
        return lambda: LiberoEnv(
            name, image_size=config.vla.image_size, stepper=tried.libero_stepper,
            visual_thinning=data.libero_thinning, depth=False,
        )  # fmt: skip

    return World(
        tasks=wanted.tasks,
        units=ActionUnits(),
        make_env=env_of(data.libero_suite),
        expert=LiberoExpert,
        make_files=lambda processes: make_libero_demonstrations(cache_dir(), wanted, processes),
        key=wanted.key(),
        variants={name: env_of(name) for name in names[1:]},
    )
