"""Where the robot is in the numbers of the simulator, and what is read off it.

The names are robosuite's. Positions are in the frame of the world, in metres; the base of the arm is not its origin.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from motionlab.vla.libero.quaternions import to_axis_angle

GRIP_SITE = "gripper0_grip_site"  # between the finger tips; the controller moves this point
HAND_BODY = "robot0_right_hand"  # whose orientation is recorded, a quarter turn about z from that of the site
ARM_JOINTS = tuple(f"robot0_joint{number}" for number in range(1, 8))
FINGER_JOINTS = ("gripper0_finger_joint1", "gripper0_finger_joint2")
ARM_MOTORS = tuple(f"robot0_torq_j{number}" for number in range(1, 8))
FINGER_MOTORS = ("gripper0_gripper_finger_joint1", "gripper0_gripper_finger_joint2")


@dataclass(frozen=True)
class RobotIndex:
    """Addresses in a compiled model.

    Fields:
        site, hand: numbers of the grip point and of the body of the hand.
        shoulder: number of the joint that the upper arm swings about.
        qpos, dofs: `[7]` of the joints of the arm, in places and in speeds.
        fingers: `[2]` in places.
        motors, finger_motors: `[7]` and `[2]` in the controls.
    """

    site: int
    hand: int
    shoulder: int
    qpos: np.ndarray
    dofs: np.ndarray
    fingers: np.ndarray
    motors: np.ndarray
    finger_motors: np.ndarray

    @classmethod
    def of(cls, model: Any) -> RobotIndex:
        """Of a `mujoco.MjModel` with a mounted Panda."""
        joints = [model.joint(name) for name in ARM_JOINTS]
        return cls(
            site=model.site(GRIP_SITE).id,
            hand=model.body(HAND_BODY).id,
            shoulder=joints[1].id,
            qpos=np.array([joint.qposadr[0] for joint in joints]),
            dofs=np.array([joint.dofadr[0] for joint in joints]),
            fingers=np.array([model.joint(name).qposadr[0] for name in FINGER_JOINTS]),
            motors=np.array([model.actuator(name).id for name in ARM_MOTORS]),
            finger_motors=np.array([model.actuator(name).id for name in FINGER_MOTORS]),
        )

    def ee_pos(self, data: Any) -> np.ndarray:
        """`[3]` place of the grip point, metres."""
        return np.array(data.site_xpos[self.site])

    def ee_ori(self, data: Any) -> np.ndarray:
        """`[3]` orientation of the hand in the world, axis times angle, radians, as LIBERO's files have it."""
        return hand_orientation(np.array(data.xquat[self.hand]))

    def gripper(self, data: Any) -> np.ndarray:
        """`[2]` places of the fingers, metres: one positive, one negative; 0.04 and -0.04 is open."""
        return np.array(data.qpos[self.fingers])


def hand_orientation(quaternion: np.ndarray) -> np.ndarray:
    """Axis times angle `[3]` of a quaternion w x y z `[4]`, as MuJoCo has it. The turn is up to a whole one.

    >>> hand_orientation(np.array([0.0, 1.0, 0.0, 0.0]))  # half a turn about x: the hand points down
    array([3.14159265, 0.        , 0.        ])
    """
    return np.asarray(to_axis_angle(np.roll(quaternion, -1)[None])[0])
