"""Success of a policy in closed loop: it acts, the world answers, it acts again.

A loss compares actions on pictures that the expert has seen. A policy that is a little wrong soon stands where the
expert never was, and errors add up: policies with a small loss may fail in every episode. So success is counted in
episodes, with Wilson's interval, over the episodes that were really run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from motionlab.errors import InputError
from motionlab.evaluation.intervals import Interval, wilson
from motionlab.vla.observation import Env, Observation

Policy = Callable[[Observation, str], np.ndarray]
"""Observation and instruction -> action `[7]`. Its `reset()`, if it has one, is called before each episode."""


@dataclass(frozen=True)
class EpisodeResult:
    """One episode.

    Fields:
        task: its number, and `seed`: of the layout.
        success: whether the task was done at any time.
        grasped: whether the object that the task names was in the hand at any time.
        steps: actions that were carried out.
        seen: every observation, the first one before any action; only if they were asked for.
    """

    task: int
    seed: int
    success: bool
    grasped: bool
    steps: int
    seen: tuple[Observation, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class TaskResult:
    """All episodes of one task, or of all tasks together.

    Fields:
        success, grasp: shares with their 95 % intervals; `n` episodes were run.
        steps: mean number of actions of the episodes that succeeded; NaN when none did.
    """

    instruction: str
    success: Interval
    grasp: Interval
    steps: float


@dataclass(frozen=True)
class ClosedLoopResult:
    """Success by task and over all of them; `episodes` in the order in which they were run."""

    tasks: tuple[TaskResult, ...]
    overall: TaskResult
    episodes: tuple[EpisodeResult, ...]


def run_episode(
    env: Env, policy: Policy, task: int, seed: int, max_steps: int, keep_observations: bool = False
) -> EpisodeResult:
    """Let a policy act until it succeeds or has taken `max_steps` actions.

    Raises:
        InputError: `max_steps` below 1, or what the env refuses, such as an action that is NaN.
    """
    if max_steps < 1:
        raise InputError("max_steps", found=max_steps, expected="1 or more", fix="Give the policy time to act.")
    observation = env.reset(task, seed)
    reset = getattr(policy, "reset", None)
    if reset is not None:
        reset()
    seen = [observation]
    grasped, steps = env.grasped(), 0
    while not env.success() and steps < max_steps:
        observation = env.step(policy(observation, env.instruction))
        grasped, steps = grasped or env.grasped(), steps + 1
        if keep_observations:
            seen.append(observation)
    return EpisodeResult(task, seed, env.success(), grasped, steps, tuple(seen) if keep_observations else ())


def evaluate_policy(
    env: Env, policy: Policy, tasks: Sequence[int], seeds: Sequence[int], max_steps: int = 60
) -> ClosedLoopResult:
    """Run every task with every seed.

    Args:
        tasks: numbers into `env.tasks`.
        seeds: of layouts that no demonstration had; the same ones for every task.

    Raises:
        InputError: no task or no seed, or one of them twice, which would count an episode twice.
    """
    for name, values in (("tasks", tasks), ("seeds", seeds)):
        if not values or len(set(values)) != len(values):
            raise InputError(name, found=str(list(values))[:100], expected="different numbers", fix="Change the list.")
    episodes = [run_episode(env, policy, task, seed, max_steps) for task in tasks for seed in seeds]
    by_task = [[episode for episode in episodes if episode.task == task] for task in tasks]
    results = tuple(_summary(env.tasks[task], part) for task, part in zip(tasks, by_task, strict=True))
    return ClosedLoopResult(results, _summary("all tasks", episodes), tuple(episodes))


def _summary(instruction: str, episodes: Sequence[EpisodeResult]) -> TaskResult:
    n = len(episodes)
    steps = [episode.steps for episode in episodes if episode.success]
    return TaskResult(
        instruction,
        success=wilson(sum(episode.success for episode in episodes), n),
        grasp=wilson(sum(episode.grasped for episode in episodes), n),
        steps=float(np.mean(steps)) if steps else float("nan"),
    )
