"""Pictures by ray casting: one ray through the middle of each pixel, colour by Lambert's law with hard shadows.

A ray is `place + t * direction` with the direction's part along the camera's z axis equal to 1, so that `t` at the hit
IS the depth, exact to float32. Boxes are met by the slab method (Kay and Kajiya, SIGGRAPH 1986): a ray is inside a
box while it is between all three pairs of its sides.

Nothing here goes through a matrix product: sums of single products do not depend on the number of threads, so pictures
are the same, bit for bit, in every process.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from motionlab.vla.observation import Camera
from motionlab.vla.table_lab.shapes import (
    ARM,
    ARM_HEIGHT,
    COLOURS,
    FINGER,
    HALF,
    PALM,
    PALM_HEIGHT,
    PLATE_RADIUS,
    PLATE_TOP,
    RGB,
    TABLE,
    TIP,
    Box,
)
from motionlab.vla.table_lab.world import TableState, turn

FARTHEST = 10.0  # metres; the depth of a ray that meets nothing
_LIGHT = np.array([0.35, -0.45, 1.0]) / math.sqrt(0.35**2 + 0.45**2 + 1.0)  # where the light is, far away
_AMBIENT = 0.42  # of the colour that a side without light keeps
_SKY = (0.62, 0.68, 0.74)
_F = np.float32
Rays = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Scenery:
    """The colours of the plane z = 0.

    Fields:
        boxes: cubes and the parts of the hand.
        plate: `(x, y)` of the middle of the plate; None for no plate.
    """

    boxes: tuple[Box, ...]
    plate: tuple[float, float] | None


def scenery(state: TableState) -> Scenery:
    """The boxes of a state: three cubes, two fingers, the palm and the arm above it."""
    x, y, z = (float(value) for value in state.hand)
    boxes = [
        Box((float(c[0]), float(c[1]), float(c[2])), (HALF,) * 3, float(c[3]), RGB[name])
        for name, c in zip(COLOURS, state.cubes, strict=True)
    ]
    for side in (-1.0, 1.0):
        dx, dy = turn(state.yaw, 0.0, side * (state.gap / 2 + FINGER[1]))
        boxes.append(Box((x + dx, y + dy, z - TIP + FINGER[2]), FINGER, state.yaw, RGB["finger"]))
    boxes.append(Box((x, y, z + PALM_HEIGHT), PALM, state.yaw, RGB["palm"]))
    boxes.append(Box((x, y, z + ARM_HEIGHT), ARM, state.yaw, RGB["arm"]))
    return Scenery(tuple(boxes), (float(state.plate[0]), float(state.plate[1])))


def render(scene: Scenery, camera: Camera, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The picture `uint8 [size, size, 3]`, upright, and the depth `float32 [size, size]` in metres."""
    place = tuple(_F(value) for value in camera.world_from_camera[:3, 3])
    rays = _turned(_pixel_rays(size, float(camera.K[0, 0])), camera.world_from_camera[:3, :3])
    depth, normal, colour = _ground(place, rays)
    if scene.plate is not None:
        _add_plate(scene.plate, place, rays, depth, normal, colour)
    _add_boxes(scene.boxes, place, rays, depth, normal, colour)
    hits = tuple(place[i] + depth * rays[i] for i in range(3))
    lit = normal[0] * _F(_LIGHT[0]) + normal[1] * _F(_LIGHT[1]) + normal[2] * _F(_LIGHT[2])
    lit = np.where((lit > 0) & ~_shadowed(scene, hits, normal), lit, _F(0.0))
    shade = _F(_AMBIENT) + _F(1 - _AMBIENT) * lit
    shade[depth >= FARTHEST] = 1.0
    pixels = np.minimum(colour * shade, _F(1.0)) * _F(255.0) + _F(0.5)
    return pixels.T.astype(np.uint8).reshape(size, size, 3), depth.reshape(size, size)


@functools.lru_cache(maxsize=16)
def _pixel_rays(size: int, focal: float) -> tuple[np.ndarray, np.ndarray]:
    """x and y of the directions in the camera's frame, `[size * size]` each; z is 1."""
    line = ((np.arange(size) + 0.5 - size / 2) / focal).astype(_F)
    return np.tile(line, size), np.repeat(line, size)


def _turned(rays: tuple[np.ndarray, np.ndarray], rotation: np.ndarray) -> Rays:
    r = rotation.astype(_F)
    x, y, z = (r[i, 0] * rays[0] + r[i, 1] * rays[1] + r[i, 2] for i in range(3))
    return x, y, z


