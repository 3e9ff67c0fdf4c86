"""Operational space control: from where the hand should go to the torques of the arm's joints, in numpy.

Khatib (IEEE Journal of Robotics and Automation 1987) controls the hand as if it were a free body: with the Jacobian J
and the mass matrix M of the joints, the hand feels like the mass L = (J M^-1 J^T)^-1. robosuite's OSC_POSE, which
LIBERO uses, takes the place and the orientation apart, each with the mass of its own rows of J, and lets what is left
of the seven joints pull softly towards a resting posture:

    force  = L_p (kp e_p - kd v)          e_p: place wanted - place
    torque = L_r (kp e_r - kd w)          e_r: half the sum of the cross products of the axes, now x wanted
    tau    = J^T [force, torque] + h + N^T M (k0 (q0 - q) - d0 q')
    N^T    = 1 - J^T L J M^-1             what these joints do does not move the hand

h is gravity with Coriolis forces. All dampings are critical: kd = 2 sqrt(kp).
"""

from __future__ import annotations

import math

import numpy as np

KP, JOINT_KP = 150.0, 10.0
KD, JOINT_KD = 2 * math.sqrt(KP), 2 * math.sqrt(JOINT_KP)
METRES, RADIANS = 0.05, 0.5  # how far the goal lies for one unit of an action; the hand goes about a quarter of it


def osc_torques(
    jacobian: np.ndarray,
    mass: np.ndarray,
    bias: np.ndarray,
    place_error: np.ndarray,
    turn_error: np.ndarray,
    rest_error: np.ndarray,
    speeds: np.ndarray,
) -> np.ndarray:
    """Torques `[7]`, not yet limited, newton metres.

    Args:
        jacobian: `[6, 7]` of the grip point: translation, then rotation.
        mass: `[7, 7]` of the joints.
        bias: `[7]` gravity and Coriolis torques.
        place_error: `[3]` metres from the hand to the goal.
        turn_error: `[3]` of `turn_error`.
        rest_error: `[7]` radians from the joints to their resting posture.
        speeds: `[7]` of the joints, radians a second.
    """
    moved = np.linalg.solve(mass, jacobian.T)  # [7, 6] = M^-1 J^T
    mobility = jacobian @ moved  # [6, 6] = J M^-1 J^T
    hand_speed = jacobian @ speeds  # [6]
    wrench = np.empty(6)
    wrench[:3] = np.linalg.solve(mobility[:3, :3], KP * place_error - KD * hand_speed[:3])
    wrench[3:] = np.linalg.solve(mobility[3:, 3:], KP * turn_error - KD * hand_speed[3:])
    rest = JOINT_KP * rest_error - JOINT_KD * speeds  # [7], accelerations
    seen_by_hand = np.linalg.solve(mobility, jacobian @ rest)  # [6]: N^T M rest = M rest - J^T L J rest
    return np.asarray(jacobian.T @ (wrench - seen_by_hand) + bias + mass @ rest)


def turn_error(wanted: np.ndarray, now: np.ndarray) -> np.ndarray:
    """`[3]` about which axis to turn, from the orientation `now` `[3, 3]` to the one that is wanted; sine of the angle.

    >>> quarter = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    >>> turn_error(quarter, np.eye(3))
    array([0., 0., 1.])
    """
    skew = wanted @ now.T  # the sum of the cross products of columns is the skew part of this product
    return 0.5 * np.array([skew[2, 1] - skew[1, 2], skew[0, 2] - skew[2, 0], skew[1, 0] - skew[0, 1]])


def turned(now: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """The orientation `[3, 3]` after a turn `[3]` (axis times angle, in the frame of the world); Rodrigues.

    >>> turned(np.eye(3), np.array([0.0, 0.0, np.pi / 2])).round(6) + 0.0
    array([[ 0., -1.,  0.],
           [ 1.,  0.,  0.],
           [ 0.,  0.,  1.]])
    """
    angle = float(np.linalg.norm(turn))
    if angle < 1e-12:
        return now
    x, y, z = turn / angle
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    rotation = np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * (cross @ cross)
    return np.asarray(rotation @ now)
