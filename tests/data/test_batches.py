"""Batches as a pure function of their number."""

import pytest
import torch

from motionlab.data.batches import WindowBatches
from motionlab.data.store import Clip, MotionStore
from motionlab.errors import InputError
from motionlab.motion.features import POSITIONS
from motionlab.motion.motion import Motion
from motionlab.motion.normalizer import Normalizer


@pytest.fixture
def store(tmp_path) -> MotionStore:
    """Clip k holds the number k in feature 8 and the frame number in feature 9, so a window shows its origin."""
    clips = []
    for number, frames in enumerate((20, 65, 7, 33, 10)):
        values = torch.zeros(frames, 272)
        values[:, POSITIONS.start] = number
        values[:, POSITIONS.start + 1] = torch.arange(frames)
        clips.append(Clip(f"clip{number}", Motion(values), ["caption"]))
    return MotionStore.write(tmp_path / "store", clips)


def origins(batch: torch.Tensor) -> list[tuple[int, int]]:
    return [(int(window[0, 8]), int(window[0, 9])) for window in batch]


def test_a_batch_depends_on_seed_and_number_only(store):
    batches = WindowBatches(store, None, window=10, batch_size=4, seed=1)
    expected = [batches(number) for number in range(30)]
    assert expected[0].shape == (4, 10, 272)
    resumed = WindowBatches(store, None, window=10, batch_size=4, seed=1)
    for number in (29, 0, 17, 3, 28):
        assert torch.equal(resumed(number), expected[number])
    other = WindowBatches(store, None, window=10, batch_size=4, seed=2)
    assert any(not torch.equal(other(number), expected[number]) for number in range(3))


def test_an_epoch_visits_every_clip_by_its_length(store):
    batches = WindowBatches(store, None, window=10, batch_size=1, seed=0)
    assert batches.windows_per_epoch == 2 + 6 + 3 + 1 and batches.skipped == 1 and batches.batches_per_epoch == 12
    for epoch in range(3):
        visited = [origins(batches(epoch * 12 + number))[0] for number in range(12)]
        counts = [sum(clip == number for clip, _ in visited) for number in range(5)]
        assert counts == [2, 6, 0, 3, 1]  # clip 2 is shorter than the window
        assert all(0 <= start <= (20, 65, 7, 33, 10)[clip] - 10 for clip, start in visited)


def test_epochs_differ_in_order_and_in_first_frames(store):
    batches = WindowBatches(store, None, window=10, batch_size=12, seed=0)
    first, second = origins(batches(0)), origins(batches(1))
    assert [clip for clip, _ in first] != [clip for clip, _ in second]
    assert sorted(clip for clip, _ in first) == sorted(clip for clip, _ in second)
    assert sorted(first) != sorted(second)


def test_batch_size_does_not_change_the_order_of_windows(store):
    small = WindowBatches(store, None, window=10, batch_size=5, seed=3)
    large = WindowBatches(store, None, window=10, batch_size=20, seed=3)
    assert torch.equal(torch.cat([small(number) for number in range(4)]), large(0))


def test_every_first_frame_can_be_drawn(store):
    batches = WindowBatches(store, None, window=10, batch_size=12 * 60, seed=0)
    assert {start for clip, start in origins(batches(0)) if clip == 0} == set(range(11))


def test_batches_are_normalised(store):
    normalizer = Normalizer(torch.full((272,), 2.0), torch.full((272,), 4.0))
    plain = WindowBatches(store, None, window=10, batch_size=3)(0)
    torch.testing.assert_close(WindowBatches(store, normalizer, window=10, batch_size=3)(0), (plain - 2) / 4)


def test_settings_that_cannot_work_are_input_errors(store):
    with pytest.raises(InputError, match="the longest of 65 frames"):
        WindowBatches(store, None, window=66, batch_size=3)
    with pytest.raises(InputError, match="batch_size 0"):
        WindowBatches(store, None, window=6, batch_size=0)
