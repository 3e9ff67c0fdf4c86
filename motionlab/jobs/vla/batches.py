"""Batches of moments as a pure function of their number, and the labels of all moments in memory.

Batch i holds the moments `i * batch_size` and so on of an endless sequence, in which every pass over the data has an
order of its own. So a step sees the same moments as 8 x 1 and as 4 x 2, and a place in the data is a number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from motionlab.vla.actions import ActionTargets
from motionlab.vla.backbone.features import Features
from motionlab.vla.frames import LiberoFrames, collate


class Draws:
    """`draws(number)`: which of `n` moments are in this batch.

    >>> draws = Draws(3, batch_size=2, seed=0)
    >>> first_pass = [*draws(0).tolist(), *draws(1).tolist()][:3]
    >>> sorted(first_pass), draws(0).tolist() == first_pass[:2]
    ([0, 1, 2], True)
    """

    def __init__(self, n: int, batch_size: int, seed: int) -> None:
        self.n, self.batch_size, self.seed = n, batch_size, seed
        self._orders: dict[int, np.ndarray] = {}

    def __call__(self, number: int) -> np.ndarray:
        places = np.arange(number * self.batch_size, (number + 1) * self.batch_size)
        return np.array([self._order(int(place) // self.n)[place % self.n] for place in places])

    def _order(self, epoch: int) -> np.ndarray:
        if epoch not in self._orders:
            for old in sorted(self._orders)[:-2]:  # a batch may reach into the next pass
                del self._orders[old]
            self._orders[epoch] = np.random.default_rng([self.seed, epoch]).permutation(self.n)
        return self._orders[epoch]


@dataclass(frozen=True)
class Moments:
    """Labels of N moments; fields as in `Frame`, with N in front.

    Fields:
        sentence: number of the instruction, int64 `[N]`. A number, not a text, so that a batch can be cut by rows.
        index: number of the moment among all, int64 `[N]`.
    """

    pose: Tensor
    gripper: Tensor
    action_is_pad: Tensor
    state: Tensor
    sentence: Tensor
    index: Tensor

    @classmethod
    def of(cls, frames: LiberoFrames, sentences: Sequence[str]) -> Moments:
        """Those of a data set; `sentences` says which number an instruction has."""
        labels = [frames.labels(i) for i in range(len(frames))]
        number = {sentence: i for i, sentence in enumerate(sentences)}
        return cls(
            pose=torch.stack([label.pose for label in labels]),
            gripper=torch.stack([label.gripper for label in labels]),
            action_is_pad=torch.stack([label.action_is_pad for label in labels]),
            state=torch.stack([label.state for label in labels]),
            sentence=torch.tensor([number[label.instruction] for label in labels]),
            index=torch.tensor([label.index for label in labels]),
        )

    def __len__(self) -> int:
        return len(self.pose)

    @property
    def targets(self) -> ActionTargets:
        """The actions; poses in units of the controller."""
        return ActionTargets(self.pose, self.gripper, self.action_is_pad)

    def rows(self, index: np.ndarray) -> Moments:
        """Some of them."""
        at = torch.from_numpy(np.asarray(index, dtype=np.int64))
        return Moments(**{name: getattr(self, name)[at] for name in self.__dataclass_fields__})

    def to(self, device: torch.device | str) -> Moments:
        """The same on another device."""
        return Moments(**{name: getattr(self, name).to(device) for name in self.__dataclass_fields__})


@dataclass(frozen=True)
class PolicyBatch:
    """Moments with what is seen: the kept features of a frozen backbone, or pictures for one that learns."""

    moments: Moments
    features: Features | None = None
    images: Tensor | None = None
    view_mask: Tensor | None = None

    def __len__(self) -> int:
        return len(self.moments)

    def to(self, device: torch.device | str) -> PolicyBatch:
        """The same on another device."""
        features, images, mask = self.features, self.images, self.view_mask
        return PolicyBatch(
            self.moments.to(device),
            None if features is None else features.to(device),
            None if images is None else images.to(device),
            None if mask is None else mask.to(device),
        )


class AllFrames:
    """Every moment by its number, as the feature cache asks for them."""

    def __init__(self, frames: LiberoFrames, digest: str) -> None:
        self.frames, self.digest = frames, digest

    def __len__(self) -> int:
        return len(self.frames)

    def images(self, index: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Images `[B, S, 3, H, W]` in [0, 1] and the view mask, bool `[B, S]`."""
        batch = collate([self.frames[i] for i in index])
        return batch.images, batch.view_mask
