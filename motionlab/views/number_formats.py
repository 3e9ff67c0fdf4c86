"""Floating-point formats: where the bits are, how far apart neighbours are, and which gradients fit, with figures.

A number is `(-1)^sign * 1.mantissa * 2^(exponent - bias)`; the lowest exponent is kept for numbers `0.mantissa`, the
subnormal ones (IEEE 754, section 3.4). Rounding here is to the nearest, ties to the even neighbour, in float64.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.plots.player import PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class NumberFormat:
    """A binary format with one sign bit.

    >>> fp16 = NumberFormat("fp16", exponent_bits=5, mantissa_bits=10)
    >>> fp16.largest, fp16.smallest == 2**-24
    (65504.0, True)
    """

    name: str
    exponent_bits: int
    mantissa_bits: int

    @property
    def bias(self) -> int:
        """The number subtracted from the stored exponent."""
        return int(2 ** (self.exponent_bits - 1)) - 1

    @property
    def largest(self) -> float:
        """The largest finite number."""
        return (2 - 2.0**-self.mantissa_bits) * 2.0**self.bias

    @property
    def smallest_normal(self) -> float:
        """Below it every halving costs one digit."""
        return 2.0 ** (1 - self.bias)

    @property
    def smallest(self) -> float:
        """The smallest number above 0. Numbers up to half of it become 0."""
        return self.smallest_normal * 2.0**-self.mantissa_bits

    def spacing(self, x: Tensor) -> Tensor:
        """Distance from `|x|` to the next larger number of the format, float64, same shape."""
        size = x.double().abs().clamp(self.smallest_normal, self.largest)
        return torch.exp2((size.log2().floor()).clamp(min=1 - self.bias) - self.mantissa_bits)

    def round(self, x: Tensor) -> Tensor:
        """The nearest number of the format, float64, same shape; beyond the largest it is inf.

        >>> FORMATS["bf16"].round(torch.tensor([1.001, 1001.0, 257.0])).tolist()
        [1.0, 1000.0, 256.0]
        """
        x = x.double()
        step = self.spacing(x)
        nearest = (x / step).round() * step  # torch rounds halves to even, as the hardware does
        return torch.where(nearest.abs() > self.largest, x.sign() * math.inf, nearest)

    def bits(self, value: float) -> str:
        """Sign, exponent and mantissa as zeros and ones, most significant first.

        >>> NumberFormat("fp16", 5, 10).bits(-1.5)
        '1011111000000000'
        """
        stored = float(self.round(torch.tensor(value)))
        if not math.isfinite(stored):
            raise InputError(
                "value", found=value, expected=f"at most {self.largest:g} in {self.name}", fix="Choose a smaller one."
            )
        size, step = abs(stored), float(self.spacing(torch.tensor(stored, dtype=torch.float64)))
        steps = round(size / step)  # mantissa with its leading digit, as a whole number
        normal = size >= self.smallest_normal
        exponent = int(math.log2(step)) + self.mantissa_bits + self.bias if normal else 0
        mantissa = steps - normal * 2**self.mantissa_bits
        sign = "1" if math.copysign(1, value) < 0 else "0"
        return f"{sign}{exponent:0{self.exponent_bits}b}{mantissa:0{self.mantissa_bits}b}"


FORMATS = {
    name: NumberFormat(name, exponent, mantissa)
    for name, exponent, mantissa in (("fp32", 8, 23), ("tf32", 8, 10), ("bf16", 8, 7), ("fp16", 5, 10))
}
_COLORS = {name: PALETTE[i % len(PALETTE)] for i, name in enumerate(FORMATS)}


def bits_figure(value: float, names: Sequence[str] = tuple(FORMATS)) -> Figure:
    """One row per format: its bits for this value, and the number that is really stored."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.4, 0.55 * len(names) + 0.7), layout="constrained")
    axes = figure.subplots()
    for row, name in enumerate(names):
        _draw_bits(axes, FORMATS[name], value, -row)
    for place, name in ((0.5, "sign"), (5, "exponent"), (16, "mantissa")):
        axes.text(place, 0.55, name, ha="center", fontsize=8, color="#57606a")
    widest = max(1 + FORMATS[name].exponent_bits + FORMATS[name].mantissa_bits for name in names)
    axes.set(xlim=(-3.2, widest + 9), ylim=(-len(names) + 0.4, 1.0), title=f"{value:g} in {len(names)} formats")
    axes.axis("off")
    return figure


