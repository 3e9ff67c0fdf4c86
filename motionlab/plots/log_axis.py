"""Logarithmic axes whose ticks are plain text: 0.2, 30, 10⁻⁵.

matplotlib writes such ticks as formulas. Parsing and setting them took more than half of the time of a figure with a
logarithmic axis, and a reader has to work 6 × 10⁻¹ out to see that it is 0.6.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from matplotlib.ticker import LogFormatter

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


class PlainLogFormatter(LogFormatter):
    """matplotlib chooses the ticks that get a number; here it is written."""

    def __init__(self, base: int) -> None:
        super().__init__(base)
        self.base = base

    def __call__(self, x: float, pos: int | None = None) -> str:
        return log_number(x, self.base) if super().__call__(x, pos) else ""


def log_scale(axes: Axes, letter: Literal["x", "y"], base: int = 10) -> None:
    """Make the x or the y axis logarithmic."""
    if letter == "x":
        axes.set_xscale("log", base=base)
    else:
        axes.set_yscale("log", base=base)
    axis = axes.xaxis if letter == "x" else axes.yaxis
    axis.set_major_formatter(PlainLogFormatter(base))
    axis.set_minor_formatter(PlainLogFormatter(base))


def log_number(value: float, base: float = 10) -> str:
    """A number on a logarithmic axis.

    >>> [log_number(value) for value in (0.002, 0.6, 40, 2e-5, 1e6)]
    ['0.002', '0.6', '40', '2×10⁻⁵', '10⁶']
    >>> log_number(1024, base=2)
    '2¹⁰'
    """
    if base == 10 and 1e-3 <= value * (1 + 1e-9) and value < 1e4:
        return f"{value:.4g}"
    power = math.floor(math.log(value, base) + 1e-9)
    rest = value / base**power
    times = "" if math.isclose(rest, 1, rel_tol=1e-6) else f"{rest:.3g}×"
    return f"{times}{base:g}{str(power).translate(_RAISED)}"
