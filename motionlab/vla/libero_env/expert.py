"""The expert of LIBERO: puts one thing on or in another, deciding by the scene of this moment alone.

As on the table (`table_lab/expert.py`), there is no hidden phase: a policy that sees one moment can copy only an expert
that decides by one moment. The phase is read off the simulator: do both fingers touch the thing, do they move, is it
above its goal. The hand rises until what lies in its way is below it, moves sideways, and comes down.

One unit of an action puts the goal of the controller 5 cm away, and the hand goes about a quarter of that way in a
step. So the expert asks for more than the distance that is left, less what the hand will still coast.
"""

from __future__ import annotations

import math

import numpy as np

from motionlab.vla.libero_env.env import LiberoEnv
from motionlab.vla.libero_env.grasps import TIP, choose_grasp
from motionlab.vla.libero_env.osc import METRES, RADIANS, turn_error
from motionlab.vla.libero_env.robot import hand_orientation
from motionlab.vla.libero_env.scene import Scene, SceneReader
from motionlab.vla.observation import CLOSE, OPEN, Observation

GAIN = 2.5  # how far beyond the distance that is left the controller is sent
COAST = 0.06  # seconds that the hand keeps its speed when nothing is asked for
NEAR, LOW = 0.008, 0.008  # metres from the grasp, sideways and up: good enough to close
STAYS = 0.03  # metres from the grasp within which closing fingers keep closing
NEAR_GOAL = 0.012  # metres sideways from the goal: good enough to come down
DEEP_IN, PALM = 0.08, 0.032  # metres below the edge of a container; from the grip point up to the palm
TURNED = 0.15  # radians
OPENED, CLOSED = 0.068, 0.003  # metres between the fingers
BESIDE = 0.015  # metres around the box of a thing within which a finger has it
RESTS = 0.02  # metres a second: the fingers have stopped
MARGIN = 0.025  # metres above what lies in the way
SLOPE = 4.0  # metres up for each metre from the target: how steep the funnel is
CLEAR = 0.03  # metres below the free height, over which the way sideways slows down to nothing
REACH = 0.045  # metres around the grip point, and around what is held, that have to be free
GENTLE = 0.3  # of a unit up, out of something with walls: a thing that may not swing slips off the fingers


class LiberoExpert:
    """The expert as a policy of one env: it looks at the simulator, not at the pictures."""

    def __init__(self, env: LiberoEnv) -> None:
        self.env = env
        self._reader: SceneReader | None = None

    def __call__(self, seen: Observation, sentence: str) -> np.ndarray:
        """`decide`, as `evaluate_policy` calls a policy."""
        return self.decide()

    def decide(self) -> np.ndarray:
        """The action `[7]` for this moment.

        Raises:
            InputError: the goal of the task is another one than to put something on or in something.
        """
        simulation = self.env.simulation
        if self._reader is None or self._reader.simulation is not simulation:
            self._reader = SceneReader(simulation)
        return expert_action(self._reader.read())


def expert_action(scene: Scene) -> np.ndarray:
    """The action `[7]`, each in [-1, 1]."""
    if scene.done or _is_left_alone(scene):
        return _command(scene, np.array([0.0, 0.0, 0.05]), 0.0, OPEN)
    if _holds(scene):
        return _carry(scene)
    return _take(scene)


def _holds(scene: Scene) -> bool:
    """Whether fingers that have stopped, neither open nor shut, have the thing between them.

    The check of robosuite asks both pads, and misses a rim that touches the finger next to its pad.
    """
    if abs(scene.gap_speed) > RESTS or scene.gap > OPENED:
        return False
    if scene.gap < CLOSED:
        return scene.touching  # a thin rim
    near = (scene.hand > scene.target.low - BESIDE) & (scene.hand < scene.target.high + BESIDE)
    return scene.touching or bool(near.all())


def _take(scene: Scene) -> np.ndarray:
    """Towards the grasp, with open fingers; and closing them there."""
    grasp = choose_grasp(scene)
    away = grasp.place - scene.hand
    aside, turn = math.hypot(*away[:2]), _turn_to(scene, grasp.angle)
    is_turned = abs(turn) < TURNED
    opening = scene.gap_speed > RESTS and scene.gap < OPENED
    if is_turned and not opening and scene.gap > CLOSED:
        closing = scene.gap < OPENED and aside < STAYS and abs(away[2]) < STAYS
        if closing or (aside < 2 * NEAR and abs(away[2]) < LOW):
            return _command(scene, away if not closing else 0.3 * away, turn, CLOSE)
    above = scene.target.high[2] + TIP + MARGIN
    if aside > REACH:  # over everything on the way
        height = max(_free_height(scene, grasp.place[:2], TIP, everything=True), above)
    elif aside > 2 * NEAR or not is_turned or scene.gap < OPENED:
        height = above
    else:
        height = grasp.place[2] + max(0.0, SLOPE * (aside - NEAR))
    sideways = 1.0 if aside < 2 * NEAR else _share(scene.hand[2], height)
    return _command(scene, np.array([*(sideways * away[:2]), height - scene.hand[2]]), turn, OPEN)


