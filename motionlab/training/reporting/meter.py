"""Averages between two history rows, weighted by items and exact across a resume."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch


@dataclass
class Meter:
    """Sums of loss and logs over the steps since the last row; the fields are JSON values, for the checkpoint.

    Micro-batches may differ in size, so each value is weighted by its items; dividing a sum by the number of steps
    would give a short last batch the weight of a full one.

    >>> meter = Meter()
    >>> meter.add_step({"loss": 2.0}, items=1, grad_norm=3.0, seconds=0.5)
    >>> meter.add_step({"loss": 1.0}, items=3, grad_norm=1.0, seconds=0.5)
    >>> meter.means()
    {'loss': 1.25, 'grad_norm': 2.0, 'items_per_second': 4.0}
    """

    sums: dict[str, float] = field(default_factory=dict)  # value * items
    items: int = 0
    steps: int = 0
    grad_norm: float = 0.0  # summed over steps
    seconds: float = 0.0

    def add_step(self, values: Mapping[str, float], *, items: int, grad_norm: float, seconds: float) -> None:
        """Add one optimizer step: its mean values over `items` items."""
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value * items
        self.items += items
        self.steps += 1
        self.grad_norm += grad_norm
        self.seconds += seconds

    def means(self) -> dict[str, float]:
        """Means over the items (over the steps for the gradient norm), and the speed."""
        row = {name: total / self.items for name, total in self.sums.items()}
        row["grad_norm"] = self.grad_norm / self.steps
        row["items_per_second"] = self.items / self.seconds if self.seconds > 0 else 0.0
        return row


class GroupMeans:
    """Weighted means over the micro-batches of one optimizer step, kept on the device.

    Reading a number from a GPU waits for all the work queued before it, so the values travel together, and later.
    """

    def __init__(self) -> None:
        self.sums: dict[str, torch.Tensor] = {}

    def add(self, values: Mapping[str, torch.Tensor | float], weight: float) -> None:
        """Add the values of one micro-batch; `weight` is its share of the items of the step."""
        for name, value in values.items():
            term = torch.as_tensor(value).detach().float() * weight
            self.sums[name] = self.sums[name] + term if name in self.sums else term

    def row(self, **more: torch.Tensor) -> tuple[list[str], torch.Tensor]:
        """Names and values `[k]` of all means and of `more` scalars, on the device of `more`.

        >>> means = GroupMeans(); means.add({"loss": 2.0}, 0.25); means.add({"loss": 1.0}, 0.75)
        >>> means.row(grad_norm=torch.tensor(3.0))
        (['loss', 'grad_norm'], tensor([1.2500, 3.0000]))
        """
        tensors = {**self.sums, **more}
        device = next(iter(more.values())).device if more else torch.device("cpu")
        return list(tensors), torch.stack([tensor.detach().to(device).reshape(()) for tensor in tensors.values()])
