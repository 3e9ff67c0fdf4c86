"""The formula of the controller against a plain transcription of its equations, and its parts."""

from __future__ import annotations

import numpy as np
import pytest

from motionlab.vla.libero_env.osc import JOINT_KD, JOINT_KP, KD, KP, osc_torques, turn_error, turned


def plain(J, M, h, e_p, e_r, e_q, speeds):
    """The equations of the docstring, one after the other, with inverses."""
    inverse = np.linalg.inv(M)
    mass = np.linalg.inv(J @ inverse @ J.T)
    mass_p, mass_r = (np.linalg.inv(rows @ inverse @ rows.T) for rows in (J[:3], J[3:]))
    v, w = np.split(J @ speeds, 2)
    wrench = np.concatenate([mass_p @ (KP * e_p - KD * v), mass_r @ (KP * e_r - KD * w)])
    null = np.eye(7) - J.T @ mass @ J @ inverse
    return J.T @ wrench + h + null @ M @ (JOINT_KP * e_q - JOINT_KD * speeds)


@pytest.fixture
def arm() -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(0)
    root = rng.normal(size=(7, 7))
    vectors = (rng.normal(size=size) for size in (7, 3, 3, 7, 7))
    return rng.normal(size=(6, 7)), root @ root.T + np.eye(7), *vectors


def test_torques_follow_the_equations(arm) -> None:
    np.testing.assert_allclose(osc_torques(*arm), plain(*arm), rtol=1e-9)


def test_at_the_goal_and_at_rest_only_gravity_is_held(arm) -> None:
    J, M, h, *_ = arm
    zero = np.zeros(3)
    np.testing.assert_allclose(osc_torques(J, M, h, zero, zero, np.zeros(7), np.zeros(7)), h, atol=1e-12)


def test_the_resting_posture_does_not_move_the_hand(arm) -> None:
    J, M, h, _, _, rest, _ = arm
    zero = np.zeros(3)
    torques = osc_torques(J, M, h, zero, zero, rest, np.zeros(7)) - h
    assert np.abs(torques).max() > 0.1
    np.testing.assert_allclose(J @ np.linalg.solve(M, torques), 0.0, atol=1e-9)  # no acceleration of the hand


def test_the_turn_error_is_the_sum_of_cross_products() -> None:
    now = turned(np.eye(3), np.array([0.3, -0.2, 0.5]))
    wanted = turned(now, np.array([0.1, 0.2, -0.1]))
    expected = 0.5 * sum(np.cross(now[:, axis], wanted[:, axis]) for axis in range(3))
    np.testing.assert_allclose(turn_error(wanted, now), expected, atol=1e-12)
    np.testing.assert_allclose(turn_error(wanted, now), np.sinc(np.sqrt(0.06) / np.pi) * np.array([0.1, 0.2, -0.1]))


def test_turning_keeps_a_rotation() -> None:
    rotation = turned(np.eye(3), np.array([1.0, 2.0, 3.0]))
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    np.testing.assert_array_equal(turned(rotation, np.zeros(3)), rotation)
