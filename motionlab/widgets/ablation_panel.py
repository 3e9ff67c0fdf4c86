"""The panel of lesson 03's ablation: choose what to draw, and train one more point while you read on."""

from __future__ import annotations

import html
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import ipywidgets as W

from motionlab.errors import InputError
from motionlab.jobs.ablations.results import Row, load_rows
from motionlab.jobs.ablations.tokenizer import run_point
from motionlab.jobs.ablations.tokenizer_point import ALWAYS_NAMED, Point, Result, canonical
from motionlab.jobs.workers import worker_pool
from motionlab.plots.ablation import LABELS, kinds_figure, rate_distortion_figure, spread_figure
from motionlab.runtime import profile
from motionlab.views.ablation import SIZE, AblationView, Spread, compute_ablation
from motionlab.widgets.panel import Panel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RESULTS = ("mpjpe_heading_mm", "mpjpe_mm", "acceleration_mm", "used_fraction", "perplexity", "entropy_bits_per_frame")
PLACES = ("codebook_size", "bits_per_frame", "entropy_bits_per_frame", "quantizer")
MAIN = ("fsq", "ifsq", "vq_ema", "vq_ema_no_reset")
STEPS = {"ci": 40, "cpu": 300, "gpu": 300}


class AblationPanel(Panel):
    """Results of the committed ablation, and a button that adds a point.

    Args:
        path: a result file of `motionlab ablate tokenizer`.
        corpus: changes of the corpus for the points trained here, for a quick trial.

    The button calls `run_point` with the values of its four controls. Training runs in its own process, so the cells
    below can be run meanwhile; the star appears when it is done. `wait()` waits for it.
    """

    children: Any  # a trait of VBox

    PRESETS: ClassVar = {
        "error": {"x": "codebook_size", "y": "mpjpe_heading_mm"},
        "usage": {"x": "codebook_size", "y": "used_fraction"},
        "rate and distortion": {"x": "entropy_bits_per_frame", "y": "mpjpe_heading_mm"},
        "all at 1024": {"x": "quantizer", "y": "mpjpe_heading_mm"},
    }

    MORE_ROWS: ClassVar = 3  # the list of lines is as high as two more, and a row for a training of one's own

    def __init__(self, path: str | Path, corpus: Mapping[str, Any] | None = None) -> None:
        # Only what differs in nothing but quantizer, size and seed: other rows belong to other questions.
        self.rows_of_file = [row for row in load_rows(path) if set(row.point) == set(ALWAYS_NAMED)]
        if not self.rows_of_file:
            raise InputError(path, found="no rows", expected="some points", fix="Run: motionlab ablate tokenizer.")
        self.live: list[Row] = []
        self.running: list[tuple[Future[Result], threading.Event]] = []  # what is trained, and whether it is drawn
        self._corpus = dict(corpus or {})
        self._lock = threading.Lock()
        super().__init__()
        self.children = (*self.children[:-1], self._make_run_row(), self.children[-1])

    def make_controls(self) -> dict[str, Any]:
        style = {"description_width": "60px"}
        kinds = tuple(dict.fromkeys(row["quantizer"] for row in self.rows_of_file))
        return {
            "x": W.Dropdown(options=[(LABELS[name], name) for name in PLACES], description="across", style=style),
            "y": W.Dropdown(options=[(LABELS[name], name) for name in RESULTS], description="up", style=style),
            "kinds": W.SelectMultiple(
                options=kinds,
                value=tuple(kind for kind in MAIN if kind in kinds) or kinds,
                description="lines",
                rows=min(len(kinds), 4),
                style=style,
            ),
        }

    # Not static, as it is in other panels: the rows grow when a point is trained.
    def compute(self, **params: Any) -> AblationView:  # type: ignore[override]
        return compute_ablation(self.rows_of_file, self.live, **params)

    def picture(self, result: AblationView) -> Figure:
        if result.x == "quantizer":
            return kinds_figure(result.rows, result.y, live=result.live)
        if result.x.endswith("bits_per_frame"):
            return rate_distortion_figure(result.rows, rate=result.x, distortion=result.y, live=result.live)
        return spread_figure(result.rows, result.x, result.y, live=result.live)

    def describe(self, result: AblationView) -> str:
        means = result.means
        (low, low_size), (high, high_size) = min(means, key=means.__getitem__), max(means, key=means.__getitem__)
        ends = (
            f"lowest ≈{_number(means[low, low_size])} ({low} {low_size}), "
            f"highest ≈{_number(means[high, high_size])} ({high} {high_size})"
        )
        here = [f"here: {_title(row.point)} ≈{_number(row[result.y])}" for row in result.live]
        return " | ".join([f"{LABELS[result.y]}, {len(means)} means over {result.seeds} seeds", ends, *here])

    def rows(self, result: AblationView) -> Sequence[Sequence[str]]:
        sizes = sorted({size for at in result.spreads.values() for size in at})
        lines: list[Sequence[str]] = [("quantizer", *(f"{size:,}" for size in sizes))]
        for name, at in result.spreads.items():
            lines.append((name, *(_cell(at.get(size)) for size in sizes)))
        return lines

    # ---- training a point ----
    def run_point(self, **point: Any) -> Future[Result]:
        """Start training a point in the background; its star is drawn when it is done.

        Args:
            point: settings, as in the grid of `motionlab ablate tokenizer`; what is not named has its usual value.

        Raises:
            InputError: a wrong setting.
        """
        named = canonical({"steps": STEPS[profile()], **point})
        pool = worker_pool(1)
        future = pool.submit(run_point, named, self._corpus)
        pool.shutdown(wait=False)  # its process ends after this point
        drawn = threading.Event()
        self.running.append((future, drawn))
        self._say(f"training {_title(named)} ...")
        future.add_done_callback(lambda done: self._finished(named, done, drawn))
        return future

    def wait(self, timeout: float | None = None) -> None:
        """Wait until every point that was started is done and drawn.

        Raises:
            InputError: a point could not be trained.
            TimeoutError: it takes longer than `timeout` seconds.
        """
        started, self.running = self.running, []
        for _, drawn in started:
            drawn.wait(timeout)
        for future, _ in started:
            future.result(timeout=0)

    def _finished(self, point: Point, future: Future[Result], drawn: threading.Event) -> None:
        """Runs in a thread of the pool, so an exception would be lost: it becomes the text next to the button."""
        with self._lock:
            try:
                self.live.append(Row(point, future.result()))
                self._say(f"{_title(point)}: done after {self.live[-1]['seconds']:.0f} s")
                self._update()
            except Exception as error:  # whatever it is, the reader has to see it
                self._say(f"{_title(point)}: {error}", alert=True)
            finally:
                drawn.set()

    def _make_run_row(self) -> Any:
        kinds = tuple(dict.fromkeys(row["quantizer"] for row in self.rows_of_file))
        sizes = sorted({row["codebook_size"] for row in self.rows_of_file})
        narrow = W.Layout(width="150px")
        self.run_controls = {
            "quantizer": W.Dropdown(options=kinds, layout=narrow),
            "codebook_size": W.Dropdown(options=sizes, value=SIZE if SIZE in sizes else sizes[0], layout=narrow),
            "seed": W.BoundedIntText(0, 0, 10**6, description=self.said("seed"), layout=narrow),
            "steps": W.BoundedIntText(STEPS[profile()], 40, 10**6, description=self.said("steps"), layout=narrow),
        }
        self.run_button = W.Button(description=self.said("Run"), button_style="primary", layout=W.Layout(width="auto"))
        self.run_button.on_click(lambda _: self._clicked())
        self.run_text = W.HTML()
        return W.VBox([W.HBox([*self.run_controls.values(), self.run_button]), self.run_text])

    def _clicked(self) -> None:
        try:
            self.run_point(**{name: control.value for name, control in self.run_controls.items()})
        except InputError as error:
            self._say(str(error), alert=True)

    def _say(self, text: str, alert: bool = False) -> None:
        role = ' role="alert"' if alert else ""
        self.run_text.value = f'<p class="motionlab-run"{role}>{html.escape(self.said(text))}</p>'


def _cell(spread: Spread | None) -> str:
    """Mean, lowest and highest seed."""
    if spread is None:
        return ""
    return f"{_number(spread.mean)} ({_number(spread.low)} to {_number(spread.high)})"


def _number(value: float) -> str:
    """Three digits or more, and never an exponent: 0.846, 4.98, 68.9, 387, 2,709."""
    return f"{value:,.{3 if value < 1 else 2 if value < 10 else 1 if value < 100 else 0}f}"


def _title(point: Mapping[str, Any]) -> str:
    return " ".join(str(value) if key == "quantizer" else f"{key}={value}" for key, value in point.items())
