"""The pictures that a robot saw during an episode, as a GIF."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from motionlab.errors import InputError
from motionlab.files import atomic_path

REST = 1200  # milliseconds that the last picture stays


def write_robot_gif(path: str | Path, pictures: Sequence[np.ndarray], fps: float = 5.0, *, height: int = 192) -> Path:
    """Write pictures `uint8 [H, W, 3]`, all of one size, as a film; return its path.

    Args:
        height: in pixels; small pictures are enlarged without smoothing, so that each of their pixels is seen.

    Raises:
        InputError: no picture, or pictures of another kind.
    """
    if not pictures or any(one.dtype != np.uint8 or one.shape != pictures[0].shape for one in pictures):
        raise InputError("pictures", found="none, or several kinds", expected="uint8 [H, W, 3]", fix="Give one film.")
    rows, columns = pictures[0].shape[:2]
    size = (max(1, round(columns * height / rows)), height)
    large = [Image.fromarray(one).resize(size, Image.Resampling.NEAREST) for one in pictures]
    palette = large[0].quantize(128)  # one for all frames: separate ones would flicker
    indexed = [one.quantize(palette=palette, dither=Image.Dither.NONE) for one in large]
    durations = [round(1000 / fps)] * (len(indexed) - 1) + [REST]
    with atomic_path(path) as temporary:
        indexed[0].save(
            temporary, format="GIF", save_all=True, append_images=indexed[1:], duration=durations, loop=0, disposal=1
        )
    return Path(path)
