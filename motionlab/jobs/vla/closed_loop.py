"""Trials of a policy in the world of its demonstrations: success of each task, controls, and two films.

A success rate means little alone. Below it stand policies that know nothing (the mean action, random actions) and the
same policy with the mean picture before its eyes, above it the expert that was imitated, and next to it the same policy
behind changed conventions (`vla/convention_controls.py`).
"""

from __future__ import annotations

import contextlib
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from motionlab.config import VlaRunConfig
from motionlab.evaluation.intervals import Interval
from motionlab.files import sha256, write_text
from motionlab.jobs.run_folder import Run
from motionlab.jobs.vla.data import Demonstrations
from motionlab.jobs.vla.models import trained_policy
from motionlab.jobs.vla.settings import vla_settings
from motionlab.jobs.vla.worlds import World, opened, world_of
from motionlab.plots.robot_gif import write_robot_gif
from motionlab.plots.robot_player import robot_player_page
from motionlab.progress_bar import Tally, progress_kind
from motionlab.runtime import one_thread
from motionlab.vla.acting import Actor
from motionlab.vla.backbone.frozen import parameter_table
from motionlab.vla.closed_loop import (
    ClosedLoopResult,
    EpisodeResult,
    Policy,
    TaskResult,
    evaluate_policy,
    run_episode,
)
from motionlab.vla.convention_controls import CONTROLS, Controlled, blind
from motionlab.vla.observation import ACTION_DIMS, VIEWS, Env, Observation
from motionlab.vla.policy import VlaPolicy

FILMS = {True: "success.gif", False: "failure.gif"}  # each with a page to step through, `.html`
SOME_VIEWS = "views swapped"  # the one control that needs both cameras
SOME_TASKS = "other instruction"  # the one that needs two tasks
MOMENTS = 512  # of the training episodes, spread evenly, that a mean picture is of


@dataclass(frozen=True)
class Means:
    """All that is known without looking: means over the training episodes.

    Fields:
        action: `[7]`, the gripper as it mostly was.
        pictures: view -> `uint8 [H, W, 3]`, over at most `MOMENTS` moments.
    """

    action: np.ndarray
    pictures: dict[str, np.ndarray]

    @classmethod
    def of(cls, data: Demonstrations) -> Means:
        """Those of a run."""
        frames = data.frames.of_episodes(data.train)
        action: np.ndarray = frames.actions().mean(0)
        action[6] = np.sign(action[6]) or 1.0
        chosen = np.unique(np.linspace(0, len(frames) - 1, MOMENTS).astype(int))
        total = sum(frames[int(i)].images.numpy().astype(np.float64) for i in chosen)  # [S, 3, H, W]
        mean = np.asarray(total / len(chosen) + 0.5).astype(np.uint8)
        return cls(action, {view: np.moveaxis(mean[i], 0, -1) for i, view in enumerate(frames.views)})


def evaluate_vla(run: Run, data: Demonstrations, *, show: bool = False, processes: int = 1) -> dict[str, Any]:
    """Try the policy of a run and keep the numbers and films with it.

    Args:
        show: say on stderr what is being done.
        processes: more than 1 share the rounds; the numbers are the same.

    Raises:
        InputError: no policy yet, one that was trained on files of a world that is not known, or one that does not
            know a word of an instruction.
    """
    config = vla_settings(run.config)
    world, settings = world_of(config), config.vla_evaluation
    policy = trained_policy(run)
    actor = Actor(policy, execute=settings.execute, seed=settings.seed)
    check_instructions(policy, world)
    means = Means.of(data)
    others = list(other_policies(world, None, actor, means, settings.seed)) if settings.control_per_task else []
    names, results = [None, *others, *world.variants], dict[str | None, ClosedLoopResult]()
    job = partial(trials, run.folder, config, means)
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) if processes > 1 else None
    try:
        done = map(job, names) if pool is None else pool.map(job, names)
        with Tally("trials", len(names), "round", progress_kind(sys.stderr) if show else "silent") as tally:
            for number, (name, result) in enumerate(zip(names, done, strict=True)):
                results[name] = result
                tally.update(number + 1)
    finally:
        if pool is not None:
            pool.shutdown(cancel_futures=True)
    result = results[None]
    with opened(world.make_env) as env:
        films = make_films(run.folder, env, actor, result, settings.max_steps)
    measured = {
        "demonstrations": data.describe(),
        "made_from": {"policy": sha256(run.folder / "vla" / "model.safetensors")},
        "parameters": {row.part: [row.total, row.trainable, row.frozen] for row in parameter_table(policy)},
        "tasks": {one.instruction: task_numbers(one) for one in result.tasks},
        "overall": task_numbers(result.overall),
        "controls": {name: task_numbers(results[name].overall) for name in others},
        "films": films,
    }
    if world.variants:
        measured["variants"] = {
            name: {one.instruction: task_numbers(one) for one in results[name].tasks} for name in world.variants
        }
    run.record(vla=measured)
    return measured


