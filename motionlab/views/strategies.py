"""Training strategies compared: rows of trained decoders, grouped over their seeds, and the figures of these groups.

A row is anything that supports `row["strategy"]`, `row["seed"]` and the results of
`jobs/ablations/strategy_measure.py`. A line is the mean over the seeds, its band reaches from the lowest to the highest
seed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from motionlab.errors import InputError
from motionlab.plots.ablation import dress
from motionlab.plots.curves import _axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAMES = {
    "teacher_forcing": "teacher forcing",
    "keep_90": "random, keep 0.9",
    "keep_50": "random, keep 0.5",
    "keep_batch": "random, a rate a batch",
    "keep_sample": "random, a rate a clip",
    "scheduled_sampling": "scheduled sampling, keep 0.5",
    "masked": "masked modelling",
    "label_smoothing": "label smoothing 0.1",
}
COLOURS = {
    "teacher_forcing": "#1f6feb",
    "keep_90": "#f47067",
    "keep_50": "#d1622b",
    "keep_batch": "#e5a023",
    "keep_sample": "#9a6700",
    "scheduled_sampling": "#8250df",
    "masked": "#57606a",
    "label_smoothing": "#1a7f5a",
}
FIELDS = {
    "score_seen": "action score, seen",
    "score_unseen": "action score, unseen",
    "score_free_seen": "action score, seen, own length",
    "score_free_unseen": "action score, unseen, own length",
    "exact_free_seen": "exactly right, seen, own length",
    "exact_free_unseen": "exactly right, unseen, own length",
    "exact_seen": "exactly right, seen",
    "exact_unseen": "exactly right, unseen",
    "loss": "validation loss (nats a token)",
    "diversity": "distance over captions (mm)",
    "multimodality": "distance within a caption (mm)",
    "seconds_a_step": "seconds a step",
}


class Record(Protocol):
    """The value of any setting or result of a trained decoder by its name."""

    def __getitem__(self, name: str) -> Any: ...


def over_seeds(rows: Iterable[Record], field: str) -> dict[str, np.ndarray]:
    """strategy -> values of a field, `[seeds]` or `[seeds, places]`, in the order of NAMES; without those of None.

    Raises:
        InputError: no row has a value.
    """
    groups: dict[str, list[Any]] = {}
    for row in rows:
        if row[field] is not None:
            groups.setdefault(row["strategy"], []).append(row[field])
    if not groups:
        raise InputError("rows", found=f"none with {field}", expected="trained points", fix="Check the selection.")
    return {name: np.asarray(groups[name], dtype=float) for name in NAMES if name in groups}


def exposure_figure(rows: Sequence[Record], group: int = 4, *, title: str = "") -> Figure:
    """The exposure-bias curve: accuracy after 0, 1, 2 ... own codes, and its share of that at 0.

    Args:
        group: distances averaged on the right; a single one is noisy.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.0, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    accuracy = over_seeds(rows, "distance_accuracy")  # [seeds, distances]
    distances = next(iter(accuracy.values())).shape[1]
    _bands(left, accuracy, range(distances))
    starts = range(1, distances - group + 1, group)
    share = {
        name: np.stack([np.ones(len(v)), *(v[:, at : at + group].mean(1) / v[:, 0] for at in starts)], axis=1)
        for name, v in accuracy.items()
    }
    _bands(right, share, [0.0, *(at + (group - 1) / 2 for at in starts)], marker="o")
    dress(left, "own codes read just before", "share of true codes predicted")
    dress(right, f"own codes read just before (groups of {group})", "the same, as a share of that at 0")
    left.set_ylim(0)
    right.set_ylim(0)
    handles, names = left.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    figure.suptitle(title)
    return figure


def nats_figure(rows: Sequence[Record], *, title: str = "") -> Figure:
    """How improbable the true code is after 0, 1, 2 ... own codes, in nats: low is good."""
    figure, axes = _axes(title, "own codes read just before", "nats of the true code", size=(8.4, 4.0))
    nats = over_seeds(rows, "distance_nats")
    _bands(axes, nats, range(next(iter(nats.values())).shape[1]))
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def position_figure(rows: Sequence[Record], width: int = 8, *, title: str = "") -> Figure:
    """Accuracy by position: solid on true history, dashed when every code that is read is the model's own.

    Args:
        width: codes of a bin.
    """
    figure, axes = _axes(title, "position in the clip (codes)", "share of true codes predicted", size=(8.4, 4.0))
    clean, own = over_seeds(rows, "clean_accuracy"), over_seeds(rows, "own_accuracy")
    places = [width * (i + 0.5) for i in range(next(iter(clean.values())).shape[1])]
    _bands(axes, clean, places)
    _bands(axes, own, places, line="--", label=False)
    axes.plot([], [], "--", color="#57606a", label="dashed: own history")
    axes.set_ylim(0)
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def noise_figure(rows: Sequence[Record], shares: Sequence[float], *, title: str = "") -> Figure:
    """Validation loss when a share of the codes that are read is random."""
    figure, axes = _axes(title, "share of random codes in the history", "loss (nats a token)", size=(6.4, 3.8))
    _bands(axes, over_seeds(rows, "noisy_loss"), shares, marker="o")
    axes.legend(frameon=False, fontsize=8)
    return figure


def strategies_figure(
    rows: Sequence[Record], fields: Sequence[str], *, reference: Mapping[str, float] | None = None, title: str = ""
) -> Figure:
    """One panel per field: a dot per seed, a bar for the mean, one line per strategy.

    Args:
        reference: field -> a number that is drawn as a vertical line, such as the score of real motion.
    """
    from matplotlib.figure import Figure

    names = [name for name in NAMES if any(row["strategy"] == name for row in rows)][::-1]
    figure = Figure(figsize=(3.2 * len(fields) + 1.8, 1.2 + 0.3 * len(names)), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(fields), sharey=True))
    for axes, field in zip(panels, fields, strict=True):
        for name, values in over_seeds(rows, field).items():
            place = names.index(name)
            axes.plot([values.mean()] * 2, [place - 0.3, place + 0.3], color=COLOURS[name], linewidth=2)
            axes.scatter(values, [place] * len(values), s=18, color=COLOURS[name], alpha=0.75, linewidth=0)
        if reference and field in reference:
            axes.axvline(reference[field], color="#8c959f", linewidth=1, linestyle=":")
        dress(axes, FIELDS.get(field, field), "")
        axes.grid(visible=False, axis="y")
    panels[0].set_yticks(range(len(names)), [NAMES[name] for name in names])
    figure.suptitle(title)
    return figure


def _bands(
    axes: Axes,
    lines: Mapping[str, np.ndarray],
    places: Sequence[float],
    *,
    line: str = "-",
    marker: str | None = None,
    label: bool = True,
) -> None:
    """Mean over the seeds as a line, lowest to highest as a band. values: `[seeds, places]`."""
    for name, values in lines.items():
        colour, text = COLOURS[name], NAMES[name] if label else None
        axes.plot(list(places), values.mean(0), line, color=colour, linewidth=1.6, label=text, marker=marker)
        axes.fill_between(list(places), values.min(0), values.max(0), color=colour, alpha=0.13, linewidth=0)
