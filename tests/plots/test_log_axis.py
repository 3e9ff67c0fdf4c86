"""Ticks of logarithmic axes: plain text, where matplotlib would put a formula, and no formula is parsed."""

import math

import pytest
from matplotlib.figure import Figure
from matplotlib.mathtext import MathTextParser

from motionlab.plots.curves import figure_to_png, line_figure, usage_figure
from motionlab.plots.log_axis import log_number, log_scale


@pytest.mark.parametrize("base", [2, 10])
@pytest.mark.parametrize("ends", [(1e-7, 1.0), (0.2, 6.0), (3.0, 5.0), (1.0, 1e6), (0.9e-3, 1.1e-3)])
def test_the_same_ticks_are_labelled_as_in_matplotlib(ends, base):
    found = []
    for plain in (True, False):
        figure = Figure()
        axes = figure.subplots()
        axes.plot([0, 1], ends)
        log_scale(axes, "y", base) if plain else axes.set_yscale("log", base=base)
        figure.draw_without_rendering()
        found.append(
            [(tick.get_loc(), tick.label1.get_text()) for tick in axes.yaxis.majorTicks + axes.yaxis.minorTicks]
        )
    ours, theirs = ({at for at, text in some if text} for some in found)
    assert ours == theirs and ours
    assert not any("$" in text for _, text in found[0])


@pytest.mark.parametrize("base", [2, 10])
def test_numbers_say_their_value(base):
    lower = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
    for power in range(-20, 21):
        for times in (1, 2, 5, 9):
            value = times * float(base) ** power
            text = log_number(value, base)
            front = text.rstrip("⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
            raised = text.removeprefix(front)
            parts = [float(part) for part in front.split("×")]
            read = parts[0] if not raised else math.prod([*parts[:-1], parts[-1] ** int(raised.translate(lower))])
            assert read == pytest.approx(value, rel=5e-3), text


def test_a_figure_with_logarithmic_axes_parses_no_formula(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a formula")

    monkeypatch.setattr(MathTextParser, "parse", refuse)
    axes = Figure().subplots()
    axes.set_yscale("log")
    with pytest.raises(AssertionError, match="a formula"):  # as matplotlib writes such an axis
        figure_to_png(axes.get_figure())  # type: ignore[arg-type]
    line = ([1, 2, 4, 1024], [1e-9, 0.3, 2.0, 4.0])
    figure_to_png(line_figure({"a": line}, x_label="x", y_label="y", log_x=True, log_y=True))
    figure_to_png(usage_figure({"a": [5, 3, 0, 1]}))
