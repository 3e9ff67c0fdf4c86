"""The clips that the evaluator learns from, in memory, and batches of clips of like length."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from motionlab.data.splits import Clips
from motionlab.evaluation.text_motion.inputs import encoder_inputs, padded
from motionlab.evaluation.text_motion.meaning import meanings
from motionlab.motion.features import decode_positions

_TOGETHER = 8  # batches whose clips are sorted by length
_MEASURED = 400  # clips from which mean and deviation are measured


@dataclass(frozen=True)
class Batch:
    """Clips of one step: joints `[B, T, 22, 3]`, frames `[B]`, the caption of each, and its meaning `[B]`."""

    joints: Tensor
    lengths: Tensor
    captions: list[str]
    meanings: Tensor


class LoadedClips:
    """At most `most` clips of a split, spread evenly over it, as joints in memory (about 270 bytes a frame)."""

    def __init__(self, clips: Clips, most: int) -> None:
        count = min(most, len(clips))
        self.numbers = [i * len(clips) // count for i in range(count)] if count else []
        self.joints = [decode_positions(clips.features(i).float()) for i in self.numbers]
        self.captions = [clips.captions(i) for i in self.numbers]
        self.lengths = np.array([len(joints) for joints in self.joints], dtype=np.int64)
        self.meanings = torch.from_numpy(meanings(clips, self.numbers))

    def __len__(self) -> int:
        return len(self.numbers)

    @cached_property
    def statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the 133 inputs over the frames of some clips, `[133]` each.

        The smallest deviation is 5 mm, 5 mm a frame, or 0.005 radians: what hardly moves must not be blown up.
        """
        total = square = torch.zeros(())
        chosen = self.joints[:: -(-len(self) // _MEASURED)]
        for joints in chosen:
            inputs = encoder_inputs(joints[None])[0].double()
            total, square = total + inputs.sum(0), square + inputs.square().sum(0)
        frames = sum(map(len, chosen))
        mean = total / frames
        std = (square / frames - mean.square()).clamp(min=0).sqrt()
        return mean.float(), std.clamp(min=5e-3).float()

    def epoch(self, size: int, generator: np.random.Generator) -> Iterator[Batch]:
        """Every clip once, with one of its captions, in batches of `size` clips or one less.

        Padding is waste, so clips of like length come together; which ones differs from epoch to epoch.
        """
        order = generator.permutation(len(self))
        batches: list[np.ndarray] = []
        for start in range(0, len(order), _TOGETHER * size):
            some = order[start : start + _TOGETHER * size]
            some = some[np.argsort(self.lengths[some], kind="stable")]
            batches += np.array_split(some, -(-len(some) // size))
        for number in generator.permutation(len(batches)):
            yield self.batch(batches[number], generator)

    def batch(self, rows: np.ndarray, generator: np.random.Generator) -> Batch:
        """Some clips, each with a caption that is drawn."""
        joints, lengths = padded([self.joints[row] for row in rows])
        captions = [self.captions[row][int(generator.integers(len(self.captions[row])))] for row in rows]
        return Batch(joints, lengths, captions, self.meanings[torch.from_numpy(rows)])
