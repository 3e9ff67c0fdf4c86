"""Batches of windows for stage 1, as a pure function of the batch number.

`batches(i)` returns the same tensor, regardless of earlier calls. A training run that stops after batch 700 resumes
with `batches(701)`: no generator state has to be saved, and no state can be wrong.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from motionlab.data.splits import Clips
from motionlab.errors import InputError
from motionlab.motion.normalizer import Normalizer
from motionlab.runtime import check_seed


class WindowBatches:
    """Random windows of equal length from a split.

    An epoch visits every clip in a new order, a clip of `n` windows `n` times, each time from a random first frame;
    so long clips count by their length. Epochs follow each other without a gap: a batch may end one epoch and begin
    the next, and no clip is ever dropped.

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
        if window < 1 or batch_size < 1:
            raise InputError(
                "batches",
                found=f"window {window}, batch_size {batch_size}",
                expected="1 or more of both",
                fix="Change the configuration.",
            )
        usable = np.flatnonzero(clips.lengths >= window)
        if not len(usable):
            longest = int(clips.lengths.max()) if len(clips) else 0
            raise InputError(
                "clips",
                found=f"{len(clips)} clips, the longest of {longest} frames",
                expected=f"at least one of {window} frames (the window)",
                fix="Use a shorter window or longer clips.",
            )
        self.clips, self.normalizer, self.window, self.batch_size, self.seed = (
            clips,
            normalizer,
            window,
            batch_size,
            check_seed(seed),
        )
        self.skipped = len(clips) - len(usable)
        self._slots = np.repeat(usable, clips.lengths[usable] // window)  # one entry per visit
        self._epochs: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    @property
    def windows_per_epoch(self) -> int:
        """Windows in one pass over the clips."""
        return len(self._slots)

    @property
    def batches_per_epoch(self) -> float:
        """Batches in one pass, not rounded."""
        return self.windows_per_epoch / self.batch_size

    def __call__(self, number: int) -> Tensor:
        """Batch `number`, `[batch_size, window, 272]` float32."""
        places = number * self.batch_size + np.arange(self.batch_size)  # places in the endless sequence of epochs
        epochs, inside = np.divmod(places, self.windows_per_epoch)
        clips, starts = np.empty_like(places), np.empty_like(places)
        for epoch in np.unique(epochs):
            here = epochs == epoch
            order, first = self._epoch(int(epoch))
            clips[here], starts[here] = order[inside[here]], first[inside[here]]
        values = self.clips.windows(clips, starts, self.window)
        return values if self.normalizer is None else self.normalizer.normalize_(values)

    def _epoch(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Clips and first frames of one epoch, in order. Kept for the last two epochs; always the same for an epoch."""
        if epoch not in self._epochs:
            generator = np.random.default_rng([self.seed, epoch])
            clips = generator.permutation(self._slots)
            starts = generator.integers(0, self.clips.lengths[clips] - self.window + 1)
            if len(self._epochs) >= 2:
                self._epochs.pop(min(self._epochs))
            self._epochs[epoch] = clips, starts
        return self._epochs[epoch]