def _ground(place: Sequence[np.floating], rays: Rays) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Depth `[N]`, normals `[3, N]` and colours `[3, N]` of the plane z = 0, and of the sky above it."""
    down = rays[2] < -1e-6
    depth = np.full(rays[2].shape, _F(FARTHEST))
    depth[down] = np.minimum(-place[2] / rays[2][down], _F(FARTHEST))
    x, y = place[0] + depth * rays[0], place[1] + depth * rays[1]
    wood = (np.abs(x) < TABLE) & (np.abs(y) < TABLE)
    colour = np.where(wood, _column("wood"), _column("floor"))
    colour[:, depth >= FARTHEST] = np.array(_SKY, dtype=_F)[:, None]
    normal = np.zeros((3, depth.size), dtype=_F)
    normal[2] = 1.0
    return depth, normal, colour


def _column(name: str) -> np.ndarray:
    return np.array(RGB[name], dtype=_F)[:, None]


def _add_plate(plate: tuple[float, float], place: Sequence[np.floating], rays: Rays, *found: np.ndarray) -> None:
    """Draw the plate, a flat cylinder: its upper side, and its rim by a quadratic equation."""
    depth, normal, colour = found
    ox, oy = place[0] - _F(plate[0]), place[1] - _F(plate[1])
    with np.errstate(divide="ignore", invalid="ignore"):
        top = (_F(PLATE_TOP) - place[2]) / rays[2]
        x, y = ox + top * rays[0], oy + top * rays[1]
        on_top = (top > 0) & (top < depth) & (x * x + y * y < _F(PLATE_RADIUS**2))
        a = rays[0] * rays[0] + rays[1] * rays[1]
        b = ox * rays[0] + oy * rays[1]
        root = np.sqrt(b * b - a * (ox * ox + oy * oy - _F(PLATE_RADIUS**2)))  # NaN where the ray passes by
        rim = (-b - root) / a
        z = place[2] + rim * rays[2]
        on_rim = (rim > 0) & (rim < depth) & (z > 0) & (z < _F(PLATE_TOP)) & ~on_top
    depth[on_top], depth[on_rim] = top[on_top], rim[on_rim]
    normal[:, on_top] = np.array([[0.0], [0.0], [1.0]], dtype=_F)
    normal[0, on_rim] = (ox + rim * rays[0])[on_rim] / _F(PLATE_RADIUS)
    normal[1, on_rim] = (oy + rim * rays[1])[on_rim] / _F(PLATE_RADIUS)
    normal[2, on_rim] = 0.0
    colour[:, on_top | on_rim] = _column("yellow")


def _add_boxes(boxes: tuple[Box, ...], place: Sequence[np.floating], rays: Rays, *found: np.ndarray) -> None:
    """Draw every box where it is nearer than what is there."""
    depth, normal, colour = found
    for box in boxes:
        window = np.flatnonzero(_may_hit(box, place, rays))
        if window.size == 0:
            continue
        part = (rays[0][window], rays[1][window], rays[2][window])
        near, far, axis, local = _slabs(box, place, part)
        seen = (near < far) & (near > 1e-4) & (near < depth[window])
        pixels, axis = window[seen], axis[seen]
        depth[pixels] = near[seen]
        sign = -np.sign(np.stack([ray[seen] for ray in local])[axis, np.arange(axis.size)])
        c, s = _F(math.cos(box.yaw)), _F(math.sin(box.yaw))
        u, v = sign * (axis == 0), sign * (axis == 1)
        normal[0, pixels], normal[1, pixels] = c * u - s * v, s * u + c * v
        normal[2, pixels] = sign * (axis == 2)
        colour[:, pixels] = np.array(box.colour, dtype=_F)[:, None]


def _may_hit(box: Box, place: Sequence[np.floating], rays: Rays) -> np.ndarray:
    """Which rays come near enough to the ball around a box: `|c|^2 - (c . d)^2 / |d|^2 <= r^2`."""
    c = [_F(box.centre[i]) - place[i] for i in range(3)]
    along = c[0] * rays[0] + c[1] * rays[1] + c[2] * rays[2]
    length = rays[0] * rays[0] + rays[1] * rays[1] + rays[2] * rays[2]
    over = c[0] * c[0] + c[1] * c[1] + c[2] * c[2] - _F(sum(half * half for half in box.half) * 1.001)
    return np.asarray(along * along >= over * length)  # over < 0: the camera is inside the ball


def _slabs(
    box: Box, place: Sequence[np.floating | np.ndarray], rays: Rays | Sequence[np.floating]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[np.ndarray, ...]]:
    """Where rays enter and leave a box, the axis of the side they enter by, and their directions in its frame."""
    c, s = _F(math.cos(box.yaw)), _F(math.sin(box.yaw))
    x, y, z = (place[i] - _F(box.centre[i]) for i in range(3))
    origin = (c * x + s * y, c * y - s * x, z)
    local = tuple(
        np.where(np.abs(ray) < 1e-9, _F(1e-9), ray)
        for ray in (c * rays[0] + s * rays[1], c * rays[1] - s * rays[0], rays[2])
    )
    enter, leave = [], []
    for start, ray, half in zip(origin, local, box.half, strict=True):
        one, two = (-_F(half) - start) / ray, (_F(half) - start) / ray
        enter.append(np.minimum(one, two))
        leave.append(np.maximum(one, two))
    near = np.maximum(np.maximum(enter[0], enter[1]), enter[2])
    far = np.minimum(np.minimum(leave[0], leave[1]), leave[2])
    axis = np.where(enter[0] == near, 0, np.where(enter[1] == near, 1, 2))
    return near, far, axis, local


def _shadowed(scene: Scenery, hits: Sequence[np.ndarray], normal: np.ndarray) -> np.ndarray:
    """Which places `[N]` have a box between them and the light."""
    light = [_F(value) for value in _LIGHT]
    start = [hits[i] + _F(1e-3) * normal[i] for i in range(3)]  # off the own side, which would shade itself
    dark = np.zeros(hits[0].shape, dtype=bool)
    for box in scene.boxes:
        c = [_F(box.centre[i]) - start[i] for i in range(3)]
        along = c[0] * light[0] + c[1] * light[1] + c[2] * light[2]
        distance = c[0] * c[0] + c[1] * c[1] + c[2] * c[2] - along * along  # squared, of the ray from the middle
        window = np.flatnonzero(distance <= _F(sum(half * half for half in box.half) * 1.001))
        if window.size:
            near, far, _, _ = _slabs(box, [axis[window] for axis in start], light)
            dark[window] |= (near < far) & (far > 0)
    return dark
