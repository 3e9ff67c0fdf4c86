"""The effect of a training strategy on a batch, token by token: what the model reads, and what it must predict.

A `Painted` batch in, a figure out: `views.strategy_view` applies the strategies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure


# The kinds of slots, in the order of the legend.
STATES = ("text", "kept", "replaced", "own", "MASK", "END", "PAD")
COLOURS = ("#d0d7de", "#b6d7ff", "#f7a072", "#c9a4f5", "#57606a", "#8ddb8c", "#ffffff")


@dataclass(frozen=True)
class Painted:
    """One batch under one strategy.

    Fields:
        true, read: int64 `[B, S]`: the batch, and what the model reads instead.
        states: int64 `[B, S]`, entries of STATES.
        predicted: int64 `[B, S]`: the token that each place must predict, negative where the loss counts none.
        end: the token END; the codes are below it.
        rates: the chance that a code is kept, one per row (for masked modelling: the share that is not masked).
    """

    true: Tensor
    read: Tensor
    states: Tensor
    predicted: Tensor
    end: int
    rates: list[float]

    def count(self, state: str) -> int:
        """How many slots are in a state."""
        return int((self.states == STATES.index(state)).sum())

    @property
    def n_codes(self) -> int:
        """Slots that hold a motion code."""
        return int((self.true < self.end).sum())

    @property
    def n_predicted(self) -> int:
        """Places that the loss counts."""
        return int((self.predicted >= 0).sum())


def painted_figure(view: Painted) -> Figure:
    """Two lines per clip: what the model reads, in colours, and below it what each place must predict.

    A framed code was drawn again and happens to be the true one.
    """
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch, Rectangle

    rows, slots = view.states.shape
    figure = Figure(figsize=(0.36 * slots + 1.4, 0.92 * rows + 0.9), layout="constrained")
    axes = figure.subplots()
    for row in range(rows):
        top = 2.5 * row
        axes.imshow(
            view.states[row : row + 1].numpy(), cmap=ListedColormap(COLOURS), vmin=0, vmax=len(STATES) - 1,
            extent=(-0.5, slots - 0.5, top + 1, top), aspect="auto",
        )  # fmt: skip
        for slot in range(slots):
            state = STATES[int(view.states[row, slot])]
            word = {"text": "T", "MASK": "?", "END": "E", "PAD": ""}.get(state, str(int(view.read[row, slot])))
            colour = "white" if state == "MASK" else "#24292f"
            axes.text(slot, top + 0.5, word, ha="center", va="center", fontsize=8, color=colour)
            if state in ("replaced", "own") and view.read[row, slot] == view.true[row, slot]:
                axes.add_patch(Rectangle((slot - 0.44, top + 0.07), 0.88, 0.86, fill=False, linewidth=1.1))
            goal = int(view.predicted[row, slot])
            if goal >= 0:
                name = "E" if goal == view.end else str(goal)
                axes.text(slot, top + 1.45, name, ha="center", va="center", fontsize=7.5, color="#0550ae")
        axes.text(-0.8, top + 0.5, f"keep {view.rates[row]:.2f}", ha="right", va="center", fontsize=8)
        axes.text(-0.8, top + 1.45, "predict", ha="right", va="center", fontsize=7.5, color="#0550ae")
    axes.set_xlim(-0.5, slots - 0.5)
    axes.set_ylim(2.5 * rows - 0.4, -0.1)
    axes.set_axis_off()
    handles = [
        Patch(facecolor=colour, edgecolor="#8c959f", label=name) for name, colour in zip(STATES, COLOURS, strict=True)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(STATES), frameon=False, fontsize=8)
    return figure