def trials(folder: Path, config: VlaRunConfig, means: Means, name: str | None) -> ClosedLoopResult:
    """One round with one thread.

    It tries the policy of a run (None); the same policy in a variant of its world; or one of `other_policies`. The last
    two get fewer episodes.
    """
    world, settings = world_of(config), config.vla_evaluation
    episodes = settings.per_task
    if name is not None:
        episodes = min(episodes, settings.variant_per_task if name in world.variants else settings.control_per_task)
    seeds = range(settings.seed, settings.seed + episodes)
    make_env = world.variants.get(name or "", world.make_env)
    with one_thread(), contextlib.ExitStack() as held:
        env, *more = [held.enter_context(opened(make_env)) for _ in range(world.side_by_side)]
        actor = Actor(trained_policy(Run.planned(folder, config)), execute=settings.execute, seed=settings.seed)
        policy: Policy = actor
        if name is not None and name not in world.variants:
            policy = other_policies(world, env, actor, means, settings.seed)[name]
        return evaluate_policy(env, policy, world.tasks, seeds, settings.max_steps, more)


def check_instructions(policy: VlaPolicy, world: World) -> None:
    """Refuse, before any trial, sentences that a policy cannot read."""
    for make_env in (world.make_env, *world.variants.values()):
        with opened(make_env) as env:
            policy.language([env.tasks[task] for task in world.tasks])


def other_policies(world: World, env: Env | None, actor: Actor, means: Means, seed: int) -> dict[str, Policy]:
    """The controls of the policy by name. Without an env only the names count."""
    rng = np.random.default_rng(seed)
    known: dict[str, Policy] = {
        "the expert": actor if env is None else world.expert(env),
        "mean action": lambda seen, sentence: means.action,
        "random actions": lambda seen, sentence: rng.uniform(-1, 1, ACTION_DIMS),
    }
    both = set(actor.policy.views) == set(VIEWS)
    sentences = [] if env is None else [env.tasks[task] for task in world.tasks]
    controls = [
        control
        for control in (blind(means.pictures), *CONTROLS[1:])
        if (both or control.name != SOME_VIEWS) and (len(world.tasks) > 1 or control.name != SOME_TASKS)
    ]
    return known | {control.name: Controlled(actor, control, sentences) for control in controls}


def make_films(
    folder: Path, env: Env, policy: Policy, result: ClosedLoopResult, max_steps: int
) -> dict[str, dict[str, Any]]:
    """A film, and a page to step through, of the first success and of the first failure: file -> what it shows."""
    films = {}
    for success, name in FILMS.items():
        page = (folder / name).with_suffix(".html")
        (folder / name).unlink(missing_ok=True)  # of an earlier evaluation
        page.unlink(missing_ok=True)
        chosen = next((episode for episode in result.episodes if episode.success == success), None)
        if chosen is None:
            continue
        recorded = Recorded(policy)
        again = run_episode(env, recorded, chosen.task, chosen.seed, max_steps, keep_observations=True)
        pictures = [_side_by_side(seen) for seen in again.seen]
        write_robot_gif(folder / name, pictures)
        write_text(page, robot_player_page(pictures, np.stack(recorded.actions), env.tasks[chosen.task]))
        films[name] = film_numbers(again, env.tasks[chosen.task])
    return films


class Recorded:
    """A policy whose actions are kept."""

    def __init__(self, policy: Policy) -> None:
        self.policy, self.actions = policy, list[np.ndarray]()

    def __call__(self, seen: Observation, instruction: str) -> np.ndarray:
        self.actions.append(self.policy(seen, instruction))
        return self.actions[-1]

    def reset(self) -> None:
        """As `run_episode` calls it."""
        self.actions.clear()
        reset = getattr(self.policy, "reset", None)
        if reset is not None:
            reset()


def film_numbers(episode: EpisodeResult, instruction: str) -> dict[str, Any]:
    """The data of a film."""
    return {
        "instruction": instruction,
        "seed": episode.seed,
        "success": bool(episode.success),  # a world of numpy gives numpy.bool_
        "grasped": bool(episode.grasped),
        "steps": episode.steps,
    }


def task_numbers(result: TaskResult) -> dict[str, Any]:
    """Shares with their intervals `[value, low, high, n]`, and the mean number of actions of a success."""
    steps = None if np.isnan(result.steps) else result.steps
    return {"success": interval_numbers(result.success), "grasp": interval_numbers(result.grasp), "steps": steps}


def interval_numbers(one: Interval) -> list[float]:
    """As `metrics.json` holds it."""
    return [one.value, one.low, one.high, one.n]


def _side_by_side(seen: Observation) -> np.ndarray:
    return np.concatenate([seen.images[view] for view in VIEWS], axis=1)
