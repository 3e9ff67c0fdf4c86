"""Windows from the memory map: the same numbers as the plain gather, bit for bit, wherever the pages are."""

import numpy as np
import pytest
import torch

from motionlab.data import rows as module
from motionlab.data.rows import MappedRows
from motionlab.data.store import Clip, MotionStore
from motionlab.data.store_files import FEATURES_FILE
from motionlab.motion.features import reset_first_row
from motionlab.motion.motion import Motion
from motionlab.motion.normalizer import Normalizer

FRAMES = 300


def plain_windows(values: np.ndarray, firsts: list[int], length: int) -> torch.Tensor:
    """The plain way: gather by numpy, cast by numpy, copy with a reset first row."""
    places = np.asarray(firsts)[:, None] + np.arange(length)  # [B, length]
    return reset_first_row(torch.from_numpy(values[places].astype(np.float32)))


@pytest.fixture
def values(tmp_path) -> np.ndarray:
    """Ordinary numbers, and the hard ones of float16: the smallest, the largest, those below the normal range."""
    values = np.random.default_rng(0).normal(size=(FRAMES, 272)).astype("<f2")
    values[5, :6] = [6e-8, -6e-8, 6.1e-5, 65504, -65504, -0.0]
    values.tofile(tmp_path / FEATURES_FILE)
    return values


def test_windows_equal_the_plain_gather_bit_for_bit(tmp_path, values):
    rows = MappedRows(tmp_path / FEATURES_FILE, FRAMES)
    firsts = [0, 5, 200, 5, 4, 299 - 15]
    found = rows.windows(firsts, 16)
    assert found.dtype == torch.float32
    assert found.numpy().tobytes() == plain_windows(values, firsts, 16).numpy().tobytes()
    assert rows.read(3, 9).numpy().tobytes() == values[3:9].astype(np.float32).tobytes()


def test_the_same_when_pages_are_asked_for(tmp_path, values, monkeypatch):
    rows, asked = MappedRows(tmp_path / FEATURES_FILE, FRAMES), []
    ask = rows._ask_for
    monkeypatch.setattr(rows, "_ask_for", lambda *some: asked.append(some) or ask(*some))
    waits = iter([0, 3, *[3] * 1000])  # the first batch waits, none after it
    monkeypatch.setattr(module, "_waits_for_disk", lambda: next(waits))
    for _ in range(module._ASKING + 5):
        assert torch.equal(rows.windows([7, 284], 16), plain_windows(values, [7, 284], 16))
    assert len(asked) == module._ASKING


def test_a_batch_is_not_overwritten_while_it_is_held(tmp_path, values):
    rows = MappedRows(tmp_path / FEATURES_FILE, FRAMES)
    kept = [rows.windows([first, first + 9], 16) for first in range(20)]
    part = rows.windows([100, 120], 16)[1]  # a view keeps the whole batch
    for first in range(30):
        rows.windows([first, first], 16)
    for first, batch in enumerate(kept):
        assert torch.equal(batch, plain_windows(values, [first, first + 9], 16))
    assert torch.equal(part, plain_windows(values, [120], 16)[0])


def test_memory_is_used_again(tmp_path, values):
    rows = MappedRows(tmp_path / FEATURES_FILE, FRAMES)
    assert len({rows.windows([first, first], 16).data_ptr() for first in range(50)}) == 1


def test_normalising_in_place_gives_the_same_bits(values):
    generator = torch.Generator().manual_seed(1)
    normalizer = Normalizer(torch.randn(272, generator=generator), torch.rand(272, generator=generator) + 0.01)
    x = torch.from_numpy(values.astype(np.float32))
    expected = normalizer.normalize(x)
    assert normalizer.normalize_(x) is x and torch.equal(x, expected)


def test_no_windows_at_all(tmp_path):
    empty = MotionStore.write(tmp_path / "empty", [])
    some = MotionStore.write(tmp_path / "some", [Clip("a", Motion(torch.zeros(9, 272)), [])])
    assert empty.windows([], [], 5).shape == some.windows([], [], 5).shape == (0, 5, 272)
