"""A toy problem that trains in milliseconds and uses everything the loop must restore: dropout, a buffer, a norm."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from motionlab.config import TrainConfig
from motionlab.training.loop import fit
from motionlab.training.reporting.history import History
from motionlab.training.stage import FunctionStage, Losses


class ToyModel(nn.Module):
    """Four inputs, one output. `seen` counts forward passes, as a codebook's statistics would."""

    seen: torch.Tensor

    def __init__(self, width: int = 8, dropout: float = 0.2) -> None:
        super().__init__()
        self.inner = nn.Linear(4, width)
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        self.outer = nn.Linear(width, 1)
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.seen += 1
        return self.outer(self.dropout(self.norm(self.inner(x)))).squeeze(-1)


@dataclass
class Toy:
    """A model and the parts of its stage."""

    model: ToyModel
    sizes: tuple[int, ...] = (8,)

    def batches(self, i: int) -> torch.Tensor:
        """[n, 5]: four inputs and the target; a pure function of i, with sizes that come round."""
        generator = torch.Generator().manual_seed(1000 + i)
        x = torch.randn(self.sizes[i % len(self.sizes)], 4, generator=generator)
        return torch.cat([x, x[:, :1] - 2 * x[:, 1:2]], dim=1)

    def step(self, batch: torch.Tensor) -> Losses:
        error = self.model(batch[:, :4]) - batch[:, 4]
        return Losses(error.square().mean(), {"absolute": error.abs().mean()})

    def validate(self) -> dict[str, float]:
        return {"loss": float(self.step(self.batches(10_000)).total)}

    def spoiled(self, bad: Callable[[int], bool]) -> Callable[[torch.Tensor], Losses]:
        """A step whose gradients are inf in the forward passes (from 1) for which `bad` is true.

        Autocast is off inside, so that no gradient overflows of itself: the scale then changes nothing but the
        exponents.
        """

        def step(batch: torch.Tensor) -> Losses:
            with torch.autocast("cpu", enabled=False):
                losses = self.step(batch)
            if bad(int(self.model.seen)):
                losses.total.register_hook(lambda gradient: gradient * math.inf)
            return losses

        return step

    def fit(self, folder: Path, settings: TrainConfig, **more: Any) -> History:
        """Train it; `more` replaces parts of the stage, or goes to `fit`."""
        parts: dict[str, Any] = {"batches": self.batches, "step": self.step, "validate": self.validate}
        names = {field.name for field in dataclasses.fields(FunctionStage)}
        parts |= {name: more.pop(name) for name in names & set(more)}
        return fit(FunctionStage(self.model, **parts), settings, folder, **more)


@pytest.fixture
def toy() -> Callable[..., Toy]:
    """`toy(width=8, dropout=0.2, sizes=(8,))`: the same initial weights every time."""

    def make(width: int = 8, dropout: float = 0.2, sizes: tuple[int, ...] = (8,)) -> Toy:
        torch.manual_seed(3)
        return Toy(ToyModel(width, dropout), sizes)

    return make


@pytest.fixture
def settings() -> Callable[..., TrainConfig]:
    """A short run; any field can be given."""

    def make(**more: Any) -> TrainConfig:
        short: dict[str, Any] = {
            "steps": 10,
            "batch_size": 8,
            "warmup_steps": 3,
            "lr": 1e-2,
            "val_every": 4,
            "save_every": 5,
            "log_every": 3,
            "precision": "fp32",
        }
        return TrainConfig(**{**short, **more})

    return make


@pytest.fixture(autouse=True)
def silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTIONLAB_PROFILE", "ci")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)
