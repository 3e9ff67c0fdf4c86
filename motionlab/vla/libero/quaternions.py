"""Quaternions x y z w, as `robot_states` holds them, to axis times angle, as `ee_ori` holds it, and back.

`motionlab.motion.rotations` takes the shorter of the two turns. A hand that points down is turned by about half a turn,
so there the axis would jump to its opposite from one frame to the next. These two keep the turn that the sign of w
gives, up to a whole one, as robosuite does.
"""

from __future__ import annotations

import numpy as np


def to_axis_angle(quaternion: np.ndarray) -> np.ndarray:
    """`[T, 4] -> [T, 3]` radians.

    >>> to_axis_angle(np.array([[1.0, 0.0, 0.0, 0.0]]))  # half a turn about x
    array([[3.14159265, 0.        , 0.        ]])
    """
    vector, w = quaternion[:, :3], quaternion[:, 3:]
    length = np.linalg.norm(vector, axis=1, keepdims=True)
    return np.asarray(vector * (2 * np.arctan2(length, w) / np.maximum(length, 1e-12)))


def to_quaternion(axis_angle: np.ndarray) -> np.ndarray:
    """`[T, 3] -> [T, 4]`."""
    angle = np.linalg.norm(axis_angle, axis=1, keepdims=True)
    axis = axis_angle / np.maximum(angle, 1e-12)
    return np.concatenate([axis * np.sin(angle / 2), np.cos(angle / 2)], axis=1)
