"""The physics of the table: one control step is a function from a state and an action to the next state.

The hand points down and turns about z only, as a SCARA arm does: the commands droll and dpitch are taken and have no
effect. Everything is quasi-static: nothing swings, slides on, or bounces; what is released lies on its support one
step later. Within that, the rules are those of a parallel gripper:

- Fingers, and a cube in the hand, cannot go through the table, the plate or a cube from above: the hand stops on them.
- From the side they push cubes along, and cubes push cubes.
- Closing fingers stop at a cube between them. They hold it if it lies well between the pads (18 mm, 0.49 rad); then
  it is centred and turned in line with the pads, as by real ones. A held cube moves with the hand until they open.
  The angle is where friction ends the turning: two pads touch a turned square at opposite corners, whose line is
  pi/4 less the turn away from the pads' normal. Nearer to it than atan(friction) the square jams between the pads.
- A released cube falls onto what is below its middle: the plate, another cube, or the table.

One unit of an action is 35 mm or 0.5 rad, and the fingers travel half of their way in a step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from motionlab.errors import InputError
from motionlab.vla.observation import ACTION_DIMS
from motionlab.vla.table_lab.shapes import (
    COLOURS,
    CUBE,
    FINGER,
    GAP_MOST,
    HALF,
    PLATE_RADIUS,
    PLATE_TOP,
    TIP,
)

METRES, RADIANS = 0.035, 0.5  # of one unit of an action
GAP_STEP = GAP_MOST / 2
REACH = ((-0.26, 0.26), (-0.28, 0.28), (TIP, 0.28))  # of the grip point: x, y, z
YAW_MOST = 1.4
FRICTION = 0.3  # of pads on smooth wood
GRASP_NEAR, GRASP_HEIGHT = 0.018, 0.018  # of the middle of the cube from the grip point
GRASP_YAW = math.pi / 4 - math.atan(FRICTION)
PARTS = 4  # of a step near things: what moves less than half a cube at once cannot come out on its other side
SPREAD, SPREAD_PLATE = 0.085, 0.115  # least distance of cubes from cubes, and of cubes from the plate, at the start
LAYOUT = ((-0.15, 0.15), (-0.18, 0.18))  # where things lie at the start: x, y
STATE_SIZE = 25
_EPS = 1e-3  # metres: less than this counts as touching from above
_NOTHING = -1


@dataclass(frozen=True)
class TableState:
    """Everything that the future depends on.

    Fields:
        hand: `[3]` grip point.
        yaw: of the hand.
        gap: between the inner sides of the fingers.
        held: number of the cube in the hand, or -1.
        grip: `[4]` place (along the pads, across them, up) and yaw of the held cube in the frame of the hand.
        cubes: `[3, 4]` middle x y z and yaw of the red, green and blue cube.
        plate: `[2]` middle x y.
        task: number of the cube that the instruction names.
    """

    hand: np.ndarray
    yaw: float
    gap: float
    held: int
    grip: np.ndarray
    cubes: np.ndarray
    plate: np.ndarray
    task: int

    def vector(self) -> np.ndarray:
        """`[25]` float64."""
        numbers = [self.yaw, self.gap, float(self.held)]
        return np.concatenate([self.hand, numbers, self.grip, self.cubes.ravel(), self.plate, [float(self.task)]])

    @classmethod
    def from_vector(cls, vector: np.ndarray) -> TableState:
        """The state that `vector` gave.

        Raises:
            InputError: another length, numbers that are not finite, or a cube that does not exist.
        """
        v = np.asarray(vector, dtype=np.float64)
        expected, fix = f"{STATE_SIZE} finite numbers, as state() gives them", "Give a state of this world."
        if v.shape != (STATE_SIZE,):
            raise InputError("state", found=f"shape {v.shape}", expected=expected, fix=fix)
        if not np.isfinite(v).all() or v[5] not in (-1, 0, 1, 2) or v[24] not in (0, 1, 2):
            raise InputError("state", found="NaN, infinity or no such cube", expected=expected, fix=fix)
        cubes = v[10:22].reshape(3, 4).copy()
        return cls(
            v[:3].copy(), float(v[3]), float(v[4]), int(v[5]), v[6:10].copy(), cubes, v[22:24].copy(), int(v[24])
        )


def sample(task: int, seed: int) -> TableState:
    """The state at the start of an episode. The layout depends on the seed alone, so tasks can share a table."""
    rng = np.random.default_rng(seed)
    while True:  # one draw in five is good
        places = np.stack([rng.uniform(*LAYOUT[axis], size=4) for axis in (0, 1)], axis=1)  # [4, 2]
        apart = np.linalg.norm(places[:, None] - places[None], axis=-1) + np.eye(4)
        if apart[:3, :3].min() >= SPREAD and apart[3, :3].min() >= SPREAD_PLATE:
            break
    cubes = np.column_stack([places[:3], np.full(3, HALF), rng.uniform(-0.45, 0.45, size=3)])
    hand = np.array([rng.uniform(-0.10, 0.02), rng.uniform(-0.06, 0.06), rng.uniform(0.16, 0.22)])
    return TableState(hand, rng.uniform(-0.25, 0.25), GAP_MOST, _NOTHING, np.zeros(4), cubes, places[3], task)


def check_action(action: np.ndarray) -> np.ndarray:
    """The action `[7]` as float64, clipped to [-1, 1].

    Raises:
        InputError: another shape, or a number that is not finite.
    """
    numbers = np.asarray(action, dtype=np.float64)
    if numbers.shape != (ACTION_DIMS,) or not np.isfinite(numbers).all():
        found = f"shape {numbers.shape}" if numbers.shape != (ACTION_DIMS,) else "NaN or infinity"
        raise InputError("action", found=found, expected="7 finite numbers", fix="Check what the policy returns.")
    return np.clip(numbers, -1.0, 1.0)


def advance(state: TableState, action: np.ndarray) -> TableState:
    """The state one control step later; `action` `[7]` as `check_action` gives it."""
    low = state.hand[2] + METRES * min(action[2], 0.0) - CUBE  # a held cube reaches that far below the grip point
    parts = PARTS if low < np.max(state.cubes[:, 2] + HALF, initial=0.0, where=np.arange(3) != state.held) else 1
    for _ in range(parts):
        state = _move(state, action / parts)
    if action[6] != 0:
        state = _open(state) if action[6] < 0 else _close(state)
    return _settled(state)


def wrapped(angle: float) -> float:
    """The turn of a cube, which looks the same after a quarter turn, in [-pi/4, pi/4).

    >>> round(wrapped(math.pi / 2 + 0.1), 3)
    0.1
    """
    return (angle + math.pi / 4) % (math.pi / 2) - math.pi / 4


def turn(yaw: float, x: float, y: float) -> tuple[float, float]:
    """A vector of a frame that is turned by `yaw`, in the world."""
    c, s = math.cos(yaw), math.sin(yaw)
    return c * x - s * y, s * x + c * y


def support(state: TableState, number: int) -> tuple[float, int]:
    """Height of what is below the middle of a cube, and its kind: -1 the table, 3 the plate, else the cube's number."""
    x, y, z, _ = state.cubes[number]
    height, kind = 0.0, _NOTHING
    if math.hypot(x - state.plate[0], y - state.plate[1]) < PLATE_RADIUS:
        height, kind = PLATE_TOP, len(COLOURS)
    for other, (ox, oy, oz, oyaw) in enumerate(state.cubes):
        if other in (number, state.held) or oz + HALF > z - HALF + _EPS or oz + HALF <= height:
            continue
        u, v = turn(-oyaw, x - ox, y - oy)
        if max(abs(u), abs(v)) < HALF:
            height, kind = oz + HALF, other
    return height, kind


