"""Batches of windows for stage 1, as a pure function of the batch number.

`batches(i)` returns the same tensor, regardless of earlier calls. A training run that stops after batch 700 resumes
with `batches(701)`: no generator state has to be saved, and no state can be wrong.

Batch i holds the windows `i * batch_size` and so on of an endless sequence. So an optimizer step sees the same windows
as 32 x 1, as 8 x 4 and as 2 x 16, in one process or in several.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from motionlab.data.splits import Clips
from motionlab.errors import InputError
from motionlab.motion.features import DIM
from motionlab.motion.normalizer import Normalizer
from motionlab.runtime import check_seed


@dataclass(frozen=True)
class Windows:
    """A batch: `values [B, window, 272]` float32; `mask [B, window]`, true where a frame is real, None when all are."""

    values: Tensor
    mask: Tensor | None = None

    def __len__(self) -> int:
        return len(self.values)

    @property
    def n_frames(self) -> int:
        """Real frames; the weight of this batch when gradients are accumulated."""
        return self.values.shape[0] * self.values.shape[1] if self.mask is None else int(self.mask.sum())

    def to(self, device: torch.device | str) -> Windows:
        """The same batch on another device."""
        mask = None if self.mask is None else self.mask.to(device, non_blocking=True)
        return Windows(self.values.to(device, non_blocking=True), mask)


class _Visits:
    """An endless sequence of windows: which clip, and which frame of it comes first.

    Args:
        lengths: `[N]` frames of each clip.
        clips: numbers of the clips that are visited.
        window: frames.
        seed: order and first frames.
    """

    def __init__(self, lengths: np.ndarray, clips: np.ndarray, window: int, seed: int) -> None:
        self.lengths, self.window, self.seed = lengths, window, check_seed(seed)
        self.slots = np.repeat(clips, np.maximum(lengths[clips] // window, 1))  # one entry per visit
        self._epochs: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def __call__(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Clips and first frames at these places `[B]` of the endless sequence of epochs."""
        epochs, inside = np.divmod(places, len(self.slots))
        clips, starts = np.empty_like(places), np.empty_like(places)
        for epoch in np.unique(epochs):
            here = epochs == epoch
            order, first = self._epoch(int(epoch))
            clips[here], starts[here] = order[inside[here]], first[inside[here]]
        return clips, starts

    def _epoch(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Clips and first frames of one epoch, in order. Kept for the last two epochs; always the same for an epoch."""
        if epoch not in self._epochs:
            generator = np.random.default_rng([self.seed, epoch])
            clips = generator.permutation(self.slots)
            starts = generator.integers(0, np.maximum(self.lengths[clips] - self.window, 0) + 1)
            if len(self._epochs) >= 2:
                self._epochs.pop(min(self._epochs))
            self._epochs[epoch] = clips, starts
        return self._epochs[epoch]


class WindowBatches:
    """Random windows of equal length from the clips that have one; `RaggedBatches` has the shorter clips too.

    An epoch visits every clip in a new order, a clip of `n` windows `n` times, each time from a random first frame;
    so long clips count by their length. Epochs follow each other without a gap: a batch may end one epoch and begin
    the next.

    Args:
        clips: those shorter than `window` are left out (`skipped` says how many).
        normalizer: applied to every batch; `None` gives physical units.
        window: frames.
        batch_size: windows.
        seed: order and first frames.

    Raises:
        InputError: no clip is long enough.
    """

    def __init__(
        self,
        clips: Clips,
        normalizer: Normalizer | None,
        window: int,
        batch_size: int,
        seed: int = 0,
    ) -> None:
        _check_sizes(window, batch_size)
        usable = np.flatnonzero(clips.lengths >= window)
        if not len(usable):
            longest = int(clips.lengths.max()) if len(clips) else 0
            raise InputError(
                "clips",
                found=f"{len(clips)} clips, the longest of {longest} frames",
                expected=f"at least one of {window} frames (the window)",
                fix="Use a shorter window or longer clips.",
            )
        self.clips, self.normalizer, self.window, self.batch_size = clips, normalizer, window, batch_size
        self.skipped = len(clips) - len(usable)
        self._visits = _Visits(clips.lengths, usable, window, seed)

    @property
    def windows_per_epoch(self) -> int:
        """Windows in one pass over the clips."""
        return len(self._visits.slots)

    @property
    def batches_per_epoch(self) -> float:
        """Batches in one pass, not rounded."""
        return self.windows_per_epoch / self.batch_size

    def __call__(self, number: int) -> Tensor:
        """Batch `number`, `[batch_size, window, 272]` float32."""
        clips, starts = self._visits(number * self.batch_size + np.arange(self.batch_size))
        values = self.clips.windows(clips, starts, self.window)
        return values if self.normalizer is None else self.normalizer.normalize_(values)


class RaggedBatches:
    """Random windows from all clips of a split; a clip shorter than the window is one window, with padding behind it.

    As `WindowBatches`, which it equals where no clip is short. A short clip is visited once in an epoch, so every frame
    counts about alike, in long clips and in short ones. The padding repeats the last frame; it has to be masked.

    Args:
        clips: `short` says how many are shorter than the window.
        normalizer, window, batch_size, seed: as in `WindowBatches`.

    Raises:
        InputError: no clips.
    """

    def __init__(
        self, clips: Clips, normalizer: Normalizer | None, window: int, batch_size: int, seed: int = 0
    ) -> None:
        _check_sizes(window, batch_size)
        if not len(clips):
            raise InputError("clips", found="none", expected="at least one", fix="Add clips.")
        self.clips, self.normalizer, self.window, self.batch_size = clips, normalizer, window, batch_size
        self.short = int((clips.lengths < window).sum())
        self._visits = _Visits(clips.lengths, np.arange(len(clips)), window, seed)

    def __call__(self, number: int) -> Windows:
        """Batch `number`; it has a mask when it holds a short clip."""
        clips, starts = self._visits(number * self.batch_size + np.arange(self.batch_size))
        lengths = np.minimum(self.clips.lengths[clips], self.window)  # [B]
        if (lengths == self.window).all():
            return Windows(self._normalized(self.clips.windows(clips, starts, self.window)))
        whole = lengths == self.window
        values = torch.empty(len(clips), self.window, DIM)
        if whole.any():
            values[torch.from_numpy(whole)] = self.clips.windows(clips[whole], starts[whole], self.window)
        for row in np.flatnonzero(~whole).tolist():
            length = int(lengths[row])
            values[row, :length] = self.clips.windows(clips[row : row + 1], starts[row : row + 1], length)[0]
            values[row, length:] = values[row, length - 1]
        mask = torch.arange(self.window) < torch.from_numpy(lengths)[:, None]  # [B, window]
        return Windows(self._normalized(values), mask)

    def _normalized(self, values: Tensor) -> Tensor:
        return values if self.normalizer is None else self.normalizer.normalize_(values)


def describe_short(lengths: np.ndarray, window: int) -> str:
    """One sentence on the clips that are shorter than the window, and how they are used; empty when there are none.

    >>> describe_short(np.array([30, 64, 200]), window=64)
    '1 of 3 training clips is shorter than the window of 64 frames: padded to it; the padding is masked.'
    """
    short = int((lengths < window).sum())
    if not short:
        return ""
    counted = f"{short:,} of {len(lengths):,} training clips {'is' if short == 1 else 'are'} shorter than the window"
    return f"{counted} of {window} frames: padded to it; the padding is masked."


def _check_sizes(window: int, batch_size: int) -> None:
    if window < 1 or batch_size < 1:
        raise InputError(
            "batches",
            found=f"window {window}, batch_size {batch_size}",
            expected="1 or more of both",
            fix="Change the configuration.",
        )
