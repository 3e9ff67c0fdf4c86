"""Averaged weights: an exponential moving average of the weights along the training.

The last steps of a training jump around a minimum; their average is nearer to it (Polyak and Juditsky 1992). The
training itself continues with the unaveraged weights.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import torch
from torch import nn


class AveragedWeights:
    """The average of the trainable weights of `model`, in float32 and on its device.

    At step s the decay is min(`decay`, (1 + s) / (10 + s)), so that the average forgets the random weights of the
    beginning soon. Buffers are not averaged: a step count, or the use of a codebook, has no meaningful mean.

    >>> model = nn.Linear(1, 1, bias=False); _ = nn.init.ones_(model.weight)
    >>> averaged = AveragedWeights(model, decay=0.5); _ = nn.init.zeros_(model.weight)
    >>> averaged.update(step=100)
    >>> with averaged.in_use():
    ...     model.weight.item()
    0.5
    >>> model.weight.item()
    0.0
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights = {name: value for name, value in model.named_parameters() if value.requires_grad}
        self.averages = {name: value.detach().float().clone() for name, value in self.weights.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take the weights after optimizer step `step` (from 1) into the average."""
        decay = min(self.decay, (1 + step) / (10 + step))
        now = [value.detach().float() for value in self.weights.values()]
        torch._foreach_lerp_(list(self.averages.values()), now, 1 - decay)

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Inside, the model has the averaged weights; afterwards its own again, bit for bit."""
        own = {name: value.detach().clone() for name, value in self.weights.items()}
        self._put(self.averages)
        try:
            yield
        finally:
            self._put(own)

    def load(self, averages: Mapping[str, torch.Tensor]) -> None:
        """Continue from stored averages, by the names of the weights."""
        for name, value in self.averages.items():
            value.copy_(averages[name])

    @torch.no_grad()
    def _put(self, values: Mapping[str, torch.Tensor]) -> None:
        for name, weight in self.weights.items():
            weight.copy_(values[name])
