"""Loggers for those who like a dashboard. `history.csv` and `history.jsonl` are always there; these are extras.

A logger is a `Hook` (`hooks.py`). Its package is imported only when it is used. W&B takes its key and
its project from its own environment variables (WANDB_API_KEY, WANDB_PROJECT) or from `wandb login`: a key in a YAML
file would end in the run's folder, in a report and in a repository.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from motionlab.errors import InputError, optional_module
from motionlab.training.checkpoints.state import Counters
from motionlab.training.reporting.hooks import Hook

# logger -> what its package, which has the same name, is needed for
PURPOSES = {"tensorboard": "write files for TensorBoard", "wandb": "log to Weights & Biases"}


def make_loggers(names: Sequence[str], folder: Path, title: str, config: Mapping[str, Any]) -> list[Hook]:
    """The loggers that the setting `loggers` names.

    Args:
        folder: of the training stage; TensorBoard's files go into its `tensorboard/`.
        title: what the run is called there.
        config: the resolved settings, shown next to the curves.

    Raises:
        MissingExtra: the package of a logger is not installed.
        InputError: an unknown name.
    """
    kinds = {"tensorboard": TensorBoard, "wandb": WeightsAndBiases}
    unknown = [name for name in names if name not in kinds]
    if unknown:
        raise InputError("loggers", found=repr(unknown[0]), expected=" or ".join(kinds), fix="Choose one of these.")
    return [kinds[name](folder, title, config) for name in names]


def check_loggers(names: Sequence[str]) -> None:
    """Find out before any work whether the loggers can be made.

    Raises:
        MissingExtra: the package of a logger is not installed.
    """
    for name in names:
        optional_module(name, extra=name, purpose=PURPOSES[name])


class TensorBoard(Hook):
    """Curves for TensorBoard: `tensorboard --logdir runs`."""

    def __init__(self, folder: Path, title: str, config: Mapping[str, Any]) -> None:
        optional_module("tensorboard", extra="tensorboard", purpose=PURPOSES["tensorboard"])
        self.folder, self.title, self.config = folder / "tensorboard", title, config
        self._writer: Any = None

    def started(self, counters: Counters, facts: Mapping[str, str]) -> None:
        writer = importlib.import_module("torch.utils.tensorboard").SummaryWriter
        # Steps beyond a checkpoint that a stopped run had already shown are hidden: they come again.
        self._writer = writer(self.folder, purge_step=counters.step + 1 if counters.step else None)
        self._writer.add_text("config", _table(flat(self.config)), counters.step)

    def logged(self, row: Mapping[str, float]) -> None:
        for name, value in row.items():
            if name != "step":
                self._writer.add_scalar(_grouped(name), value, int(row["step"]))

    def ended(self, counters: Counters, reason: str) -> None:
        if self._writer is not None:
            self._writer.close()


class WeightsAndBiases(Hook):
    """A run at Weights & Biases; offline with WANDB_MODE=offline."""

    def __init__(self, folder: Path, title: str, config: Mapping[str, Any]) -> None:
        self._wandb = optional_module("wandb", extra="wandb", purpose=PURPOSES["wandb"])
        self.folder, self.title, self.config = folder, title, config
        self._run: Any = None

    def started(self, counters: Counters, facts: Mapping[str, str]) -> None:
        settings = {**flat(self.config), **{f"facts.{name}": value for name, value in facts.items()}}
        self._run = self._wandb.init(name=self.title, dir=str(self.folder), config=settings, resume="allow")

    def logged(self, row: Mapping[str, float]) -> None:
        values = {_grouped(name): value for name, value in row.items() if name != "step" and math.isfinite(value)}
        self._run.log(values, step=int(row["step"]))

    def ended(self, counters: Counters, reason: str) -> None:
        if self._run is not None:
            self._run.finish(exit_code=0 if reason in ("done", "early") else 1)


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as one level of `key.sub` names.

    >>> flat({"name": "tiny", "llama": {"dim": 128}})
    {'name': 'tiny', 'llama.dim': 128}
    """
    result: dict[str, Any] = {}
    for key, value in values.items():
        result |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return result


def _grouped(name: str) -> str:
    """Dashboards group curves by the text before a slash."""
    return f"val/{name.removeprefix('val_')}" if name.startswith("val_") else f"train/{name}"


def _table(values: Mapping[str, Any]) -> str:
    return "| key | value |\n|---|---|\n" + "".join(f"| {key} | {value} |\n" for key, value in values.items())
