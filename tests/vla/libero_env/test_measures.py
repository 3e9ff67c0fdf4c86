"""Orientation, cameras and depth, without the simulator."""

from __future__ import annotations

import numpy as np

from motionlab.vla.libero_env.pictures import metric_depth, opencv_pose
from motionlab.vla.libero_env.robot import hand_orientation
from motionlab.vla.libero_env.suites import _sentence, suite_names


def test_a_quaternion_of_mujoco_becomes_axis_times_angle() -> None:
    angle = 0.8
    quaternion = np.array([np.cos(angle / 2), 0.0, 0.0, np.sin(angle / 2)])  # w first
    np.testing.assert_allclose(hand_orientation(quaternion), [0, 0, angle], atol=1e-12)
    np.testing.assert_allclose(hand_orientation(np.array([1.0, 0, 0, 0])), 0.0)


def test_the_axis_of_a_hand_that_points_down_does_not_jump() -> None:
    """Just below and above half a turn, the axis stays: the sign of w says on which side."""
    turns = [
        hand_orientation(np.array([np.cos(half), np.sin(half), 0, 0])) for half in (np.pi / 2 - 0.01, np.pi / 2 + 0.01)
    ]
    np.testing.assert_allclose(turns[1] - turns[0], [0.04, 0, 0], atol=1e-9)


def test_a_camera_of_mujoco_looks_along_minus_z() -> None:
    pose = opencv_pose(np.array([1.0, 2.0, 3.0]), np.eye(3))
    ahead = pose @ np.array([0.0, 0.0, 1.0, 1.0])  # one metre in front of the camera
    np.testing.assert_allclose(ahead[:3], [1, 2, 2])
    below = pose @ np.array([0.0, 1.0, 0.0, 1.0])
    np.testing.assert_allclose(below[:3], [1, 1, 3])
    assert np.linalg.det(pose[:3, :3]) > 0  # not a mirror


def test_the_z_buffer_is_inverted_exactly() -> None:
    near, far, distance = 0.0106, 530.0, np.array([0.05, 0.7, 3.0])
    buffer = (1 / near - 1 / distance) / (1 / near - 1 / far)
    np.testing.assert_allclose(metric_depth(buffer, near, far), distance)


def test_the_sentence_comes_from_where_it_is_right() -> None:
    assert _sentence("libero_object", "pick up the milk", "pick the milk") == "pick up the milk"
    assert _sentence("libero_goal_swap", "put the bowl", "put a bowl") == "put the bowl"
    assert _sentence("libero_goal_lan", "turn on the stove", "switch on  the stove") == "switch on the stove"
    assert _sentence("libero_10_task", "turn on the stove", "turn off the stove") == "turn off the stove"


def test_suites_are_named_once() -> None:
    assert len(set(suite_names())) == len(suite_names()) == 5 + 16