def on_plate(state: TableState, number: int) -> bool:
    """Whether a cube lies on the plate, and not in the hand."""
    height, kind = support(state, number)
    lies = abs(state.cubes[number, 2] - HALF - height) < _EPS
    return state.held != number and kind == len(COLOURS) and lies


# --- moving -----------------------------------------------------------------------------------------------------------


def _move(state: TableState, action: np.ndarray) -> TableState:
    """Translate and turn the hand; what is in the way stops it (from above) or is pushed (from the side)."""
    yaw = float(np.clip(state.yaw + RADIANS * action[5], -YAW_MOST, YAW_MOST))
    goal = [float(np.clip(state.hand[i] + METRES * action[i], *REACH[i])) for i in range(3)]
    drops, cubes = [], state.cubes.copy()
    x, y, z = goal
    for px, py, radius, drop in _probes(state, x, y, yaw):  # stop on what is below
        before = state.hand[2] - drop
        z = max(z, _floor(state, px, py, radius, before) + drop)
        drops.append((px, py, radius, drop))
    hand = np.array([x, y, z])
    if state.held != _NOTHING:
        dx, dy = turn(yaw, state.grip[0], state.grip[1])
        cubes[state.held] = x + dx, y + dy, z + state.grip[2], yaw + state.grip[3]
    moved = replace(state, hand=hand, yaw=yaw, cubes=cubes)
    for px, py, radius, drop in drops:
        moved = _push(moved, px, py, radius, z - drop)
    return moved


def _probes(state: TableState, x: float, y: float, yaw: float) -> list[tuple[float, float, float, float]]:
    """Round bars that reach down from the hand: x, y, radius, and how far below the grip point they end."""
    bars = []
    for side in (-1.0, 1.0):
        dx, dy = turn(yaw, 0.0, side * (state.gap / 2 + FINGER[1]))
        bars.append((x + dx, y + dy, FINGER[1], TIP))
    if state.held != _NOTHING:
        dx, dy = turn(yaw, state.grip[0], state.grip[1])
        bars.append((x + dx, y + dy, HALF, HALF - state.grip[2]))
    return bars


