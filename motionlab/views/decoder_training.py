"""The curves of a decoder's training, out of the `history.csv` of a run, finished or not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from motionlab.training.reporting.history import History

CURVES = ("loss", "held-out loss", "accuracy", "held-out accuracy")


@dataclass(frozen=True)
class DecoderCurves:
    """`lines`: loss, held-out loss, accuracy, held-out accuracy; each (steps, values)."""

    step: int
    lines: tuple[tuple[list[float], list[float]], ...]


def read_decoder_curves(path: str | Path, smooth: int = 1) -> DecoderCurves:
    """The curves of a decoder's `history.csv`; empty when it is not there yet."""
    return decoder_curves(History.read(path) if Path(path).is_file() else History(), smooth)


def decoder_curves(history: History, smooth: int = 1) -> DecoderCurves:
    """The curves in the history of a decoder's training; `smooth` rows of the training loss are averaged."""

    def line(name: str, width: int = 1) -> tuple[list[float], list[float]]:
        if name not in history.columns:
            return [], []
        at, values = history.points(name)
        return list(at), [sum(part := values[max(0, i + 1 - width) : i + 1]) / len(part) for i in range(len(values))]

    steps = history.column("step")
    lines = (line("loss", smooth), line("val_loss"), line("accuracy", smooth), line("val_accuracy"))
    return DecoderCurves(int(steps[-1]) if steps else 0, lines)
