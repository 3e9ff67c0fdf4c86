"""Validation: the model measured as it will be used, the best one known, and the end when it gets no better."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping

import torch
from torch import nn

from motionlab.config import TrainConfig
from motionlab.errors import InputError
from motionlab.runtime import evaluating, seeded
from motionlab.training.checkpoints.state import Counters
from motionlab.training.ema import AveragedWeights
from motionlab.training.precision import Precision


class Validation:
    """The work done every `val_every` steps.

    Args:
        validate: metrics of the model, or None.
        averaged: the weights to validate with, when there are averages.
        metric: the one that decides which model is the best.
        higher: more is better.
        whole: context in which the model has all its weights, when several processes hold parts of them.
    """

    def __init__(
        self,
        model: nn.Module,
        validate: Callable[[], Mapping[str, float]] | None,
        precision: Precision,
        settings: TrainConfig,
        averaged: AveragedWeights | None,
        metric: str,
        higher: bool,
        whole: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext,
    ) -> None:
        self.model, self.validate, self.precision, self.averaged = model, validate, precision, averaged
        self.seed, self.patience, self.metric, self.higher = settings.seed, settings.patience, metric, higher
        self.whole = whole

    def __call__(self) -> Mapping[str, float]:
        """The metrics, in eval mode, with the same random numbers every time."""
        assert self.validate is not None
        weights = self.averaged.in_use() if self.averaged is not None else contextlib.nullcontext()
        with weights, self.whole(), evaluating(self.model), seeded(self.seed):
            with torch.inference_mode(), self.precision.autocast():
                return self.validate()

    def judge(self, counters: Counters, metrics: Mapping[str, float]) -> bool:
        """Whether these metrics beat the best so far, which they then become. nan beats nothing.

        Raises:
            InputError: the metric to go by is not among them.
        """
        if self.metric not in metrics:
            expected = ", ".join(metrics)
            fix = "Name a metric that validate returns."
            raise InputError("best_metric", found=repr(self.metric), expected=expected, fix=fix)
        value, best = float(metrics[self.metric]), counters.best
        better = math.isfinite(value) and (best is None or (value > best if self.higher else value < best))
        counters.since_best = 0 if better else counters.since_best + 1
        if better:
            counters.best, counters.best_step = value, counters.step
        return better

    def out_of_patience(self, counters: Counters) -> bool:
        """Whether as many validations as `patience` were no better."""
        return self.patience is not None and counters.since_best >= self.patience