def _draw_bits(axes: Axes, form: NumberFormat, value: float, y: float) -> None:
    from matplotlib.patches import Rectangle

    digits = form.bits(value)
    widths = {"#8c959f": 1, PALETTE[1]: form.exponent_bits, PALETTE[0]: form.mantissa_bits}  # sign, exponent, mantissa
    x = 0
    for color, width in widths.items():
        for _ in range(width):
            axes.add_patch(Rectangle((x + 0.05, y - 0.36), 0.9, 0.72, color=color, alpha=0.85, linewidth=0))
            axes.text(x + 0.5, y, digits[x], ha="center", va="center", color="white", fontsize=8)
            x += 1
    axes.text(-0.4, y, form.name, ha="right", va="center", fontsize=10)
    stored = float(form.round(torch.tensor(value, dtype=torch.float64)))
    axes.text(x + 0.5, y, f"= {stored:.9g}", ha="left", va="center", fontsize=9)


def spacing_figure(names: Sequence[str] = ("fp32", "tf32", "bf16", "fp16"), low: int = -46, high: int = 22) -> Figure:
    """Distance to the next number as a share of the number itself, over numbers from 2^low to 2^high.

    A flat line is a constant number of digits; where it rises the digits run out; where it ends so does the format.
    """
    from matplotlib.figure import Figure

    from motionlab.plots.log_axis import log_scale

    figure = Figure(figsize=(9.0, 3.6), layout="constrained")
    axes = figure.subplots()
    exponents = torch.arange(low, high + 0.01, 0.25, dtype=torch.float64)
    x = torch.exp2(exponents)
    for name in names:
        form = FORMATS[name]
        inside = (x <= form.largest) & (x >= form.smallest)
        share = torch.exp2(form.spacing(x).log2() - exponents.floor())  # at the lower end of each octave
        style = "--" if name == "tf32" else "-"
        axes.plot(x[inside], share[inside], style, color=_COLORS[name], linewidth=2, label=name)
        if form.largest < float(x[-1]):
            axes.plot([form.largest], [share[inside][-1]], "|", color=_COLORS[name], markersize=16)
    axes.axhline(1, color="#8c959f", linewidth=0.8, linestyle=":")
    log_scale(axes, "x", base=2)
    log_scale(axes, "y")
    axes.set(xlabel="size of the number", ylabel="distance to the next one / number")
    axes.set(title="how finely a format divides numbers of each size")
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def gradient_figure(gradients: Mapping[str, Tensor], form: NumberFormat = FORMATS["fp16"]) -> Figure:
    """How large gradients are (numbers that are not 0), against the range of a format.

    Args:
        gradients: name -> numbers of any shape, in float32 or wider.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 3.4), layout="constrained")
    axes = figure.subplots()
    for i, (name, numbers) in enumerate(gradients.items()):
        size = numbers.detach().double().abs().flatten()
        exponents = size[size > 0].log2()
        lost = float((size[size > 0] <= form.smallest / 2).double().mean())
        weights = torch.full_like(exponents, 100 / len(exponents))
        axes.hist(
            exponents.numpy(), bins=range(-60, 24), weights=weights.numpy(), alpha=0.6,
            color=PALETTE[i % len(PALETTE)], label=f"{name}: {100 * lost:.2g} % become 0",
        )  # fmt: skip
    lines = {"becomes 0": form.smallest / 2, "loses digits": form.smallest_normal, "inf": form.largest}
    top = axes.get_ylim()[1]
    for text, place in lines.items():
        axes.axvline(math.log2(place), color="#24292f", linewidth=1, linestyle="--")
        axes.text(math.log2(place), top * 1.03, text, ha="center", fontsize=8)
    axes.set_ylim(0, top * 1.12)
    axes.set(xlabel=f"log2 of |gradient|; dashed: the limits of {form.name}", ylabel="% of the numbers")
    axes.legend(frameon=False, fontsize=8, loc="upper left")
    axes.spines[["top", "right"]].set_visible(False)
    return figure
