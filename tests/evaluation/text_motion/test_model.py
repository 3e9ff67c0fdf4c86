"""Encoders that do not see padding, do see order, and refuse sizes that they cannot have."""

from __future__ import annotations

import pytest
import torch

from motionlab.errors import InputError
from motionlab.evaluation.text_motion.model import TextMotionModel, patches, places
from motionlab.text.encoder import TextFeatures


@pytest.fixture(scope="module")
def model() -> TextMotionModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return TextMotionModel(16, width=32, size=24).eval()


@pytest.mark.parametrize("length", [1, 3, 4, 5, 8, 9, 31])
def test_frames_after_the_end_change_nothing(model: TextMotionModel, length: int) -> None:
    torch.manual_seed(1)
    alone = torch.randn(1, length, 133)
    block = torch.cat((alone, torch.randn(1, 40 - length, 133)), dim=1)
    other = torch.randn(1, 40, 133)
    with torch.no_grad():
        expected = model.motion(alone, torch.tensor([length]))
        found = model.motion(torch.cat((block, other)), torch.tensor([length, 40]))[:1]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_captions_come_back_in_their_order(model: TextMotionModel) -> None:
    torch.manual_seed(1)
    rows = [torch.randn(length, 16) for length in (7, 2, 5, 1, 9)]
    with torch.no_grad():
        together = model.embed_text(TextFeatures.from_rows(rows))
        for row, own in zip(together, rows, strict=True):
            torch.testing.assert_close(row, model.embed_text(TextFeatures.from_rows([own]))[0], rtol=1e-4, atol=1e-5)


def test_the_order_of_frames_and_words_is_seen(model: TextMotionModel) -> None:
    torch.manual_seed(1)
    frames, words = torch.randn(1, 32, 133), torch.randn(1, 6, 16)
    with torch.no_grad():
        one, other = (model.motion(x, torch.tensor([32])) for x in (frames, frames.roll(16, 1)))
        assert float((one - other).abs().max()) > 1e-3
        mask = torch.ones(1, 6, dtype=torch.bool)
        one, other = (model.embed_text(TextFeatures(x, mask)) for x in (words, words.flip(1)))
        assert float((one - other).abs().max()) > 1e-3


def test_patches_hold_every_frame_once() -> None:
    values = torch.arange(12.0).reshape(1, 6, 2)
    assert patches(values, torch.tensor([6]), 4).tolist() == [[list(range(8)), [8, 9, 10, 11, 0, 0, 0, 0]]]


def test_places_are_sines_and_cosines() -> None:
    table = places(5, 6)
    assert table[0].tolist() == [0, 1, 0, 1, 0, 1]
    assert float(table[3, 2]) == pytest.approx(float(torch.sin(torch.tensor(3 * 10_000 ** (-2 / 6)))), abs=1e-6)


@pytest.mark.parametrize(
    ("change", "words"), [({"width": 30}, "width 30"), ({"size": 0}, "size 0"), ({"dropout": 1.0}, "dropout 1.0")]
)
def test_impossible_sizes_are_refused(change, words: str) -> None:
    with pytest.raises(InputError, match=words):
        TextMotionModel(16, **change)
