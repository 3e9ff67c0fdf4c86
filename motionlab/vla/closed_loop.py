"""Success of a policy in closed loop: it acts, the world answers, it acts again.

A loss compares actions on pictures that the expert has seen. A policy that is a little wrong soon stands where the
expert never was, and errors add up: policies with a small loss may fail in every episode. So success is counted in
episodes, with Wilson's interval, over the episodes that were really run.

Most of the time of an episode goes into a network that looks at one moment at a time, hardly faster than at sixteen.
With several worlds, episodes run in step, and the network looks at all of them in one pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, cast

import numpy as np

from motionlab.errors import InputError
from motionlab.evaluation.intervals import Interval, wilson
from motionlab.vla.observation import Env, Observation

Policy = Callable[[Observation, str], np.ndarray]
"""Observation and instruction -> action `[7]`. Its `reset()`, if it has one, is called before each episode."""


class TogetherPolicy(Protocol):
    """A policy that can act in several episodes at a time, if `acts_together` says so."""

    @property
    def acts_together(self) -> bool:
        """Whether it remembers nothing from one step to the next; only then may steps of episodes be mixed."""
        ...

    def act_together(self, observations: Sequence[Observation], instructions: Sequence[str]) -> list[np.ndarray]:
        """An action `[7]` for each observation."""
        ...


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
    episode = _Running(env, task, seed, max_steps)
    reset = getattr(policy, "reset", None)
    if reset is not None:
        reset()
    seen = [episode.observation]
    while not episode.over:
        episode.step(policy(episode.observation, env.instruction))
        if keep_observations:
            seen.append(episode.observation)
    return episode.result(tuple(seen) if keep_observations else ())


def run_episodes(
    envs: Sequence[Env], policy: TogetherPolicy, wanted: Sequence[tuple[int, int]], max_steps: int
) -> list[EpisodeResult]:
    """Episodes `(task, seed)` in step, one in each environment, at most as many as there are environments.

    Each is the episode that `run_episode` gives, but for the rounding of a network that sees several rows at a time.

    Raises:
        InputError: as `run_episode` does.
        ValueError: more episodes than environments.
    """
    episodes = [_Running(env, *one, max_steps) for env, one in zip(envs[: len(wanted)], wanted, strict=True)]
    while running := [episode for episode in episodes if not episode.over]:
        observations = [episode.observation for episode in running]
        actions = policy.act_together(observations, [episode.env.instruction for episode in running])
        for episode, action in zip(running, actions, strict=True):
            episode.step(action)
    return [episode.result() for episode in episodes]


class _Running:
    """An episode that has begun."""

    def __init__(self, env: Env, task: int, seed: int, max_steps: int) -> None:
        if max_steps < 1:
            raise InputError("max_steps", found=max_steps, expected="1 or more", fix="Give the policy time to act.")
        self.env, self.task, self.seed, self.max_steps = env, task, seed, max_steps
        self.observation = env.reset(task, seed)
        self.grasped, self.steps = env.grasped(), 0

    @property
    def over(self) -> bool:
        return self.env.success() or self.steps >= self.max_steps

    def step(self, action: np.ndarray) -> None:
        self.observation = self.env.step(action)
        self.grasped, self.steps = self.grasped or self.env.grasped(), self.steps + 1

    def result(self, seen: tuple[Observation, ...] = ()) -> EpisodeResult:
        return EpisodeResult(self.task, self.seed, self.env.success(), self.grasped, self.steps, seen)


def evaluate_policy(
    env: Env,
    policy: Policy,
    tasks: Sequence[int],
    seeds: Sequence[int],
    max_steps: int = 60,
    more: Sequence[Env] = (),
) -> ClosedLoopResult:
    """Run every task with every seed.

    Args:
        tasks: numbers into `env.tasks`.
        seeds: of layouts that no demonstration had; the same ones for every task.
        more: further environments of the same kind. With them as many episodes run in step as there are environments,
            if the policy is a `TogetherPolicy`; any other acts in one after the other.

    Raises:
        InputError: no task or no seed, or one of them twice, which would count an episode twice.
    """
    for name, values in (("tasks", tasks), ("seeds", seeds)):
        if not values or len(set(values)) != len(values):
            raise InputError(name, found=str(list(values))[:100], expected="different numbers", fix="Change the list.")
    wanted = [(task, seed) for task in tasks for seed in seeds]
    if more and getattr(policy, "acts_together", False):
        envs, together = [env, *more], cast(TogetherPolicy, policy)
        portions = [wanted[start : start + len(envs)] for start in range(0, len(wanted), len(envs))]
        episodes = [episode for some in portions for episode in run_episodes(envs, together, some, max_steps)]
    else:
        episodes = [run_episode(env, policy, task, seed, max_steps) for task, seed in wanted]
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
