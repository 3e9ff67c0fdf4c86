"""A stage: everything that the training loop needs of a model and its data.

The loop (`loop.py`) knows no model. It knows a stage, which makes a model, gives micro-batches by their number, turns
one into losses, and measures how good the model is. A new kind of model is a new stage and changes no line of the loop.

Subclass `Stage` for a stage that others use; `FunctionStage` makes one from functions, for an experiment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeVar

import torch
from torch import nn

from motionlab.training.reporting.history import FIRST_COLUMNS

Batch = TypeVar("Batch")


class Losses(NamedTuple):
    """The result of `step` for one micro-batch."""

    total: torch.Tensor  # scalar, the MEAN over the items that `count` counts
    logs: Mapping[str, torch.Tensor | float] = {}  # further means, such as an accuracy; the same names every time

    def named(self) -> dict[str, torch.Tensor | float]:
        """All of them by name; the total is "loss".

        >>> list(Losses(torch.tensor(1.0), {"accuracy": 0.5}).named())
        ['loss', 'accuracy']

        Raises:
            ValueError: a log has the name of a column that the history fills itself.
        """
        taken = sorted(set(self.logs) & set(FIRST_COLUMNS))
        if taken:
            raise ValueError(f"the history has a column {taken[0]!r} of its own; choose another name for this log")
        return {"loss": self.total, **self.logs}


class Stage(Protocol[Batch]):
    """The model to train, and its data. The values below are the defaults of the optional parts.

    Attributes:
        title: of the progress bar.
        best_metric: name in the result of `validate`; `checkpoints/best` keeps the model that had the best value.
        best_is_higher: more of it is better.
        architecture: plain settings of the model, stored with it and compared on resume.
        constants: tensors that belong to the model though no training changes them (the normaliser); stored with it and
            compared on resume.
        validate: metrics of the model, called in eval and inference mode; columns `val_<name>` of the history. A stage
            that writes this method is validated every `val_every` steps, one that leaves it None is not.
        explain_memory: called with the rows of a micro-batch when memory is short: what holds how much, and what would
            help. None: the loop says what it knows itself.
    """

    title: str = "training"
    best_metric: str = "loss"
    best_is_higher: bool = False
    architecture: Mapping[str, Any] = {}
    constants: Mapping[str, torch.Tensor] = {}
    validate: Callable[[], Mapping[str, float]] | None = None
    explain_memory: Callable[[int], str] | None = None

    def build(self) -> nn.Module:
        """Make the model, with its first weights. `step` and `validate` use this one from then on."""
        ...

    def batches(self, number: int, /) -> Batch:
        """The micro-batch with this number (from 0). A pure function, so the place in the data is a number."""
        ...

    def step(self, batch: Batch, /) -> Losses:
        """Forward pass of one micro-batch, to its mean loss. It moves the batch to the device."""
        ...

    def count(self, batch: Batch, /) -> int:
        """The number of items that the mean loss is a mean over: clips, or tokens that are not padding."""
        return len(batch)  # type: ignore[arg-type]


@dataclass
class FunctionStage(Stage[Batch]):
    """A stage around a model that exists already, from functions. Each field is as in `Stage`.

    >>> model = nn.Linear(4, 1)
    >>> stage = FunctionStage(model, lambda i: torch.ones(8, 4), lambda x: Losses(model(x).square().mean()))
    >>> stage.count(stage.batches(0)), stage.validate
    (8, None)
    """

    model: nn.Module
    batches: Callable[[int], Batch]
    step: Callable[[Batch], Losses]
    validate: Callable[[], Mapping[str, float]] | None = None
    count: Callable[[Batch], int] = len  # type: ignore[assignment]
    title: str = "training"
    best_metric: str = "loss"
    best_is_higher: bool = False
    architecture: Mapping[str, Any] = field(default_factory=dict)
    constants: Mapping[str, torch.Tensor] = field(default_factory=dict)
    explain_memory: Callable[[int], str] | None = None

    def build(self) -> nn.Module:
        """The model, as it is."""
        return self.model
