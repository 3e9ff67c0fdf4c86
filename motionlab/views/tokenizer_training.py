"""The curves of a tokenizer's training, out of the `history.csv` of a run, finished or not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from motionlab.errors import InputError
from motionlab.plots.curves import Line
from motionlab.plots.tokenizer_training import Curves
from motionlab.training.reporting.history import History

X_AXES = ("step", "minutes")
ERRORS = {"val_mpjpe_mm": "pelvis aligned", "val_mpjpe_heading_mm": "heading aligned too"}


def read_curves(path: str | Path, x: str = "step", smooth: int = 1) -> Curves:
    """The curves of a history file; one that is not there yet gives empty curves, because training may not have begun.

    Args:
        path: `history.csv` of a tokenizer.
        x, smooth: see `curves_of`.
    """
    return curves_of(History.read(path) if Path(path).is_file() else History(), x, smooth)


def curves_of(history: History, x: str = "step", smooth: int = 1) -> Curves:
    """The curves in the history of a tokenizer's training.

    Args:
        x: "step", or "minutes" of training (validation and saving are not counted).
        smooth: rows over which the loss is averaged; the errors are never smoothed.
    """
    if x not in X_AXES:
        raise InputError("x", found=repr(x), expected=" or ".join(X_AXES), fix="Choose one of these.")
    steps = history.column("step")
    places = dict(zip(steps, steps if x == "step" else _minutes(history), strict=True))

    def line(name: str, factor: float = 1.0) -> Line:
        if name not in history.columns:
            return [], []
        at, values = history.points(name)
        return [places[step] for step in at], [value * factor for value in values]

    tokens = line("val_tokens")[1]
    at, losses = line("loss")
    return Curves(
        x_label="optimizer step" if x == "step" else "minutes of training",
        step=int(steps[-1]) if steps else 0,
        loss=(at, _averaged(losses, smooth)),
        lr=line("lr"),
        errors={label: line(name) for name, label in ERRORS.items()},
        used=line("val_used_fraction", 100.0),
        perplexity=line("val_perplexity"),
        tokens=int(tokens[-1]) if tokens else 0,
    )


def _minutes(history: History) -> list[float]:
    return [seconds / 60 for seconds in history.column("seconds")]


def _averaged(values: Sequence[float], width: int) -> list[float]:
    """Mean of each value and the `width` - 1 before it; at the beginning, of those there are."""
    return [float(np.mean(values[max(0, i + 1 - width) : i + 1])) for i in range(len(values))]
