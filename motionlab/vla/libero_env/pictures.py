"""Pictures of both cameras, upright, with depth in metres and the cameras in the convention of OpenCV.

robosuite hands out pictures as OpenGL has them, the lowest row first; a vertical flip makes them upright. MuJoCo's
cameras look along their -z axis with y up, so y and z change sign on the way to OpenCV.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from motionlab.errors import InputError
from motionlab.vla.libero_env.package import mujoco
from motionlab.vla.observation import Camera
from motionlab.vla.table_lab.cameras import intrinsics

CAMERAS = {"agentview": "agentview", "eye_in_hand": "robot0_eye_in_hand"}
LEAST_SIZE, MOST_SIZE = 8, 1024  # pixels
_MOST_SHAPES = 2000  # in a scene
_DEBIAN = "libegl-mesa0, libgl1-mesa-dri"


class Eyes:
    """Draws what the two cameras see. Close it: an OpenGL context that the interpreter frees at its end complains.

    Meshes go to the graphics memory here, so what is thinned (`thinning.py`) has to be thinned before.

    Args:
        model: a `mujoco.MjModel`.
        size: edge of the square pictures, in pixels.
        quick: without the smoothing of edges and without mirror images in the floor, which costs a third.

    Raises:
        InputError: a size out of range, or no OpenGL context can be made.
    """

    def __init__(self, model: Any, size: int, quick: bool = False) -> None:
        if not LEAST_SIZE <= size <= MOST_SIZE:
            expected = f"{LEAST_SIZE} to {MOST_SIZE} pixels"
            raise InputError("image_size", found=size, expected=expected, fix="Choose another size.")
        self._mj, self._model, self.size = mujoco(), model, size
        model.vis.global_.offwidth = model.vis.global_.offheight = size
        if quick:
            model.vis.quality.offsamples = 0
        try:
            self._gl: Any = self._mj.GLContext(size, size)
            self._gl.make_current()
            self._context: Any = self._mj.MjrContext(model, self._mj.mjtFontScale.mjFONTSCALE_100.value)
        except Exception as error:  # each way of drawing raises kinds of its own
            found, fix = f"no OpenGL context ({error})", f"Install a driver; on Debian: apt-get install {_DEBIAN}"
            raise InputError("MUJOCO_GL", found=found, expected="one without a screen", fix=fix) from error
        self._mj.mjr_setBuffer(self._mj.mjtFramebuffer.mjFB_OFFSCREEN.value, self._context)
        self._scene = self._mj.MjvScene(model, _MOST_SHAPES)
        if quick:
            self._scene.flags[self._mj.mjtRndFlag.mjRND_REFLECTION] = 0
        self._options, self._place = self._mj.MjvOption(), self._mj.MjvCamera()
        self._options.geomgroup[0], self._options.geomgroup[1] = 0, 1  # shapes for collisions are not drawn
        self._place.type = self._mj.mjtCamera.mjCAMERA_FIXED
        self._numbers = {view: model.camera(name).id for view, name in CAMERAS.items()}
        self._window = self._mj.MjrRect(0, 0, size, size)

    def look(self, data: Any, view: str, depth: bool = True) -> tuple[np.ndarray, np.ndarray | None]:
        """`uint8 [H, W, 3]` and `float32 [H, W]` metres, both upright; the depth is None when it was not asked for."""
        self._gl.make_current()
        self._place.fixedcamid = self._numbers[view]
        everything = self._mj.mjtCatBit.mjCAT_ALL.value
        self._mj.mjv_updateScene(self._model, data, self._options, None, self._place, everything, self._scene)
        self._mj.mjr_render(self._window, self._scene, self._context)
        colours = np.empty((self.size, self.size, 3), dtype=np.uint8)
        buffer = np.empty((self.size, self.size), dtype=np.float32) if depth else None
        self._mj.mjr_readPixels(colours, buffer, self._window, self._context)
        upright = np.ascontiguousarray(colours[::-1])
        return upright, None if buffer is None else self._metres(np.ascontiguousarray(buffer[::-1]))

    def cameras(self, data: Any) -> dict[str, Camera]:
        """Both cameras where they are now."""
        found = {}
        for view, number in self._numbers.items():
            K = intrinsics(self.size, float(self._model.cam_fovy[number]))
            axes = np.array(data.cam_xmat[number]).reshape(3, 3)
            found[view] = Camera(K, opencv_pose(np.array(data.cam_xpos[number]), axes))
        return found

    def close(self) -> None:
        """Give the graphics memory back. Nothing can be drawn afterwards; to close twice is allowed."""
        if self._gl is not None:
            self._gl.make_current()
            self._context.free()
            self._gl.free()
        self._gl = self._context = None

    def _metres(self, buffer: np.ndarray) -> np.ndarray:
        extent, planes = self._model.stat.extent, self._model.vis.map
        return metric_depth(buffer, planes.znear * extent, planes.zfar * extent)


def opencv_pose(place: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """`[4, 4]` world_from_camera (x right, y down, z forward) of MuJoCo's place `[3]` and axes `[3, 3]`.

    >>> opencv_pose(np.zeros(3), np.eye(3))[:3, :3].diagonal()
    array([ 1., -1., -1.])
    """
    pose = np.eye(4)
    pose[:3, :3] = axes * np.array([1.0, -1.0, -1.0])  # columns y and z change sign
    pose[:3, 3] = place
    return pose


def metric_depth(buffer: np.ndarray, near: float, far: float) -> np.ndarray:
    """Distances along the axis of the camera, of a z-buffer in [0, 1]: `near / (1 - d (1 - near / far))`.

    >>> metric_depth(np.array([0.0, 1.0]), near=0.5, far=50.0)
    array([ 0.5, 50. ])
    """
    return np.asarray(near / (1.0 - buffer * (1.0 - near / far)))
