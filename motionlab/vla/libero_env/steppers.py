"""Two ways through one control step of 50 ms, on the same model and data.

`OfficialStepper` is robosuite's. `OwnStepper` computes the same controller (`osc.py`) in one pass: robosuite evaluates
the whole model three times for each of the 25 small steps and fills every sensor each time. The memory of both besides
the places and speeds of the joints is small, and without it a restored state continues differently: how far the fingers
were told to be, the orientation that is held while no turn is asked for, and where MuJoCo's solver starts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from motionlab.vla.libero_env.osc import METRES, RADIANS, osc_torques, turn_error, turned
from motionlab.vla.libero_env.package import mujoco, quiet
from motionlab.vla.libero_env.simulation import Simulation
from motionlab.vla.observation import POSE_DIMS

SMALL_STEPS = 25  # of 2 ms in a control step
FINGER_SPEED = 0.01  # of the whole command range [-1, 1] in a small step, whatever the size of the command
_FINGERS, _ORIENTATION = 2, 9


@dataclass(frozen=True)
class ArmSeen:
    """The arm at one moment, as the controller sees it.

    Fields:
        place, axes: `[3]` and `[3, 3]` of the grip point.
        jacobian, mass: `[6, 7]` and `[7, 7]`.
        joints, speeds: `[7]` each.
    """

    place: np.ndarray
    axes: np.ndarray
    jacobian: np.ndarray
    mass: np.ndarray
    joints: np.ndarray
    speeds: np.ndarray


class Stepper(Protocol):
    """Moves a simulation on."""

    def begin(self) -> None:
        """Call it after `Simulation.begin`."""

    def step(self, action: np.ndarray) -> None:
        """One control step; `action` `[7]` is checked and within [-1, 1]."""

    def memory(self) -> np.ndarray:
        """`[11 + nv]`: fingers 2, held orientation 9, where the solver starts."""

    def remember(self, memory: np.ndarray) -> None:
        """Take back what `memory` gave."""


class OfficialStepper:
    """LIBERO's environment steps as it is."""

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation

    def begin(self) -> None:
        """Nothing: robosuite's controller is reset with the simulation."""

    def step(self, action: np.ndarray) -> None:
        with quiet():
            self.simulation.official.step(action)

    def memory(self) -> np.ndarray:
        sim = self.simulation
        fingers = np.broadcast_to(sim.gripper.current_action, _FINGERS)
        return np.concatenate([fingers, np.ravel(sim.controller.goal_ori), sim.data.qacc_warmstart])

    def remember(self, memory: np.ndarray) -> None:
        sim = self.simulation
        sim.gripper.current_action, sim.controller.goal_ori, sim.data.qacc_warmstart[:] = _parts(memory)
        sim.controller.new_update = True  # what it saw before is of another state


class OwnStepper:
    """The same controller, each quantity once.

    One thing of robosuite's has to be copied for the same path: the controller looks at the arm when it is built,
    before the initial state is set, and in the first small step of an episode it still acts on that look.
    """

    def __init__(self, simulation: Simulation) -> None:
        self.simulation, self._mj = simulation, mujoco()
        model, robot = simulation.model, simulation.robot
        self._jacobian = np.zeros((6, model.nv))
        self._mass = np.zeros((model.nv, model.nv))
        self._block = np.ix_(robot.dofs, robot.dofs)
        low_high = model.actuator_ctrlrange
        self._low, self._high = low_high[robot.motors].T.copy()  # [7] each, newton metres
        self._finger_middle = low_high[robot.finger_motors].mean(1)  # [2] metres
        self._finger_half = np.diff(low_high[robot.finger_motors])[:, 0] / 2
        self.begin()

    def begin(self) -> None:
        controller = self.simulation.controller
        self._rest = np.array(controller.initial_joint)
        self._orientation = np.array(controller.goal_ori)
        self._fingers = np.zeros(_FINGERS)
        parts = (controller.ee_pos, controller.ee_ori_mat, controller.J_full, controller.mass_matrix)
        before = (*parts, controller.joint_pos, controller.joint_vel)
        self._stale: ArmSeen | None = ArmSeen(*(np.array(part) for part in before))

    def step(self, action: np.ndarray) -> None:
        model, data, robot, mj = self.simulation.model, self.simulation.data, self.simulation.robot, self._mj
        close = np.array([-1.0, 1.0]) * FINGER_SPEED * np.sign(action[POSE_DIMS])
        for number in range(SMALL_STEPS):
            mj.mj_step1(model, data)  # everything that follows from places and speeds
            seen, self._stale = self._stale or self._look(), None
            if number == 0:
                goal = seen.place + METRES * action[:3]
                if np.any(action[3:POSE_DIMS] != 0):  # an exact zero keeps the orientation that was wanted before
                    self._orientation = turned(seen.axes, RADIANS * action[3:POSE_DIMS])
            torques = osc_torques(
                jacobian=seen.jacobian,
                mass=seen.mass,
                bias=data.qfrc_bias[robot.dofs],
                place_error=goal - seen.place,
                turn_error=turn_error(self._orientation, seen.axes),
                rest_error=self._rest - seen.joints,
                speeds=seen.speeds,
            )
            self._fingers = np.clip(self._fingers + close, -1.0, 1.0)
            data.ctrl[robot.motors] = np.clip(torques, self._low, self._high)
            data.ctrl[robot.finger_motors] = self._finger_middle + self._finger_half * self._fingers
            mj.mj_step2(model, data)  # accelerations, contacts, and 2 ms on
        self.simulation.official.env._post_process()  # a stove that is turned on begins to glow

    def memory(self) -> np.ndarray:
        return np.concatenate([self._fingers, self._orientation.ravel(), self.simulation.data.qacc_warmstart])

    def remember(self, memory: np.ndarray) -> None:
        self._fingers, self._orientation, self.simulation.data.qacc_warmstart[:] = _parts(memory)
        self._stale = None

    def _look(self) -> ArmSeen:
        data, robot = self.simulation.data, self.simulation.robot
        self._mj.mj_jacSite(self.simulation.model, data, self._jacobian[:3], self._jacobian[3:], robot.site)
        self._mj.mj_fullM(self.simulation.model, data, self._mass)
        return ArmSeen(
            place=data.site_xpos[robot.site].copy(),
            axes=data.site_xmat[robot.site].reshape(3, 3).copy(),
            jacobian=self._jacobian[:, robot.dofs],
            mass=self._mass[self._block],
            joints=data.qpos[robot.qpos],
            speeds=data.qvel[robot.dofs],
        )


STEPPERS: dict[str, type[Any]] = {"official": OfficialStepper, "own": OwnStepper}


def _parts(memory: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    fingers, orientation, start = np.split(memory.copy(), [_FINGERS, _FINGERS + _ORIENTATION])
    return fingers, orientation.reshape(3, 3), start
