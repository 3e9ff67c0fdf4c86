"""`training.json`: what a training was, how it went and why it ended, for the report and for `motionlab runs`.

It is written at the start, at every validation and at the end, so that a run that was killed has one too; its `ended`
is then still "running".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from motionlab.errors import InputError
from motionlab.files.records import read_record, write_record
from motionlab.training.checkpoints.state import Counters, versions
from motionlab.training.reporting.hooks import Hook

WARNINGS = 50  # as many are kept; the first ones say most


class Summary(Hook):
    """Keeps `training.json` up to date.

    Args:
        path: of the file. When the training is a resumed one, its warnings are kept.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.values: dict[str, Any] = {"warnings": []}

    def started(self, counters: Counters, facts: Mapping[str, str]) -> None:
        earlier = read_summary(self.path) if counters.step else None
        self.values["warnings"] = [*(earlier.warnings if earlier else []), *self.values["warnings"]]
        self.values |= {"facts": dict(facts), "versions": versions(), "resumed_at": counters.step}
        self._write(counters, "running")

    def validated(self, counters: Counters, metrics: Mapping[str, float], best: bool) -> None:
        self.values["validation"] = {name: float(value) for name, value in metrics.items()}
        if best:
            self.values["best_validation"] = self.values["validation"]
        self._write(counters, "running")

    def warned(self, text: str) -> None:
        if len(self.values["warnings"]) < WARNINGS:
            self.values["warnings"].append(text)

    def ended(self, counters: Counters, reason: str) -> None:
        self._write(counters, reason)

    def _write(self, counters: Counters, ended: str) -> None:
        kept = ("step", "items", "skipped", "seconds", "best", "best_step", "split")
        numbers = {name: getattr(counters, name) for name in kept}
        write_record(self.path, _finite({**self.values, **numbers, "ended": ended}))


@dataclass
class SummaryRecord:
    """The types of `training.json`."""

    step: int
    items: int
    skipped: int
    seconds: float
    split: dict[str, float]
    ended: str
    best: float | None = None
    best_step: int | None = None
    warnings: list[str] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    resumed_at: int = 0
    validation: dict[str, float | None] = field(default_factory=dict)
    best_validation: dict[str, float | None] = field(default_factory=dict)


def load_summary(path: Path) -> SummaryRecord:
    """The summary in `path`.

    Raises:
        InputError: there is none, or it is not as it was written.
    """
    fix = "Train first; a training that continues writes it anew."
    return read_record(path, SummaryRecord, expected="the summary of a training", fix=fix)


def read_summary(path: Path) -> SummaryRecord | None:
    """The same, or None when there is none that can be read: a training continues without it."""
    try:
        return load_summary(path)
    except InputError:
        return None


def _finite(value: Any) -> Any:
    """JSON has no nan: null replaces it."""
    if isinstance(value, Mapping):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
