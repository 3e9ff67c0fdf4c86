"""Pictures of action scores: which action is taken for which, and how often each one succeeds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from motionlab.plots.labels import plain
from motionlab.plots.player import PALETTE

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def confusion_figure(shares: Mapping[str, Mapping[str, float]], *, title: str = "") -> Figure:
    """Return the confusion matrix: a row for each true action, a column for each named one, shares of the row.

    >>> figure = confusion_figure({"walk": {"walk": 0.75, "run": 0.25}})
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['75', '25']
    """
    from matplotlib.figure import Figure

    rows = list(shares)
    columns = rows + sorted({name for row in shares.values() for name in row} - set(rows))
    values = np.array([[shares[row].get(column, 0.0) for column in columns] for row in rows])  # [rows, columns]
    figure = Figure(figsize=(2.4 + 0.42 * len(columns), 1.9 + 0.34 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(values, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(columns)), [plain(name) for name in columns], rotation=60, ha="right", fontsize=8)
    axes.set_yticks(range(len(rows)), [plain(name) for name in rows], fontsize=8)
    axes.set(xlabel="named", ylabel="true", title=plain(title))
    for (y, x), share in np.ndenumerate(values):
        if share >= 0.005:
            color = "white" if share > 0.6 else "black"
            axes.text(x, y, f"{100 * share:.0f}", ha="center", va="center", fontsize=7, color=color)
    return figure


def action_bars(shares: Mapping[str, Mapping[str, float]], *, title: str = "", x_label: str = "share") -> Figure:
    """Return bars by action, one colour for each kind of motion.

    Args:
        shares: kind -> action -> share from 0 to 1. An action that a kind lacks has no bar.

    >>> figure = action_bars({"real": {"walk": 1.0}, "generated": {"walk": 0.5, "kick": 0.25}})
    >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
    ['kick', 'walk']
    """
    from matplotlib.figure import Figure

    actions = sorted({name for some in shares.values() for name in some})
    figure = Figure(figsize=(6.0, 1.4 + 0.22 * len(actions) * max(len(shares), 1)), layout="constrained")
    axes = figure.add_subplot()
    height = 0.8 / max(len(shares), 1)
    for number, (kind, some) in enumerate(shares.items()):
        places = [at - 0.4 + height * (number + 0.5) for at, name in enumerate(actions) if name in some]
        values = [some[name] for name in actions if name in some]
        axes.barh(places, values, height, label=plain(kind), color=PALETTE[number % len(PALETTE)])
    axes.set_yticks(range(len(actions)), [plain(name) for name in actions])
    axes.set(xlim=(0, 1), xlabel=plain(x_label), title=plain(title))
    axes.invert_yaxis()
    if len(shares) > 1:
        figure.legend(loc="outside lower center", ncols=len(shares), frameon=False, fontsize=8)  # over no bar
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure
