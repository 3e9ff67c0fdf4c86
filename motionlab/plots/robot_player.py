"""An episode of a robot as a piece of HTML that needs nothing else: play, pause, one step at a time.

A GIF can only be watched. Here a reader stops at the step at which the hand goes wrong, and reads the action there. The
script is `robot_player.js` next to this file; pictures travel as PNG, so every pixel is the one that the policy saw.
"""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from motionlab.errors import InputError, printable
from motionlab.language import html_language, script_words, tr
from motionlab.plots.player import require_fps

ACTION_NAMES = ("dx", "dy", "dz", "droll", "dpitch", "dyaw")


def robot_player_page(
    pictures: Sequence[np.ndarray],
    actions: np.ndarray | None = None,
    caption: str = "",
    *,
    fps: float = 5.0,
    height: int = 256,
) -> str:
    """Return a whole HTML page with one player.

    Args:
        pictures: `uint8 [H, W, 3]`, all of one size: what is seen before each action, and after the last.
        actions: `[T, 7]`, those that were carried out, at most one a picture; None shows none.
        height: of the player's picture, in pixels.

    Raises:
        InputError: no picture, pictures of several kinds, more actions than pictures, or no frames a second.

    >>> page = robot_player_page([np.zeros((4, 8, 3), np.uint8)], caption="a <hand>")
    >>> "<title>a &lt;hand&gt;</title>" in page, "http" in page
    (True, False)
    """
    if not pictures or any(one.dtype != np.uint8 or one.shape != pictures[0].shape for one in pictures):
        raise InputError("pictures", found="none, or several kinds", expected="uint8 [H, W, 3]", fix="Give one film.")
    require_fps(fps)
    lines = [] if actions is None else [_line(action) for action in actions]
    if len(lines) > len(pictures):
        found = f"{len(lines)} actions for {len(pictures)} pictures"
        raise InputError("actions", found=found, expected="at most one a picture", fix="Give those of this film.")
    rows, columns = pictures[0].shape[:2]
    film = {
        "caption": printable(caption), "fps": float(fps), "width": round(columns * height / rows),
        "frames": [_png(one) for one in pictures], "lines": lines, "words": script_words(__file__),
    }  # fmt: skip
    data = json.dumps(film, separators=(",", ":")).replace("<", "\\u003c")  # a caption may hold "</script>"
    title = html.escape(printable(caption or tr("episode", __file__)))
    script = Path(__file__).with_suffix(".js").read_text("utf-8")
    return (
        f'<!doctype html><html lang="{html_language()}"><head><meta charset="utf-8"><title>{title}</title></head>'
        f'<body style="margin:8px"><div></div><script>{script}'
        f'motionlabRobotPlayer(document.querySelector("div"),{data})</script></body></html>\n'
    )


def _line(action: np.ndarray) -> str:
    numbers = "  ".join(f"{name} {value:+.2f}" for name, value in zip(ACTION_NAMES, action, strict=False))
    return f"{numbers}  gripper {'close' if action[6] > 0 else 'open'}"


def _png(picture: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "png")
    return base64.b64encode(buffer.getvalue()).decode("ascii")
