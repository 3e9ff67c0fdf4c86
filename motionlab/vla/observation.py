"""The nouns of the robot half: what a robot sees (`Observation`), from where (`Camera`), and the `Env` protocol.

The conventions, once for all files:

- Pictures are upright `uint8 [H, W, 3]`. A file that stores them upside down is turned when it is read
  (`libero/orientation.py`).
- Cameras follow OpenCV: x right, y down, z forward. The middle of the pixel in row i and column j is at
  (j + 0.5, i + 0.5), so that a camera that looks straight at something has its principal point at (W / 2, H / 2).
- Depth is the distance along the z axis of the camera, in metres, not along the ray.
- An action has 7 numbers, those of robosuite's OSC_POSE controller as LIBERO uses it (Liu et al., arXiv:2306.03310):
  dx dy dz and droll dpitch dyaw in units of the controller, each in [-1, 1], and the gripper, -1 open and +1 close.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

VIEWS = ("agentview", "eye_in_hand")
"""The two cameras: one that looks at the workspace from the outside, one on the wrist."""
POSE_DIMS = 6  # of an action: translation 3, rotation 3
ACTION_DIMS = 7
STATE_DIMS = 8
OPEN, CLOSE = -1.0, 1.0


@dataclass(frozen=True)
class Camera:
    """A pinhole camera.

    Fields:
        K: `[3, 3]` intrinsics, in pixels.
        world_from_camera: `[4, 4]` rigid transform; its last column is the place of the camera, in metres.
    """

    K: np.ndarray
    world_from_camera: np.ndarray


@dataclass(frozen=True)
class Observation:
    """Everything that is measured at one moment.

    Fields:
        images: view -> `uint8 [H, W, 3]`, upright.
        depth: view -> `float32 [H, W]`, metres; empty where it was not measured.
        cameras: view -> `Camera`; empty where they are not known.
        ee_pos: `[3]` place of the grip point, metres.
        ee_ori: `[3]` orientation of the hand, axis times angle, radians.
        gripper: `[2]` places of the two fingers along their common axis, metres, of opposite signs.
    """

    images: dict[str, np.ndarray]
    depth: dict[str, np.ndarray]
    cameras: dict[str, Camera]
    ee_pos: np.ndarray
    ee_ori: np.ndarray
    gripper: np.ndarray

    def state(self) -> np.ndarray:
        """`[8]` float32: ee_pos 3, ee_ori 3, gripper 2, the state vector that policies on LIBERO use."""
        return np.concatenate([self.ee_pos, self.ee_ori, self.gripper]).astype(np.float32)


class Env(Protocol):
    """A world that a policy acts in. One task at a time is on; `reset` chooses it.

    Attributes:
        instruction: the sentence of the task that is on.
        tasks: the sentences of all tasks.
    """

    @property
    def instruction(self) -> str: ...

    @property
    def tasks(self) -> tuple[str, ...]: ...

    def reset(self, task: int, seed: int) -> Observation:
        """Begin an episode; the same task and seed give the same one in every process."""

    def step(self, action: np.ndarray) -> Observation:
        """Act for one control step and look again. An action `[7]` is clipped to [-1, 1]."""

    def success(self) -> bool:
        """Whether the task is done now."""

    def grasped(self) -> bool:
        """Whether the hand holds the object that the task names."""

    def state(self) -> np.ndarray:
        """`[D]` float64: everything that the future depends on."""

    def set_state(self, state: np.ndarray) -> Observation:
        """Continue from a state that `state` gave."""