def _floor(state: TableState, x: float, y: float, radius: float, bottom: float) -> float:
    """How low a bar may come that was at the height `bottom`: the table, the plate, cubes that it was above."""
    near_plate = math.hypot(x - state.plate[0], y - state.plate[1]) < PLATE_RADIUS
    floor = PLATE_TOP if near_plate else 0.0
    for number, (cx, cy, cz, cyaw) in enumerate(state.cubes):
        if number == state.held or bottom < cz + HALF - _EPS:
            continue
        u, v = turn(-cyaw, x - cx, y - cy)
        if max(abs(u), abs(v)) < HALF + radius:
            floor = max(floor, cz + HALF)
    return floor


def _push(state: TableState, x: float, y: float, radius: float, bottom: float) -> TableState:
    """Cubes that a bar has entered from the side leave it by the shortest way, and push others along."""
    for number, (cx, cy, cz, cyaw) in enumerate(state.cubes):
        if number == state.held or bottom > cz + HALF - _EPS:
            continue
        u, v = turn(-cyaw, x - cx, y - cy)
        depth_u, depth_v = HALF + radius - abs(u), HALF + radius - abs(v)
        if min(depth_u, depth_v) <= 1e-9:
            continue
        away = (-math.copysign(depth_u, u), 0.0) if depth_u < depth_v else (0.0, -math.copysign(depth_v, v))
        dx, dy = turn(cyaw, *away)
        state = _placed(state, number, cx + dx, cy + dy)
        state = _spread(state, number)
    return state


def _placed(state: TableState, number: int, x: float, y: float) -> TableState:
    """The state with a cube at another place, lying on what is there; the edge of the reach is a rim."""
    cubes = state.cubes.copy()
    cubes[number, 0] = np.clip(x, REACH[0][0] - CUBE, REACH[0][1] + CUBE)
    cubes[number, 1] = np.clip(y, REACH[1][0] - CUBE, REACH[1][1] + CUBE)
    state = replace(state, cubes=cubes)
    cubes[number, 2] = support(state, number)[0] + HALF
    return state


def _settled(state: TableState) -> TableState:
    """Cubes whose support has gone, such as the upper one of a tower, fall; from the lowest to the highest."""
    for number in np.argsort(state.cubes[:, 2]):
        x, y, z, _ = state.cubes[number]
        if number != state.held and z > support(state, number)[0] + HALF + _EPS:
            state = _spread(_placed(state, number, float(x), float(y)), number)
    return state


def _spread(state: TableState, pushed: int) -> TableState:
    """Free cubes at the height of one that was pushed make room for it."""
    for number in range(len(COLOURS)):
        away = state.cubes[number, :2] - state.cubes[pushed, :2]
        distance = float(np.hypot(*away))
        level = abs(state.cubes[number, 2] - state.cubes[pushed, 2]) < CUBE - _EPS
        if number in (pushed, state.held) or not level or distance >= CUBE:
            continue
        away = away / distance if distance > 0 else np.array([1.0, 0.0])
        x, y = state.cubes[pushed, :2] + CUBE * away
        state = _placed(state, number, float(x), float(y))
    return state


# --- fingers ----------------------------------------------------------------------------------------------------------


def _open(state: TableState) -> TableState:
    """Fingers go apart; a cube that they held falls onto its support."""
    held, gap = state.held, min(GAP_MOST, state.gap + GAP_STEP)
    state = replace(state, gap=gap, held=_NOTHING, grip=np.zeros(4))
    if held == _NOTHING:
        return state
    x, y = state.cubes[held, :2]
    return _spread(_placed(state, held, float(x), float(y)), held)


def _close(state: TableState) -> TableState:
    """Fingers come together, as far as a cube between them lets them; it is held if it lies well between them."""
    gap = max(0.0, state.gap - GAP_STEP)
    if state.held != _NOTHING:
        return state
    for number, (cx, cy, cz, cyaw) in enumerate(state.cubes):
        u, v = turn(-state.yaw, cx - state.hand[0], cy - state.hand[1])
        w, off = cz - state.hand[2], wrapped(cyaw - state.yaw)
        between = abs(u) < HALF + FINGER[0] and abs(v) < state.gap / 2 and cz + HALF > state.hand[2] - TIP
        if not between or state.gap < CUBE - 1e-9 or cz - HALF > state.hand[2] - TIP + 2 * FINGER[2]:
            continue
        gap = max(gap, CUBE)
        if gap == CUBE and max(abs(u), abs(v)) <= GRASP_NEAR and abs(off) <= GRASP_YAW and abs(w) <= GRASP_HEIGHT:
            cubes = state.cubes.copy()
            dx, dy = turn(state.yaw, u, 0.0)  # the pads centre it between them and turn it in line
            cubes[number] = state.hand[0] + dx, state.hand[1] + dy, cz, cyaw - off
            grip = np.array([u, 0.0, w, cyaw - off - state.yaw])
            return replace(state, gap=gap, held=number, grip=grip, cubes=cubes)
    return replace(state, gap=gap)
