"""Batches as a pure function of their number."""

import pytest
import torch

from motionlab.data.batches import RaggedBatches, WindowBatches, describe_short
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


@pytest.mark.parametrize(("batch_size", "accumulation"), [(32, 1), (8, 4), (2, 16)])
@pytest.mark.parametrize("kind", [WindowBatches, RaggedBatches])
def test_a_step_sees_the_same_windows_in_every_factorisation(store, kind, batch_size, accumulation):
    def step(size: int, count: int) -> torch.Tensor:
        batches = kind(store, None, window=10, batch_size=size, seed=3)
        parts = [batches(2 * count + i) for i in range(count)]
        return torch.cat([part if isinstance(part, torch.Tensor) else part.values for part in parts])

    assert torch.equal(step(batch_size, accumulation), step(32, 1))


def test_short_clips_take_part_with_masked_padding(store):
    batches = RaggedBatches(store, None, window=10, batch_size=13, seed=0)
    assert batches.short == 1
    for epoch in range(3):
        batch = batches(epoch)  # 2 + 6 + 1 + 3 + 1 windows: an epoch
        assert [sum(clip == number for clip, _ in origins(batch.values)) for number in range(5)] == [2, 6, 1, 3, 1]
        row = origins(batch.values).index((2, 0))
        assert batch.mask is not None and batch.mask.sum(1).tolist() == [7 if at == row else 10 for at in range(13)]
        assert batch.values[row, :, 9].tolist() == [0, 1, 2, 3, 4, 5, 6, 6, 6, 6]  # the last frame again
        assert batch.mask[row].tolist() == [True] * 7 + [False] * 3 and batch.n_frames == 127


def test_no_mask_where_no_clip_is_short(store):
    plain = WindowBatches(store, None, window=7, batch_size=6, seed=1)
    ragged = RaggedBatches(store, None, window=7, batch_size=6, seed=1)
    for number in (0, 5, 9):
        batch = ragged(number)
        assert batch.mask is None and batch.n_frames == 42 and torch.equal(batch.values, plain(number))
    assert describe_short(store.lengths, 7) == ""


def test_all_clips_may_be_short(store):
    normalizer = Normalizer(torch.full((272,), 2.0), torch.full((272,), 4.0))
    batch = RaggedBatches(store, normalizer, window=66, batch_size=5, seed=1)(0)
    assert batch.mask is not None and sorted(batch.mask.sum(1).tolist()) == [7, 10, 20, 33, 65]
    assert float(batch.values[..., 10].unique()) == -0.5
    told = "5 of 5 training clips are shorter than the window of 66 frames: padded to it; the padding is masked."
    assert describe_short(store.lengths, 66) == told


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
    with pytest.raises(InputError, match="window 0"):
        RaggedBatches(store, None, window=0, batch_size=3)
