"""A policy that finds the cube and the plate by colour and depth in both pictures, and moves as the expert would."""

from __future__ import annotations

import math

import numpy as np

from motionlab.vla.observation import OPEN, Observation
from motionlab.vla.table_lab.cameras import unproject
from motionlab.vla.table_lab.expert import Scene, servo
from motionlab.vla.table_lab.shapes import COLOURS, CUBE, HALF, PLATE_TOP


def picture_policy(seen: Observation, instruction: str) -> np.ndarray:
    """Action `[7]` for "pick up the {colour} cube ..."; up with open fingers where a thing is not seen."""
    channel = COLOURS.index(next(colour for colour in COLOURS if f"the {colour} cube" in instruction))
    cube, plate = [], []
    for view, image in seen.images.items():
        points, pixels = unproject(seen.depth[view], seen.cameras[view]), image.astype(int)
        strong = pixels[..., channel] > 1.6 * np.delete(pixels, channel, axis=-1).max(axis=-1)
        yellow = (pixels[..., 0] > 130) & (pixels[..., 1] > 110) & (pixels[..., 2] < 60)
        cube.append(points[strong & (points[..., 2] > 0.3 * CUBE)])
        plate.append(points[yellow & (np.abs(points[..., 2] - PLATE_TOP) < 0.002)])
    cubes, plates = np.concatenate(cube), np.concatenate(plate)
    gap = float(seen.gripper[0] - seen.gripper[1])
    holding = abs(gap - CUBE) < 1e-3
    if len(plates) < 4 or (len(cubes) < 4 and not holding):
        return np.array([0.0, 0.0, 1.0, 0.0, 0.0, 0.0, OPEN])
    yaw = 2 * math.atan2(seen.ee_ori[1], seen.ee_ori[0])
    cube_pose = np.zeros(4) if holding else _pose(cubes)
    middle = (plates[:, :2].max(axis=0) + plates[:, :2].min(axis=0)) / 2
    return servo(Scene(seen.ee_pos, yaw, gap, cube_pose, middle, holding))


def _pose(points: np.ndarray) -> np.ndarray:
    """Middle and yaw of a cube on the table: the turn whose frame around the points is smallest."""
    best = (np.inf, np.zeros(4))
    for yaw in np.linspace(-0.6, 0.6, 13):
        c, s = math.cos(yaw), math.sin(yaw)
        local = points[:, :2] @ np.array([[c, -s], [s, c]])
        low, high = np.quantile(local, (0.02, 0.98), axis=0)
        area, middle = float(np.prod(high - low)), (low + high) / 2
        if area < best[0]:
            best = (area, np.array([c * middle[0] - s * middle[1], s * middle[0] + c * middle[1], HALF, yaw]))
    return best[1]
