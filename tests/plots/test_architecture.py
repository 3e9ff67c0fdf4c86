"""The drawing of the system: parts that exist, boxes that do not overlap, and the lit ones."""

from __future__ import annotations

import io
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import FancyBboxPatch
from PIL import Image

from motionlab.config import load_config
from motionlab.errors import InputError
from motionlab.jobs.pretrained import pretrained_run
from motionlab.motion.motion import Motion
from motionlab.plots.architecture import PARTS, architecture_figure


def _faces(*lit: str) -> list[str]:
    axes = architecture_figure(*lit).axes[0]
    return [to_hex(patch.get_facecolor()) for patch in axes.patches if isinstance(patch, FancyBboxPatch)]


def test_each_part_is_drawn_once_and_only_the_named_ones_are_lit() -> None:
    plain = set(_faces())
    assert len(_faces()) == len(PARTS) and len(plain) == 1
    for number, name in enumerate(PARTS):
        faces = _faces(name)
        assert [place for place, face in enumerate(faces) if face not in plain] == [number]


def test_boxes_stay_apart_and_inside() -> None:
    axes = architecture_figure().axes[0]
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    for one, other in combinations(PARTS.values(), 2):
        apart_x = abs(one.x - other.x) >= (one.width + other.width) / 2
        apart_y = abs(one.y - other.y) >= (one.height + other.height) / 2
        assert apart_x or apart_y, (one.title, other.title)
    for box in PARTS.values():
        assert left <= box.x - box.width / 2 and box.x + box.width / 2 <= right
        assert low <= box.y - box.height / 2 and box.y + box.height / 2 <= high


def test_text_fits_its_box() -> None:
    figure = architecture_figure(*PARTS)
    figure.draw_without_rendering()
    axes = figure.axes[0]
    boxes = [patch.get_window_extent() for patch in axes.patches if isinstance(patch, FancyBboxPatch)]
    texts = [
        text for text in axes.texts if text.get_horizontalalignment() == "center"
    ]  # title and note of each box, in order
    for box, *inside in zip(boxes, texts[0::2], texts[1::2], strict=True):
        for text in inside:
            extent = text.get_window_extent()
            assert box.x0 <= extent.x0 and extent.x1 <= box.x1, text.get_text()


def test_the_rate_of_tokens_is_that_of_the_bundled_model_and_of_the_published_one() -> None:
    rates = [Motion.fps / load_config(preset).tokenizer.frames_per_token for preset in ("tiny", "two_frames")]
    assert pretrained_run().config.tokenizer.frames_per_token * rates[0] == Motion.fps
    assert PARTS["tokens"].note == f"[N], {rates[0]:g} or {rates[1]:g} a second"


def test_the_picture_of_the_readme_is_this_drawing(root: Path) -> None:
    saved = np.asarray(Image.open(root / "docs" / "pictures" / "architecture.png").convert("L"), dtype=float)
    buffer = io.BytesIO()
    architecture_figure().savefig(buffer, dpi=120)
    drawn = np.asarray(Image.open(buffer).convert("L"), dtype=float)
    assert saved.shape == drawn.shape and abs(saved - drawn).mean() < 0.1, "draw it again, as here"


def test_an_unknown_part_is_refused() -> None:
    with pytest.raises(InputError, match="quantizer"):
        architecture_figure("wavelet")
