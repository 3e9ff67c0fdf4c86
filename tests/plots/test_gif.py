"""GIF and film strip: size, time and colour, read back with Pillow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence

from motionlab.errors import InputError
from motionlab.plots.gif import film_strip, write_gif
from motionlab.plots.player import Track


def body(frames: int) -> np.ndarray:
    """A stick of joints that moves forward, so that every frame differs."""
    joints = np.zeros((frames, 22, 3))
    joints[..., 1] = np.linspace(0, 1.7, 22)
    joints[..., 0] = 0.3 * np.sin(np.arange(frames))[:, None] * np.linspace(0, 1, 22)
    return joints


@pytest.mark.parametrize("fps", [30.0, 20.0, 12.5])
def test_a_gif_lasts_as_long_as_the_motion(tmp_path: Path, fps: float) -> None:
    path = write_gif(tmp_path / "walk.gif", body(31), fps, size=64)
    total = 0
    with Image.open(path) as picture:
        assert picture.size == (64, 64) and picture.info["loop"] == 0
        for frame in ImageSequence.Iterator(picture):
            total += frame.info["duration"]
    assert total == pytest.approx(1000 * 31 / fps, abs=10)


def test_tracks_stand_side_by_side(tmp_path: Path) -> None:
    path = write_gif(tmp_path / "two.gif", [Track("a", body(5), "#ff0000"), Track("b", body(3), "#0000ff")], size=64)
    with Image.open(path) as picture:
        assert picture.size == (128, 64) and len(list(ImageSequence.Iterator(picture))) == 5
        picture.seek(0)
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    red = (pixels[..., 0] - pixels[..., 2] > 120).nonzero()[1]
    blue = (pixels[..., 2] - pixels[..., 0] > 120).nonzero()[1]
    assert len(red) and red.max() < 64 and len(blue) and blue.min() >= 64


def test_a_film_strip_shows_first_and_last_frame() -> None:
    strip = film_strip(body(9), 3, size=50)
    assert strip.size == (150, 50)
    cells = [np.asarray(strip.crop((50 * i, 0, 50 * i + 50, 50))) for i in range(3)]
    assert not np.array_equal(cells[0], cells[1])


def test_a_rate_that_gif_cannot_show_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="fps"):
        write_gif(tmp_path / "fast.gif", body(3), fps=120)
    assert list(tmp_path.iterdir()) == []
