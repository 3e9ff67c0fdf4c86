"""A stage as a class and as functions, and what is optional in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from motionlab.config import TrainConfig
from motionlab.training.loop import fit
from motionlab.training.stage import FunctionStage, Losses, Stage


class Doubling(Stage[torch.Tensor]):
    """Learns y = 2 x; writes nothing that is optional."""

    def build(self) -> nn.Module:
        torch.manual_seed(0)
        self.model = nn.Linear(1, 1)
        return self.model

    def batches(self, number: int) -> torch.Tensor:
        return torch.randn(8, 1, generator=torch.Generator().manual_seed(number))

    def step(self, batch: torch.Tensor) -> Losses:
        return Losses((self.model(batch) - 2 * batch).square().mean())


class Measured(Doubling):
    """The same, and validated."""

    best_metric = "distance"

    def validate(self) -> dict[str, float]:
        return {"distance": float(abs(self.model.weight - 2))}


def test_a_class_needs_four_methods_at_most(tmp_path: Path, settings: Callable[..., TrainConfig]) -> None:
    stage = Doubling()
    history = fit(stage, settings(), tmp_path)
    assert history.column("items")[-1] == 10 * 8
    assert not any(name.startswith("val_") for name in history.columns)
    assert not (tmp_path / "checkpoints" / "best.json").exists()


def test_functions_and_a_class_are_the_same_training(tmp_path: Path, settings: Callable[..., TrainConfig]) -> None:
    one, other = Doubling(), Doubling()
    fit(one, settings(), tmp_path / "class")
    fit(FunctionStage(other.build(), other.batches, other.step), settings(), tmp_path / "functions")
    assert torch.equal(one.model.weight, other.model.weight)


def test_a_stage_with_validate_is_validated(tmp_path: Path, settings: Callable[..., TrainConfig]) -> None:
    history = fit(Measured(), settings(steps=8, val_every=4), tmp_path)
    assert history.points("val_distance")[0] == [4, 8]
    assert (tmp_path / "checkpoints" / "best.json").exists()


@pytest.mark.parametrize("name", ["loss", "lr", "grad_norm"])
def test_a_log_may_not_take_the_name_of_a_column(name: str) -> None:
    logs: dict[str, Any] = {name: 1.0}
    with pytest.raises(ValueError, match=f"column '{name}' of its own"):
        Losses(torch.tensor(1.0), logs).named()
