"""`training.json`: what a training was, how it went and why it ended, for the report and for `motionlab runs`.

It is written at the start, at every validation and at the end, so that a run that was killed has one too; its `ended`
is then still "running".
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from motionlab.files import write_text
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
        earlier = read_summary(self.path).get("warnings", []) if counters.step else []
        self.values["warnings"] = [*earlier, *self.values["warnings"]]
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
        write_text(self.path, json.dumps(_finite({**self.values, **numbers, "ended": ended}), indent=1) + "\n")


def read_summary(path: Path) -> dict[str, Any]:
    """The summary in `path`, or nothing when there is none that can be read."""
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values


def _finite(value: Any) -> Any:
    """JSON has no nan: null replaces it."""
    if isinstance(value, Mapping):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
