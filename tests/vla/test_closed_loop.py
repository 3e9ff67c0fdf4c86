"""Closed loop: counting, and what each control does to a policy that sees the state and to one that reads pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from motionlab.errors import InputError
from motionlab.evaluation.intervals import wilson
from motionlab.vla.closed_loop import evaluate_policy, run_episode, run_episodes
from motionlab.vla.convention_controls import CONTROLS, Controlled, blind, other_instruction
from motionlab.vla.observation import Observation
from motionlab.vla.table_lab.env import TASKS, TableLab
from motionlab.vla.table_lab.expert import expert_action
from tests.vla.picture_policy import picture_policy

BY_NAME = {control.name: control for control in CONTROLS}


def expert(env: TableLab):
    """The expert as a policy: it looks at the state, and at the instruction for the cube."""
    return lambda _, instruction: expert_action(env.table, TASKS.index(instruction))


def test_counts_and_intervals():
    """A policy that solves one seed of two: by giving up where the plate is on the right."""
    env = TableLab(16)
    solve = expert(env)

    def half(seen: Observation, instruction: str) -> np.ndarray:
        return np.zeros(7) if env.table.plate[1] < 0 else solve(seen, instruction)

    seeds = range(5)
    left = [seed for seed in seeds if env.reset(0, seed) and env.table.plate[1] >= 0]
    assert 0 < len(left) < 5
    result = evaluate_policy(env, half, [0, 2], seeds, max_steps=25)
    assert [task.instruction for task in result.tasks] == [TASKS[0], TASKS[2]]
    for task in result.tasks:
        assert task.success == wilson(len(left), 5) == task.grasp
    assert result.overall.success == wilson(2 * len(left), 10)
    assert [episode.seed for episode in result.episodes if episode.task == 2 and episode.success] == left
    assert 12 <= result.overall.steps <= 25


def test_an_episode_ends_at_success_or_after_the_last_step():
    env = TableLab(16)
    good = run_episode(env, expert(env), 1, 4, max_steps=60, keep_observations=True)
    assert good.success and good.grasped and len(good.seen) == good.steps + 1 < 30
    bad = run_episode(env, lambda *_: np.zeros(7), 1, 4, max_steps=3)
    assert not bad.success and not bad.grasped and bad.steps == 3 and bad.seen == ()
    assert math.isnan(evaluate_policy(env, lambda *_: np.zeros(7), [0], [0], max_steps=2).overall.steps)


def test_a_policy_with_memory_begins_anew():
    class Counting:
        def __init__(self) -> None:
            self.begun = 0

        def __call__(self, seen: Observation, instruction: str) -> np.ndarray:
            return np.zeros(7)

        def reset(self) -> None:
            self.begun += 1

    policy, env = Counting(), TableLab(16)
    evaluate_policy(env, Controlled(policy, CONTROLS[0], env.tasks), [0, 1], [0, 1], max_steps=1)
    assert policy.begun == 4


@pytest.mark.parametrize(
    ("name", "success"),
    [
        ("unchanged", 1.0),
        ("other instruction", 0.0),
        ("gripper sign inverted", 0.0),
        ("actions x 0.5", 1.0),
        ("images rotated by 180 degrees", 1.0),  # the expert looks at no picture
    ],
)
def test_controls_with_the_expert(name, success):
    env = TableLab(8)
    result = evaluate_policy(env, Controlled(expert(env), BY_NAME[name], env.tasks), [0, 2], [1], 45)
    assert result.overall.success.value == success
    if name == "gripper sign inverted":
        assert result.overall.grasp.value == 0.0


@pytest.mark.parametrize(
    ("name", "success"),
    [
        ("unchanged", 1.0),
        ("images rotated by 180 degrees", 0.0),
        ("images flipped vertically", 0.0),
        ("views swapped", 0.0),
        ("other instruction", 0.0),
    ],
)
def test_controls_with_a_policy_that_reads_pictures(name, success):
    env = TableLab(64)
    result = evaluate_policy(env, Controlled(picture_policy, BY_NAME[name], env.tasks), [0, 2], [5], 25)
    assert result.overall.success.value == success


def test_who_is_blind_finds_no_cube():
    env = TableLab(64)
    grey = {view: np.full((64, 64, 3), 128, np.uint8) for view in env.reset(0, 0).images}
    seen = blind(grey).see(env.reset(2, 5))
    assert all((seen.images[view] == 128).all() for view in grey) and seen.ee_pos is not None
    for policy, success in ((picture_policy, 0.0), (expert(env), 1.0)):  # the expert looks at no picture
        result = evaluate_policy(env, Controlled(policy, blind(grey), env.tasks), [2], [5], 25)
        assert result.overall.success.value == success


def test_what_each_control_does_to_a_picture():
    seen = TableLab(16).reset(0, 0)
    image, wrist = seen.images["agentview"], seen.images["eye_in_hand"]

    def changed(name: str) -> np.ndarray:
        return BY_NAME[name].see(seen).images["agentview"]

    np.testing.assert_array_equal(changed("images rotated by 180 degrees"), np.rot90(image, 2))
    np.testing.assert_array_equal(changed("images flipped vertically"), np.flipud(image))
    np.testing.assert_array_equal(changed("views swapped"), wrist)
    np.testing.assert_allclose(changed("brightness x 0.7"), 0.7 * image, atol=0.51)
    twice = (image[0, 0] / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(changed("images normalised twice")[0, 0], np.clip(twice, 0, 1) * 255, atol=0.51)
    assert all(control.see(seen).images["agentview"].dtype == np.uint8 for control in CONTROLS)
    assert BY_NAME["unchanged"].see(seen) is seen


def test_what_each_control_does_to_an_action():
    action = np.array([0.2, -0.4, 0.6, 0.0, 0.0, 1.0, 1.0])
    np.testing.assert_array_equal(BY_NAME["gripper sign inverted"].act(action), [*action[:6], -1.0])
    np.testing.assert_array_equal(BY_NAME["actions x 0.5"].act(action), [0.1, -0.2, 0.3, 0.0, 0.0, 0.5, 1.0])


def test_the_other_instruction_is_another_one_of_the_same_world():
    others = [other_instruction(task, TASKS) for task in TASKS]
    assert sorted(others) == sorted(TASKS) and all(a != b for a, b in zip(others, TASKS, strict=True))
    with pytest.raises(InputError, match="this instruction and another"):
        other_instruction("dance", ["dance"])


@pytest.mark.parametrize(
    ("tasks", "seeds", "steps", "message"),
    [
        ([], [0], 5, "tasks: found"),
        ([0], [], 5, "seeds: found"),
        ([0], [1, 1], 5, r"seeds: found \[1, 1\]"),
        ([0], [0], 0, "max_steps: found 0"),
        ([7], [0], 5, "task: found 7"),
    ],
)
def test_bad_arguments_are_refused(tasks, seeds, steps, message):
    with pytest.raises(InputError, match=message):
        evaluate_policy(TableLab(8), lambda *_: np.zeros(7), tasks, seeds, steps)


def test_an_action_that_is_nan_stops_the_evaluation():
    with pytest.raises(InputError, match="action: found NaN"):
        evaluate_policy(TableLab(8), lambda *_: np.full(7, np.nan), [0], [0])


class Together:
    """The expert of several tables, told apart by where their hands are: no two are at the same place."""

    def __init__(self, envs: list[TableLab], acts_together: bool = True) -> None:
        self.envs, self.acts_together, self.asked = envs, acts_together, list[int]()

    def __call__(self, seen: Observation, instruction: str) -> np.ndarray:
        self.asked.append(1)
        env = next(env for env in self.envs if (env.table.hand == seen.ee_pos).all())
        return expert(env)(seen, instruction)

    def act_together(self, observations: Sequence[Observation], instructions: Sequence[str]) -> list[np.ndarray]:
        actions = [self(seen, instruction) for seen, instruction in zip(observations, instructions, strict=True)]
        self.asked[-len(actions) :] = [len(actions)]
        return actions


def test_episodes_in_step_are_those_one_after_the_other():
    """Five episodes in three worlds, of different lengths; `actions x 0.5` is slow and some of them end undone."""
    envs = [TableLab(8) for _ in range(3)]
    alone = evaluate_policy(envs[0], Controlled(expert(envs[0]), BY_NAME["actions x 0.5"], TASKS), [0], range(5), 33)
    policy = Together(envs)
    control = Controlled(policy, BY_NAME["actions x 0.5"], TASKS)
    together = evaluate_policy(envs[0], control, [0], range(5), 33, envs[1:])
    assert together == alone
    assert {episode.success for episode in alone.episodes} == {True, False}
    assert len({episode.steps for episode in alone.episodes}) > 2 and set(policy.asked) == {1, 2, 3}


def test_a_policy_with_memory_never_acts_in_two_episodes_at_a_time():
    envs = [TableLab(8) for _ in range(2)]
    policy = Together(envs, acts_together=False)
    evaluate_policy(envs[0], Controlled(policy, BY_NAME["unchanged"], TASKS), [0], [0, 1], 3, envs[1:])
    assert policy.asked == [1] * 6


def test_no_episode_is_left_out_for_want_of_an_environment():
    envs = [TableLab(8)]
    with pytest.raises(ValueError, match="longer"):
        run_episodes(envs, Together(envs), [(0, 0), (0, 1)], 3)
