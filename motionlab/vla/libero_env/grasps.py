"""How to take hold of a thing: straight from above, across its narrower side, or, if it is wide, by its rim.

A grasp fits if fingers and palm, as boxes at their place, are free of all other things. Of those that fit, the first
one is taken: the fingers move along y at the start of every task of LIBERO, so a grasp along y needs no turn.

Before that, a grasp has to be within reach, also from a little above: the hand comes down from there, and lifts the
thing to there. The arm of the Panda is longest, 0.719 m from shoulder to wrist, 0.4 radians before its elbow reaches
its limit. An arm that is pulled so far moves to the limit, and no pull on the hand brings it back: it would have to
become longer first. (Its parts, by Franka's own numbers, are sqrt(0.316^2 + 0.0825^2) and sqrt(0.384^2 + 0.0825^2).)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from motionlab.vla.libero_env.scene import Scene

WIDEST = 0.068  # metres that still go well between the open fingers
DEEP = 0.028  # below the top of a tall thing; the palm is 0.036 above the grip point
TIP = 0.012  # that the fingers reach below the grip point
WALL = 0.005  # from the outer side of a rim to its middle
BELOW_RIM = 0.014
FREE = 0.004  # metres of air that a grasp should have
ARM = 0.715  # metres from shoulder to wrist, of 0.719 that a straight arm has
ABOVE = 0.05  # metres above a grasp, where reach is asked for: the hand comes down from there
WRIST_UP, WRIST_BACK = 0.204, 0.088  # metres from the grip point to the wrist, the hand straight down: up, to the robot
_AROUND, _BELOW = 0.18, 0.05  # metres around the target and below a grasp that the hand can reach into
_DIRECTIONS = 24  # around a rim
# Parts of the open hand: low and high corners, along the line of the fingers, across it, and up from the grip point.
HAND = np.array(
    [
        [[-0.068, -0.013, -TIP], [-0.036, 0.013, 0.05]],
        [[0.036, -0.013, -TIP], [0.068, 0.013, 0.05]],
        [[-0.105, -0.035, 0.032], [0.105, 0.035, 0.13]],
    ]
)


@dataclass(frozen=True)
class Grasp:
    """Where the grip point goes `[3]`, and along which angle (radians from x, modulo pi) the fingers move."""

    place: np.ndarray
    angle: float


def choose_grasp(scene: Scene) -> Grasp:
    """The first grasp within reach that fits; the one with most air where none does."""
    known = candidates(scene)
    known = [grasp for grasp in known if stretch(grasp.place, scene.shoulder) <= ARM] or known
    near = scene.points[scene.points[:, 2] > known[0].place[2] - _BELOW]
    near = near[np.abs(near[:, :2] - scene.target.place[:2]).max(1) < _AROUND]
    airs = []
    for grasp in known:
        airs.append(air(grasp, near))
        if airs[-1] >= FREE:
            return grasp
    return known[int(np.argmax(airs))]


def candidates(scene: Scene) -> list[Grasp]:
    """Grasps of the target, the preferred ones first."""
    target = scene.target
    size = target.high - target.low
    along_y, along_x = math.pi / 2, 0.0
    if size[:2].min() > WIDEST or size[:2].max() > WIDEST and abs(size[0] - size[1]) < 0.02:
        angles = along_y + np.arange(_DIRECTIONS) * 2 * math.pi / _DIRECTIONS
        order = np.argsort(np.round(np.abs(np.cos(angles)), 6), kind="stable")  # the less of a turn, the better
        return [rim_grasp(scene, float(angle)) for angle in angles[order]]
    middle = (target.low + target.high) / 2
    height = max(min(middle[2], target.high[2] - 0.02), target.high[2] - DEEP, target.low[2] + TIP - 0.004)
    place = np.array([middle[0], middle[1], height])
    fitting = [angle for angle, axis in ((along_y, 1), (along_x, 0)) if size[axis] <= WIDEST]
    return [Grasp(place, angle) for angle in fitting]


def rim_grasp(scene: Scene, angle: float) -> Grasp:
    """The rim of the target in the direction `angle` from its middle; a tilted target has a tilted rim."""
    direction = np.array([math.cos(angle), math.sin(angle), 0.0])
    own = scene.target.axes.T @ direction
    own[2] = 0.0
    radius, height = scene.rim
    own *= (radius - WALL) / max(float(np.linalg.norm(own)), 1e-9)
    own[2] = height - BELOW_RIM
    return Grasp(scene.target.place + scene.target.axes @ own, angle % math.pi)


def stretch(place: np.ndarray, shoulder: np.ndarray) -> float:
    """Metres from the shoulder `[3]` to the wrist of a hand that points straight down, above a grasp at `place` `[3]`.

    >>> round(stretch(np.array([0.7, 0.0, 0.0]), np.array([0.0, 0.0, 0.3])), 3)  # 0.612 to the front, 0.046 down
    0.614
    """
    x, y, up = place - shoulder
    return math.hypot(math.hypot(x, y) - WRIST_BACK, up + ABOVE + WRIST_UP)


def air(grasp: Grasp, points: np.ndarray) -> float:
    """Metres between the open hand at a grasp and the nearest of some points `[N, 3]`; negative inside of it.

    >>> air(Grasp(np.zeros(3), 0.0), np.array([[0.168, 0.0, 0.0]]))  # 0.1 beyond a finger, nearer to the palm
    0.063
    """
    if len(points) == 0:
        return math.inf
    cos, sin = math.cos(grasp.angle), math.sin(grasp.angle)
    x, y, up = (points - grasp.place).T  # [N] each
    local = np.stack([cos * x + sin * y, cos * y - sin * x, up], axis=1)  # [N, 3] along the fingers, across, up
    beyond = np.maximum(local - HAND[:, None, 1], HAND[:, None, 0] - local)  # [3 parts, N, 3]
    return round(float(beyond.max(2).min()), 6)
