"""The toy stage: a network of two layers learns to add. Its dropout shows whether random numbers are restored."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from motionlab.data.splits import Splits
from motionlab.jobs.run_folder import Run
from motionlab.jobs.stages.run_stage import RunStage
from motionlab.training.stage import Losses

from .settings import ToyConfig


class ToyStage(RunStage[Tensor]):
    """Two numbers to their sum."""

    name = "toy"
    best_metric = "error"

    def __init__(self, run: Run, splits: Splits, variant: str | None = None) -> None:
        super().__init__(run, splits, variant)
        self.toy: ToyConfig = getattr(run.config, self.name)
        self.architecture = {"width": self.toy.width}

    def make(self) -> nn.Module:
        width = self.toy.width
        return nn.Sequential(nn.Linear(2, width), nn.Dropout(0.1), nn.Linear(width, 1))

    def batches(self, number: int) -> Tensor:
        self.watch(number)
        return torch.randn(self.settings.batch_size, 2, generator=torch.Generator().manual_seed(number))

    def step(self, batch: Tensor) -> Losses:
        x = batch.to(self.device)  # [B, 2]
        error = self.model(x)[:, 0] - x.sum(-1)
        return Losses(error.square().mean(), {"largest": error.detach().abs().max()})

    def validate(self) -> dict[str, float]:
        return {"error": float(self.step(self.batches(10_000)).total)}
