"""Moving and still pictures of skeletons, drawn with only Pillow.

A GIF is what a README or an exported notebook can show: no script runs there.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from motionlab.errors import InputError, printable
from motionlab.files import atomic_path
from motionlab.language import tr
from motionlab.motion.skeleton import JOINT_NAMES, PARENTS
from motionlab.plots.camera import LOOK_AT, Camera
from motionlab.plots.player import PALETTE, Track, as_joints

_BONES = [(parent, child) for child, parent in enumerate(PARENTS) if parent >= 0]
_HEAD = JOINT_NAMES.index("head")
_GRID, _SHADOW, _PAPER = (215, 220, 226), (228, 231, 235), (255, 255, 255)
_COLOURS = 128  # of a picture inside a page
_SMOOTH = 2  # drawn twice as large, then reduced: Pillow draws no smooth edges


def write_gif(path: str | Path, joints: Any, fps: float = 30.0, *, size: int = 240, label: str = "") -> Path:
    """Write one skeleton, or several in a row, as a GIF; return its path.

    GIF counts time in hundredths of a second, so 30 fps is not possible frame by frame. The delays are rounded
    along the running sum: some frames last 30 ms and some 40 ms, and the whole lasts as long as the motion.

    Args:
        path: file to write, atomically.
        joints: [T, 22, 3] metres, or a list of `Track`.
        fps: frames a second of the joints; above 50 most viewers play slower.
        size: pixels of the side of one skeleton's square.
        label: words above the skeleton when `joints` is one array.
    """
    if not 0 < fps <= 50:
        raise InputError("fps", found=fps, expected="more than 0, at most 50", fix="Resample the motion first.")
    tracks = joints if isinstance(joints, list) and joints and isinstance(joints[0], Track) else [Track(label, joints)]
    tracks = [replace(track, joints=as_joints(track.joints, f"track {track.label!r}")) for track in tracks]
    length = max(len(track.joints) for track in tracks)
    pictures = [draw_tracks(tracks, frame, Camera(size)) for frame in range(length)]
    # One palette for all frames, taken from the first: they share their colours, and separate palettes would flicker.
    palette = pictures[0].quantize(64)
    indexed = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    ends = np.round(np.arange(1, length + 1) * 100 / fps).astype(int)  # hundredths of a second
    durations = (np.diff(ends, prepend=0) * 10).tolist()
    with atomic_path(path) as temporary:
        indexed[0].save(
            temporary, format="GIF", save_all=True, append_images=indexed[1:], duration=durations, loop=0, disposal=1
        )
    return Path(path)


def film_strip(joints: Any, count: int = 8, *, size: int = 160, color: str = PALETTE[0]) -> Image.Image:
    """Return `count` moments of one clip, evenly spaced from the first frame to the last, in a row."""
    array = as_joints(joints)
    frames = np.round(np.linspace(0, len(array) - 1, count)).astype(int)
    strip = Image.new("RGB", (size * count, size), _PAPER)
    for i, frame in enumerate(frames):
        strip.paste(draw_tracks([Track("", array, color)], int(frame), Camera(size)), (i * size, 0))
    return strip


def moments_html(tracks: Sequence[Track], count: int = 6, *, size: int = 110) -> str:
    """Moments of each track, one row per track, as an `<img>`, for pages on which no player runs."""
    page = Image.new("RGB", (size * count, size * len(tracks)))
    for number, track in enumerate(tracks):
        strip = film_strip(track.joints, count, size=size, color=track.color or PALETTE[number % len(PALETTE)])
        page.paste(strip, (0, number * size))
    buffer = BytesIO()
    page.quantize(_COLOURS).save(buffer, "PNG", optimize=True)
    words = html.escape(tr("Moments of: " + ", ".join(printable(track.label) for track in tracks), __file__))
    return f'<img alt="{words}" src="data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode("ascii")}">'


def draw_tracks(tracks: Sequence[Track], frame: int, camera: Camera) -> Image.Image:
    """Return one picture with frame `frame` of every track in a row; a shorter one stays on its last frame."""
    side = camera.size
    picture = Image.new("RGB", (side * len(tracks), side), _PAPER)
    large = Camera(side * _SMOOTH, camera.yaw, camera.pitch)
    for i, track in enumerate(tracks):
        joints = as_joints(track.joints, f"track {track.label!r}")
        color = track.color or PALETTE[i % len(PALETTE)]
        body = _draw_body(joints[min(frame, len(joints) - 1)], large, color).resize((side, side), Image.Resampling.BOX)
        ImageDraw.Draw(body).text((6, 4), printable(track.label), fill=color)
        picture.paste(body, (i * side, 0))
    return picture


def _draw_body(pose: NDArray[np.float64], camera: Camera, color: str) -> Image.Image:
    """Draw one pose [22, 3] on a half-metre floor grid fixed to the world, the camera following the pelvis."""
    picture = Image.new("RGB", (camera.size, camera.size), _PAPER)
    pen = ImageDraw.Draw(picture)
    x, z = pose[0, 0], pose[0, 2]
    target = np.array([x, LOOK_AT, z])

    def line(a: NDArray[np.float64], b: NDArray[np.float64], fill: Any, width: float) -> None:
        pen.line([tuple(a[:2]), tuple(b[:2])], fill=fill, width=max(1, round(width)), joint="curve")

    reach = 1.5
    for start, across in ((x, False), (z, True)):
        for value in np.arange(np.ceil((start - reach) / 0.5) * 0.5, start + reach, 0.5):
            ends = np.array([[x - reach, 0, value], [x + reach, 0, value]])
            if not across:
                ends = np.array([[value, 0, z - reach], [value, 0, z + reach]])
            near, far = camera.project(ends, target)
            line(near, far, _GRID, _SMOOTH)

    points = camera.project(pose, target)  # [22, 4]
    floor = camera.project(pose * [1, 0, 1], target)
    for parent, child in _BONES:
        line(floor[parent], floor[child], _SHADOW, 4 * _SMOOTH)
    pale = Image.blend(Image.new("RGB", (1, 1), color), Image.new("RGB", (1, 1), _PAPER), 0.5).getpixel((0, 0))
    for parent, child in sorted(_BONES, key=lambda bone: -points[list(bone), 2].sum()):  # far bones first
        right = JOINT_NAMES[child].startswith("right")  # the right side is paler, so that the sides can be told apart
        line(points[parent], points[child], pale if right else color, max(2 * _SMOOTH, 0.028 * points[child, 3]))
    centre, radius = points[_HEAD, :2], 0.085 * points[_HEAD, 3]
    pen.ellipse([*(centre - radius), *(centre + radius)], fill=color)
    return picture
