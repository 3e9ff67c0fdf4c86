"""A pinhole camera that circles the body: world points in metres to picture points in pixels.

It looks from the same side as the one in `player.js` does at first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DISTANCE = 4.2  # metres from the camera to the point it looks at
LOOK_AT = 0.85  # height of that point: about the navel of a standing person
FOCAL = 2.6


@dataclass(frozen=True)
class Camera:
    """The place of the camera, and the picture it makes.

    Args:
        size: side of the square picture in pixels.
        yaw: angle around the vertical axis in radians; 0 looks at the front of a body that faces +z.
        pitch: angle above the horizon in radians.
    """

    size: int = 240
    yaw: float = 0.6
    pitch: float = 0.22

    def project(self, points: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return [..., 4]: picture x, picture y (down), depth in metres, pixels per metre at that depth.

        Args:
            points: [..., 3] world positions, y up.
            target: [3] the point to look at.

        >>> front = Camera(size=200, yaw=0.0, pitch=0.0)
        >>> left_hand = np.array([0.5, 0.0, 0.0])          # +x is the body's left ...
        >>> bool(front.project(left_hand, np.zeros(3))[0] > 100)   # ... and on the right when it faces us
        True
        """
        x, y, z = np.moveaxis(points - target, -1, 0)
        sin_yaw, cos_yaw = np.sin(self.yaw), np.cos(self.yaw)
        sin_pitch, cos_pitch = np.sin(self.pitch), np.cos(self.pitch)
        right = x * cos_yaw - z * sin_yaw
        up = -x * sin_yaw * sin_pitch + y * cos_pitch - z * cos_yaw * sin_pitch
        depth = DISTANCE - (x * sin_yaw * cos_pitch + y * sin_pitch + z * cos_yaw * cos_pitch)
        zoom = FOCAL * self.size / 1.55 / np.maximum(depth, 0.2)
        picture_x, picture_y = self.size / 2 + right * zoom, self.size * 0.53 - up * zoom
        return np.stack([picture_x, picture_y, depth, zoom], axis=-1)
