"""The panel of lesson 11: the curves of a tokenizer's training, while it runs and afterwards."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import ipywidgets as W

from motionlab.plots.curves import with_words
from motionlab.plots.tokenizer_training import Curves, training_figure
from motionlab.views.tokenizer_training import X_AXES, read_curves
from motionlab.widgets.panel import Panel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHARE = 0.1  # of the time may go into drawing
SOONEST = 1.0  # seconds between two drawings
EMPTY = "No step of the training yet:\nthe curves appear here while it runs."


class TrainingPanel(Panel):
    """Curves of one training run, read from its `history.csv`.

    In a notebook, show it first; then pass its `watch` to the job, and it moves while the next cell trains:

        curves = TrainingPanel(run.tokenizer_folder("fsq"))
        curves
        train_tokenizer(run, corpus, watch=curves.watch)

    A run in a terminal can be looked at too: the button *read again* reads the file once more.

    Args:
        folder: of the tokenizer, where `history.csv` is or will be.
        codebook_size: draws how many codes could be seen at all, see `training_figure`.
    """

    PRESETS: ClassVar = {"read again": {}}

    def __init__(self, folder: str | Path, codebook_size: int | None = None) -> None:
        self.path = Path(folder) / "history.csv"
        self.codebook_size = codebook_size
        self._drawn_at, self._cost, self._seen = 0.0, 0.0, (0.0, 0)
        super().__init__()

    def watch(self, number: int = 0) -> None:
        """Draw again, if there is a new row and drawing does not take more than a tenth of the time.

        It has the form of the argument `watch` of `train_tokenizer`.
        """
        now = time.perf_counter()
        if now - self._drawn_at < max(SOONEST, self._cost / SHARE) or self._stamp() == self._seen:
            return
        self._seen = self._stamp()
        if read_curves(self.path).step == self.result.step:  # a file that was only begun
            return
        self._update()
        self._cost = time.perf_counter() - now

    def make_controls(self) -> dict[str, Any]:
        style = {"description_width": "110px"}
        return {
            "x": W.ToggleButtons(options=list(X_AXES), description="x axis", style=style),
            "smooth": W.IntSlider(1, 1, 20, description="smooth the loss", style=style),
        }

    def compute(self, **params: Any) -> Curves:  # type: ignore[override]  # not static: the panel knows the file
        return read_curves(self.path, **params)

    def picture(self, result: Any) -> Figure:
        figure = self.curves(result)
        return figure if result.step else with_words(figure, EMPTY)

    def curves(self, result: Any) -> Figure:
        """The figure of `picture`, before it says that it is empty."""
        return training_figure(result, self.codebook_size)

    def describe(self, result: Curves) -> str:
        if not result.step:
            return "no training yet"
        parts = [f"step {result.step}", f"loss ≈{result.loss[1][-1]:.3f}"]
        parts += [f"error {name} ≈{line[1][-1]:.0f} mm" for name, line in result.errors.items() if line[1]]
        if result.used[1]:
            parts.append(f"≈{result.used[1][-1]:.0f} % of the codes in use, perplexity ≈{result.perplexity[1][-1]:.0f}")
        return " | ".join(parts)

    def rows(self, result: Curves) -> Sequence[Sequence[str]]:
        errors = list(result.errors)
        lines = [(result.x_label, *(f"error {name} (mm)" for name in errors), "codes in use", "perplexity")]
        for i, x in enumerate(result.used[0]):
            values = [f"≈{result.errors[name][1][i]:.1f}" for name in errors]
            lines.append((f"{x:g}", *values, f"≈{result.used[1][i]:.1f} %", f"≈{result.perplexity[1][i]:.0f}"))
        return lines

    def summary(self) -> str:
        """One line: the parameters and what they give, after a last look at the file."""
        if self._stamp() != self._seen:
            self._update()
        return super().summary()

    def _update(self) -> None:
        self._seen = self._stamp()
        super()._update()
        self._drawn_at = time.perf_counter()

    def _stamp(self) -> tuple[float, int]:
        """Changes whenever the file does."""
        try:
            status = self.path.stat()
        except OSError:
            return 0.0, 0
        return status.st_mtime, status.st_size