def _carry(scene: Scene) -> np.ndarray:
    """With the thing in the hand: up, over the goal, down, and let go."""
    target, goal = scene.target, scene.goal
    away = goal.place[:2] - target.place[:2]
    aside = math.hypot(*away)
    bottom = target.low[2] - scene.hand[2]  # of the target below the grip point, negative
    # Where its bottom may go. Between walls: as deep as the palm allows, which has to stay above them.
    rest = max(goal.high[2] - DEEP_IN, goal.high[2] - PALM + MARGIN / 2 + bottom) if scene.into else goal.low[2]
    entry = goal.high[2] + (MARGIN if scene.into else 0.0)
    if aside < NEAR_GOAL and target.low[2] < rest + 0.01 and scene.into:
        return _command(scene, np.array([*away, 0.0]), 0.0, OPEN)
    free = max(_free_height(scene, goal.place[:2], -bottom, everything=False), entry + MARGIN - bottom)
    down = rest - bottom
    height = min(free, down + max(0.0, SLOPE * (aside - NEAR_GOAL))) if aside < REACH / 2 else free
    sideways = 1.0 if aside < 2 * NEAR_GOAL else _share(scene.hand[2], height)
    action = _command(scene, np.array([*(sideways * away), height - scene.hand[2]]), 0.0, CLOSE)
    if _is_walled_in(scene):
        action[2] = min(action[2], GENTLE)
    return action


def _is_left_alone(scene: Scene) -> bool:
    """Whether the thing is where it belongs, as far as the hand is concerned: fingers that open there keep opening."""
    target, goal = scene.target, scene.goal
    aside = math.hypot(*(goal.place[:2] - target.place[:2]))
    if scene.into:
        return aside < 0.05 and target.low[2] < goal.high[2] and scene.gap_speed > RESTS / 2
    return aside < 0.03 and target.low[2] < goal.high[2] + 0.01 and scene.gap_speed > RESTS / 2


def _is_walled_in(scene: Scene) -> bool:
    """Whether the target stands between things on all four sides, as in a drawer, that are higher than its bottom."""
    target, points = scene.target, scene.points
    near = (points[:, :2] > target.low[:2] - REACH) & (points[:, :2] < target.high[:2] + REACH)  # [N, 2]
    walls = near.all(1) & (points[:, 2] > target.low[2] + LOW)  # what it stands on is no wall
    aside = points[walls, :2] - target.place[:2]
    axis = np.abs(aside).argmax(1)  # which of x and y leads to each point
    ahead = np.take_along_axis(aside, axis[:, None], axis=1)[:, 0] > 0
    return len(np.unique(2 * axis + ahead)) == 4


def _free_height(scene: Scene, to: np.ndarray, below: float, everything: bool) -> float:
    """The height of the grip point at which what reaches `below` metres down is above all on the way to `to`."""
    points = scene.points if everything else scene.points[~scene.of_goal]
    low = np.minimum(scene.hand[:2], to) - REACH
    high = np.maximum(scene.hand[:2], to) + REACH
    on_the_way = ((points[:, :2] > low) & (points[:, :2] < high)).all(1)
    return float(points[on_the_way, 2].max(initial=-math.inf)) + below + MARGIN


def _share(now: float, wanted: float) -> float:
    """From 1 at the wanted height, or above it, to 0 below it."""
    return float(np.clip(1.0 - (wanted - now) / CLEAR, 0.0, 1.0))


def _turn_to(scene: Scene, angle: float) -> float:
    """Radians about z until the fingers move along `angle`; less than a quarter turn either way."""
    fingers = scene.axes[:, 1]
    return (angle - math.atan2(fingers[1], fingers[0]) + math.pi / 2) % math.pi - math.pi / 2


def _command(scene: Scene, away: np.ndarray, turn: float, fingers: float) -> np.ndarray:
    """An action: `away` `[3]` metres, `turn` radians about z with the hand straight down, fingers open or close."""
    x_axis = scene.axes[:, 0]
    yaw = math.atan2(x_axis[1], x_axis[0]) + float(np.clip(turn, -RADIANS, RADIANS))
    cos, sin = math.cos(yaw), math.sin(yaw)
    wanted = np.array([[cos, sin, 0.0], [sin, -cos, 0.0], [0.0, 0.0, -1.0]])  # straight down
    rotation = _axis_angle(wanted @ scene.axes.T)
    step = GAIN * (away - COAST * scene.speed) / METRES
    action = np.concatenate([step, rotation / RADIANS, [fingers]])
    return np.asarray(np.clip(action, -1.0, 1.0))


def _axis_angle(rotation: np.ndarray) -> np.ndarray:
    """`[3]` of a rotation `[3, 3]` that is not near half a turn."""
    vector = 2 * turn_error(rotation, np.eye(3))  # twice the sine times the axis
    w = math.sqrt(max(0.0, 1.0 + float(np.trace(rotation)))) / 2
    return hand_orientation(np.array([w, *(vector / max(4 * w, 1e-9))]))
