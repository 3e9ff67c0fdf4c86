"""Skeletons that move, as a piece of HTML that needs nothing else: no library, no network, no kernel.

The drawing is done by `player.js` next to this file, on one 2-D canvas; the notebook widget uses the same file. Joints
travel as int16 with one scale per track: half the size of float32, and the step is 0.15 mm for a motion that
stays within 5 m of the origin.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motionlab.errors import InputError, printable
from motionlab.language import html_language, script_words, tr
from motionlab.motion.skeleton import JOINT_NAMES, PARENTS

PALETTE = ("#1f6feb", "#d1622b", "#1a7f5a", "#8250df", "#9a6700")  # used in turn by tracks that name no colour


@dataclass(frozen=True)
class Track:
    """One skeleton of a player.

    Args:
        label: text above it, such as "real" or "FSQ".
        joints: [T, 22, 3] world positions in metres, y up; a tensor or an array.
        color: any CSS colour as "#rrggbb"; None takes the next one of `PALETTE`.
    """

    label: str
    joints: Any
    color: str | None = None


def player_html(
    tracks: Sequence[Track],
    caption: str = "",
    fps: float = 30.0,
    *,
    autoplay: bool = True,
    script: bool = True,
    still: str = "",
) -> str:
    """Return an HTML fragment with a player: drag to turn, play and pause, a scrubber, one skeleton per track.

    The camera shows all that a motion passes, as large as the frame allows and at one scale for all tracks.

    Args:
        tracks: skeletons shown in a row and kept in time; a shorter one stays on its last frame and says so.
        caption: text above them.
        fps: frames a second of the joints.
        autoplay: play while it is on the screen, until the reader stops it (never by itself for readers who ask for
            reduced motion).
        script: put `player_script()` into the fragment. With many players on one page give False, and put
            `player_script()` on the page once, before the first of them.
        still: HTML that stands there until the script runs, for pages that run none.

    Raises:
        InputError: no track, a wrong shape, a number that is not finite, or no frames a second.

    >>> page = player_html([Track("still", np.zeros((2, 22, 3)))], "a person stands")
    >>> "a person stands" in page, "http" in page
    (True, False)
    """
    clip = json.dumps({**clip_data(tracks, caption, fps), "autoplay": autoplay}, separators=(",", ":"))
    clip = clip.replace("<", "\\u003c")  # a caption may hold "</script>"
    name = "player-" + hashlib.sha256(clip.encode()).hexdigest()[:12]  # the same input gives the same bytes
    # A page may contain the same player twice, so each call takes the first element without one.
    start = f"motionlabPlayer(document.querySelector('.{name}:not(:has(canvas))'),{clip})"
    head = player_script() if script else ""
    return f'{head}<div class="{name}">{still}</div><script>{start}</script>'


def player_page(tracks: Sequence[Track], caption: str = "", fps: float = 30.0, *, autoplay: bool = True) -> str:
    """Return a whole HTML page around one player, ready to be written to a file."""
    title = html.escape(printable(caption or tr("motion", __file__)))
    return (
        f'<!doctype html><html lang="{html_language()}"><head><meta charset="utf-8"><title>{title}</title></head>'
        f'<body style="margin:24px">{player_html(tracks, caption, fps, autoplay=autoplay)}</body></html>\n'
    )


@cache
def player_source() -> str:
    """The JavaScript of the player: one function, `motionlabPlayer(element, clip)`."""
    return Path(__file__).with_name("player.js").read_text(encoding="utf-8")


def player_script() -> str:
    """The player's JavaScript as a `<script>` element."""
    return f"<script>{player_source()}</script>"


def clip_data(tracks: Sequence[Track], caption: str = "", fps: float = 30.0) -> dict[str, Any]:
    """Return what `motionlabPlayer` takes, as plain JSON values; with `MOTIONLAB_LANG=zh`, its words too.

    Raises:
        InputError: no track, a wrong shape, a number that is not finite, or no frames a second.
    """
    if not tracks:
        raise InputError("tracks", found="an empty list", expected="at least one Track", fix="Add a Track.")
    require_fps(fps)
    words = script_words(__file__)
    return {
        **({"words": words} if words else {}),
        "fps": float(fps),
        "caption": printable(caption),
        "parents": list(PARENTS),
        "sides": [-1 if name.startswith("right") else int(name.startswith("left")) for name in JOINT_NAMES],
        "head": JOINT_NAMES.index("head"),
        "tracks": [_track_data(track, PALETTE[i % len(PALETTE)]) for i, track in enumerate(tracks)],
    }


def require_fps(fps: float) -> None:
    """Raise InputError unless time passes in a player of so many frames a second."""
    if not 0 < fps < math.inf:
        fix = "Give the frames a second of what is shown."
        raise InputError("fps", found=fps, expected="a finite number above 0", fix=fix)


def as_joints(joints: Any, where: str = "joints") -> NDArray[np.float64]:
    """Return a tensor or array as float64 [T, 22, 3], or say what is wrong with it."""
    if hasattr(joints, "detach"):
        joints = joints.detach().cpu().double().numpy()
    array = np.asarray(joints, dtype=np.float64)
    if array.ndim != 3 or array.shape[1:] != (len(PARENTS), 3) or len(array) == 0:
        raise InputError(
            where,
            found=f"shape {array.shape}",
            expected=f"(T, {len(PARENTS)}, 3) with T at least 1",
            fix="Give joints of one clip, for example motion.joints().",
        )
    if not np.isfinite(array).all():
        frame = int(np.argwhere(~np.isfinite(array))[0, 0])
        raise InputError(
            where, found=f"NaN or infinity in frame {frame}", expected="finite metres", fix="Repair the motion first."
        )
    return array


def _track_data(track: Track, fallback: str) -> dict[str, Any]:
    joints = as_joints(track.joints, f"track {track.label!r}")
    scale = max(float(np.abs(joints).max()), 1e-6) / 32767  # the largest number becomes the largest int16
    packed = np.round(joints / scale).astype("<i2").tobytes()
    data = base64.b64encode(packed).decode("ascii")
    return {"label": printable(track.label), "color": track.color or fallback, "scale": scale, "data": data}
