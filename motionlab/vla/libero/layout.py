"""The HDF5 layout of LIBERO's demonstrations (Liu et al., arXiv:2306.03310), and what motionlab adds to it.

    /data                       attrs: problem_info (JSON), macros_image_convention, num_demos, total, env_args ...
    /data/demo_0                attrs: num_samples, init_state
        actions                 [T, 7] float64
        states                  [T, D] float64, of the simulator
        robot_states            [T, 9]: fingers 2, place 3, quaternion x y z w
        rewards, dones          [T] uint8, the last one 1
        obs/agentview_rgb       [T, H, W, 3] uint8
        obs/eye_in_hand_rgb     [T, H, W, 3] uint8
        obs/ee_pos, ee_ori      [T, 3], ee_ori as axis times angle
        obs/ee_states           [T, 6], both of them
        obs/gripper_states      [T, 2]

Ours, which no other reader needs: `executed_actions` [T, 7] (labels may differ: noise); depth in metres as float16
(attribute `units`), since LIBERO's own depth is a z-buffer; `<view>_K` and `<view>_world_from_camera`. The
attributes `motionlab_extras` and `obs_action_offset` of /data say so in the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from motionlab.vla.observation import VIEWS, Observation

# The first key is the one that is written.
IMAGE_KEYS = {
    "agentview": ("agentview_rgb", "agentview_image"),
    "eye_in_hand": ("eye_in_hand_rgb", "eye_in_hand_image", "robot0_eye_in_hand_image", "wrist_image"),
}
EE_POS_KEYS = ("ee_pos", "robot0_eef_pos")
EE_ORI_KEYS = ("ee_ori",)
GRIPPER_KEYS = ("gripper_states", "robot0_gripper_qpos")
CONVENTION = "macros_image_convention"
OFFSET = "obs_action_offset"
EXTRAS = "motionlab_extras"
UNITS = "units"
METRES = "metres"
DEPTH_KEYS = {view: f"{view}_depth" for view in VIEWS}
K_KEYS = {view: f"{view}_K" for view in VIEWS}
POSE_KEYS = {view: f"{view}_world_from_camera" for view in VIEWS}


@dataclass(frozen=True)
class CameraTrack:
    """A camera through an episode: K `[T, 3, 3]` in pixels of the upright picture, world_from_camera `[T, 4, 4]`."""

    K: np.ndarray
    world_from_camera: np.ndarray


@dataclass(frozen=True)
class Episode:
    """One demonstration; row t of the observations belongs to row t of the actions, as in the file.

    Fields:
        instruction: the sentence.
        actions: `[T, 7]` float32 labels.
        images: view -> `uint8 [T, H, W, 3]`, upright.
        ee_pos, ee_ori: `[T, 3]` float32, metres and axis times angle; None where the file has none.
        gripper: `[T, 2]` float32 places of the fingers, metres.
        depth: view -> `[T, H, W]` metres, upright.
        cameras: view -> `CameraTrack`.
        executed: `[T, 7]` float64 actions that were carried out; a replay from `states[0]` needs them.
        states: `[T, D]` float64 of the simulator.
        attributes: anything else about it, kept as attributes: numbers and texts.
    """

    instruction: str
    actions: np.ndarray
    images: dict[str, np.ndarray]
    ee_pos: np.ndarray | None = None
    ee_ori: np.ndarray | None = None
    gripper: np.ndarray | None = None
    depth: dict[str, np.ndarray] = field(default_factory=dict)
    cameras: dict[str, CameraTrack] = field(default_factory=dict)
    executed: np.ndarray | None = None
    states: np.ndarray | None = None
    attributes: dict[str, str | int | float] = field(default_factory=dict)

    @classmethod
    def recorded(
        cls,
        instruction: str,
        seen: Sequence[Observation],
        labels: Sequence[np.ndarray],
        executed: Sequence[np.ndarray],
        states: Sequence[np.ndarray],
        attributes: dict[str, str | int | float],
    ) -> Episode:
        """An episode from what was seen before each action, its label, what was carried out, and the state then."""
        return cls(
            instruction=instruction,
            actions=np.stack(labels).astype(np.float32),
            images={view: np.stack([one.images[view] for one in seen]) for view in VIEWS},
            ee_pos=np.stack([one.ee_pos for one in seen]).astype(np.float32),
            ee_ori=np.stack([one.ee_ori for one in seen]).astype(np.float32),
            gripper=np.stack([one.gripper for one in seen]).astype(np.float32),
            depth={view: np.stack([one.depth[view] for one in seen]) for view in VIEWS if view in seen[0].depth},
            cameras={
                view: CameraTrack(
                    np.stack([one.cameras[view].K for one in seen]),
                    np.stack([one.cameras[view].world_from_camera for one in seen]),
                )
                for view in VIEWS
            },
            executed=np.stack(executed),
            states=np.stack(states),
            attributes=attributes,
        )
