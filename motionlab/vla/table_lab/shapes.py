"""Sizes of everything on and above the table, in metres: the one place that physics and pictures read them from.

World axes: x away from the robot, y to its left, z up; the table top is the plane z = 0.
"""

from __future__ import annotations

from dataclasses import dataclass

COLOURS = ("red", "green", "blue")  # of the cubes, in the order of the state
RGB = {
    "red": (0.86, 0.13, 0.12),
    "green": (0.12, 0.66, 0.20),
    "blue": (0.14, 0.25, 0.86),
    "yellow": (0.96, 0.82, 0.12),
    "wood": (0.70, 0.60, 0.49),
    "floor": (0.36, 0.39, 0.43),
    "palm": (0.30, 0.31, 0.34),
    "arm": (0.86, 0.87, 0.89),
    "finger": (0.16, 0.16, 0.18),
}

CUBE = 0.04  # edge
HALF = CUBE / 2
PLATE_RADIUS = 0.06
PLATE_TOP = 0.006  # height of its upper side above the table
TABLE = 0.34  # the wood ends this far from the middle; the plane continues as floor, at the same height

GAP_MOST = 0.08  # between the inner sides of the open fingers
TIP = 0.012  # the tips of the fingers are this far below the grip point
FINGER = (0.009, 0.006, 0.032)  # half sizes: along the width of the pads, along the closing axis, along the finger
PALM = (0.020, 0.056, 0.016)
ARM = (0.024, 0.024, 0.110)
PALM_HEIGHT = 2 * FINGER[2] - TIP + PALM[2]  # of its middle above the grip point
ARM_HEIGHT = PALM_HEIGHT + PALM[2] + ARM[2]


@dataclass(frozen=True)
class Box:
    """A box that stands upright and may be turned about z.

    Fields:
        centre: place of its middle.
        half: half of its edges, along its own axes.
        yaw: radians.
        colour: RGB in [0, 1].
    """

    centre: tuple[float, float, float]
    half: tuple[float, float, float]
    yaw: float
    colour: tuple[float, float, float]
