"""Where the two cameras are, and how places, pixels and depth belong together.

Everything follows OpenCV (x right, y down, z forward) with pixel middles at half numbers, as `observation.py` says.
"""

from __future__ import annotations

import math

import numpy as np

from motionlab.vla.observation import Camera

FOV = {"agentview": 44.0, "eye_in_hand": 75.0}  # degrees, the whole angle from the upper to the lower edge
_AGENT_PLACE, _AGENT_TARGET = (0.53, 0.0, 0.53), (0.005, 0.0, 0.05)  # in front of the robot, looking back at it
_WRIST_PLACE, _WRIST_TARGET = (0.09, 0.0, 0.1), (0.045, 0.0, -0.012)  # in the frame of the hand


def intrinsics(size: int, fov: float) -> np.ndarray:
    """`[3, 3]` K of a square picture: `f = (size / 2) / tan(fov / 2)`, principal point in the middle.

    >>> intrinsics(64, 90.0)[0]
    array([32.,  0., 32.])
    """
    focal = size / 2 / math.tan(math.radians(fov) / 2)
    return np.round(np.array([[focal, 0.0, size / 2], [0.0, focal, size / 2], [0.0, 0.0, 1.0]]), 12)


def look_at(place: np.ndarray, target: np.ndarray, up: np.ndarray) -> np.ndarray:
    """`[4, 4]` world_from_camera of a camera at `place` that looks at `target`, its upper edge towards `up`."""
    forward = target - place
    forward = forward / np.linalg.norm(forward)
    right = np.cross(forward, up)
    right = right / np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    pose[:3, 3] = place
    return pose


def cameras(size: int, hand: np.ndarray, yaw: float) -> dict[str, Camera]:
    """Both cameras; the one on the wrist moves with the hand and sees the fingers at the lower edge.

    Args:
        size: pixels of an edge.
        hand: `[3]` grip point, metres.
        yaw: of the hand, radians.
    """
    rotation = np.array([[math.cos(yaw), -math.sin(yaw), 0.0], [math.sin(yaw), math.cos(yaw), 0.0], [0.0, 0.0, 1.0]])
    wrist = look_at(hand + rotation @ _WRIST_PLACE, hand + rotation @ _WRIST_TARGET, rotation[:, 0])
    agent = look_at(np.array(_AGENT_PLACE), np.array(_AGENT_TARGET), np.array([0.0, 0.0, 1.0]))
    poses = {"agentview": agent, "eye_in_hand": wrist}
    return {view: Camera(intrinsics(size, FOV[view]), pose) for view, pose in poses.items()}


def unproject(depth: np.ndarray, camera: Camera) -> np.ndarray:
    """World points `[H, W, 3]` float64 of a depth picture `[H, W]`, in metres."""
    rows, columns = np.meshgrid(*(np.arange(size) + 0.5 for size in depth.shape), indexing="ij")
    z = depth.astype(np.float64)
    x = (columns - camera.K[0, 2]) / camera.K[0, 0] * z
    y = (rows - camera.K[1, 2]) / camera.K[1, 1] * z
    points = np.stack([x, y, z], axis=-1)
    return np.asarray(points @ camera.world_from_camera[:3, :3].T + camera.world_from_camera[:3, 3])


def project(points: np.ndarray, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Pixel places `[..., 2]` (x, y) and depth `[...]` of world points `[..., 3]`; behind the camera it is negative."""
    local = (points - camera.world_from_camera[:3, 3]) @ camera.world_from_camera[:3, :3]
    pixels = local @ camera.K.T
    return pixels[..., :2] / pixels[..., 2:], local[..., 2]
