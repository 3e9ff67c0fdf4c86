"""A figure to explore: values under the mouse, zoom, lines that a click on the legend hides. Made with plotly.

It is made *from* a matplotlib figure, so both forms show the same numbers, and a page without JavaScript keeps the
picture: a saved notebook holds both. Lines and bars come over, with their names, colours, titles and logarithmic axes.

A report is one HTML file that is sent around, so plotly.js has to be inside. It is 4.8 MB, and plotly's package has no
smaller one; packed with gzip it is 1.5 MB, which is 2 MB as text. Every browser since 2023 can unpack it.
"""

from __future__ import annotations

import base64
import gzip
import html
import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from motionlab.errors import MissingExtra
from motionlab.plots.curves import figure_to_png, figure_to_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.container import BarContainer
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

INCH = 100  # pixels of an inch, as matplotlib's own pictures in a notebook have
MODE_BAR = 36  # pixels at the top right that plotly's buttons take while the mouse is over the figure
MIME = "application/vnd.plotly.v1+json"
_DASHES = {"-": "solid", "--": "dash", ":": "dot", "-.": "dashdot"}
_GRID = "#e6e8eb"


class Explorable:
    """A figure in two forms: plotly's for a notebook, and a picture.

    Args:
        figure: of matplotlib.
        drawn: a picture of it was made before; its layout is known, a third of the work.

    Raises:
        MissingExtra: plotly is not installed.
    """

    def __init__(self, figure: Figure, *, drawn: bool = False) -> None:
        try:
            import plotly.graph_objects as go
        except ImportError:
            raise MissingExtra("plotly", extra="notebooks", purpose="explore figures") from None
        from matplotlib.container import BarContainer

        self.figure = figure
        if not drawn:
            figure.draw_without_rendering()  # a constrained layout knows its places only now
        traces, layout = [], _layout(figure)
        for number, axes in enumerate(figure.axes, start=1):
            key = "" if number == 1 else str(number)
            layout |= _axes(axes, key)
            where = {"xaxis": f"x{key}", "yaxis": f"y{key}"}
            shown = axes.get_legend() is not None
            traces += [_line(line, shown) | where for line in axes.lines if line.get_transform() == axes.transData]
            traces += [_bars(bars, axes, shown) | where for bars in axes.containers if isinstance(bars, BarContainer)]
        self.plotly: Any = go.Figure({"data": traces, "layout": layout})

    def __repr__(self) -> str:
        kinds = [trace.type for trace in self.plotly.data]
        return f"<figure to explore: {kinds.count('scatter')} lines, {kinds.count('bar')} sets of bars>"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        picture = base64.b64encode(figure_to_png(self.figure, dpi=INCH)).decode("ascii")
        return {"text/plain": repr(self), "image/png": picture, MIME: json.loads(self.plotly.to_json())}


def explore(figure: Figure) -> Explorable:
    """A figure of `ml.plots` with lines or bars, to hover over, zoom into, and switch lines of on and off.

    >>> from motionlab.plots.curves import line_figure
    >>> explore(line_figure({"FSQ": ([1, 2], [0.4, 0.2])}, x_label="step", y_label="loss"))
    <figure to explore: 1 lines, 0 sets of bars>
    """
    return Explorable(figure)


def figure_html(figure: Figure) -> str:
    """The picture of a figure as `<svg>`, and its data, from which `figures_script` makes a figure to explore.

    Where plotly is not installed it is the picture alone.

    Args:
        figure: with lines or bars, on one set of axes.
    """
    picture = figure_to_svg(figure)
    try:
        plotly = Explorable(figure, drawn=True).plotly.to_json()
        plotly = json.loads(plotly, parse_float=lambda text: float(f"{float(text):.6g}"))
    except MissingExtra:
        return picture
    layout = plotly["layout"]
    for letter in "xy":  # plotly measures its own words; those of matplotlib are as wide as the picture is
        layout[f"{letter}axis"] |= {"domain": [0, 1], "automargin": True}
    named = sum(trace["showlegend"] for trace in plotly["data"]) > 1
    layout["margin"] = {"l": 10, "r": 10, "t": 52 if named else 30, "b": 10}
    layout["legend"] |= {"orientation": "h", "x": 0.5, "y": 1, "xanchor": "center", "yanchor": "bottom"}
    for words in layout.get("annotations", []):  # the title, above the legend
        words |= {"x": 0.5, "y": 1, "yshift": 24 if named else 2}
    data = json.dumps({name: plotly[name] for name in ("data", "layout")}, separators=(",", ":"), allow_nan=False)
    data = data.replace("<", "\\u003c")  # a name may hold "</script>"
    return f'<div class="motionlab-figure">{picture}<script type="application/json">{data}</script></div>'


@cache
def figures_script() -> str:
    """The script of a page, after its figures, so that they can be explored; empty where plotly is not installed."""
    try:
        from plotly.offline import get_plotlyjs
    except ImportError:
        return ""
    packed = base64.b64encode(gzip.compress(get_plotlyjs().encode("utf-8"), mtime=0)).decode("ascii")
    source = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")
    return f'<script type="text/plain" id="motionlab-plotly">{packed}</script><script>{source}</script>'


def _layout(figure: Figure) -> dict[str, Any]:
    width, height = figure.get_size_inches()
    below = {"y": round(1 - MODE_BAR / (INCH * height), 3), "yanchor": "top"}  # its first line could not be clicked
    layout: dict[str, Any] = {
        "template": {},  # plotly's own look is seven kilobytes in each saved figure
        "width": round(INCH * width), "height": round(INCH * height), "margin": {"l": 0, "r": 0, "t": 0, "b": 0},
        "paper_bgcolor": "white", "plot_bgcolor": "white", "font": {"size": 12}, "barmode": "overlay",
        "hovermode": "closest", "annotations": [], "legend": {"bgcolor": "rgba(255, 255, 255, 0.7)"} | below,
    }  # fmt: skip
    if title := figure.get_suptitle():
        layout["annotations"].append(_words(title, 0.5, 1.0))
    for axes in figure.axes:
        if title := axes.get_title():
            place = axes.get_position()
            layout["annotations"].append(_words(title, (place.x0 + place.x1) / 2, place.y1))
    return layout


def _words(text: str, x: float, y: float) -> dict[str, Any]:
    return {"text": _literal(text), "x": x, "y": y, "xref": "paper", "yref": "paper", "xanchor": "center",
            "yanchor": "bottom", "showarrow": False}  # fmt: skip


def _literal(text: str) -> str:
    """A text of matplotlib as plotly shows it letter by letter: it takes "<b>" for a tag, and needs no `\\$`."""
    return html.escape(text.replace(r"\$", "$"), quote=False)


def _axes(axes: Axes, key: str) -> dict[str, Any]:
    """Both axes of one set, where matplotlib has placed them."""
    place, settings = axes.get_position(), {}
    for letter, ends, axis in (("x", (place.x0, place.x1), axes.xaxis), ("y", (place.y0, place.y1), axes.yaxis)):
        log = axis.get_scale() == "log"
        low, high = axis.get_view_interval()
        if axis.get_inverted():
            low, high = max(low, high), min(low, high)
        settings[f"{letter}axis{key}"] = {
            "domain": [max(ends[0], 0.0), min(ends[1], 1.0)], "title": {"text": _literal(axis.get_label_text())},
            "type": "log" if log else None, "range": None if log else [float(low), float(high)], "gridcolor": _GRID,
            "anchor": f"{'y' if letter == 'x' else 'x'}{key}", "zeroline": False, "linecolor": "black",
        }  # fmt: skip
        if (labels := _labels(axis)) and not log:
            settings[f"{letter}axis{key}"] |= {
                "tickvals": [at for at, _ in labels],
                "ticktext": [_literal(text) for _, text in labels],
            }
    return settings


def _numbers(values: Any) -> list[float]:
    return [float(value) for value in np.asarray(values, dtype=np.float64)]


def _named(name: str, shown: bool) -> dict[str, Any]:
    hidden = not name or name.startswith("_")  # matplotlib's names for what has none
    return {"name": "" if hidden else _literal(name), "showlegend": shown and not hidden}


def _line(line: Line2D, shown: bool) -> dict[str, Any]:
    from matplotlib.colors import to_hex

    color, marker = to_hex(line.get_color()), line.get_marker() not in ("None", "none", "", None, " ")
    dash = _DASHES.get(str(line.get_linestyle()))  # None: points only
    mode = "+".join(kind for kind, there in (("lines", dash), ("markers", marker)) if there) or "lines"
    return {
        "type": "scatter", "x": _numbers(line.get_xdata()), "y": _numbers(line.get_ydata()),
        "mode": mode, "line": {"color": color, "width": float(line.get_linewidth()), "dash": dash or "solid"},
        **_named(str(line.get_label()), shown),
    }  # fmt: skip


def _bars(bars: BarContainer, axes: Axes, shown: bool) -> dict[str, Any]:
    from matplotlib.colors import to_hex

    level = bars.orientation == "horizontal"
    sizes = [patch.get_width() if level else patch.get_height() for patch in bars.patches]
    starts = [patch.get_x() if level else patch.get_y() for patch in bars.patches]
    middles = [
        patch.get_y() + patch.get_height() / 2 if level else patch.get_x() + patch.get_width() / 2
        for patch in bars.patches
    ]
    thick = [patch.get_height() if level else patch.get_width() for patch in bars.patches]
    names = dict(_labels(axes.yaxis if level else axes.xaxis))
    along, across = ("x", "y") if level else ("y", "x")
    colors = [to_hex(patch.get_facecolor()) for patch in bars.patches]
    return {
        "type": "bar", along: [float(size) for size in sizes], across: [float(middle) for middle in middles],
        "base": [float(start) for start in starts], "width": [float(size) for size in thick],
        "orientation": "h" if level else "v", "marker": {"color": colors},
        "text": [_literal(names.get(round(middle, 6), "")) for middle in middles], "textposition": "none",
        "hovertemplate": "%{text} %{" + along + "}<extra></extra>", **_named(str(bars.get_label()), shown),
    }  # fmt: skip


def _labels(axis: Axis) -> list[tuple[float, str]]:
    """Places and texts of the ticks: those of matplotlib, so that names and units come over."""
    low, high = sorted(axis.get_view_interval())
    ticks = zip(axis.get_ticklocs(), axis.get_ticklabels(), strict=False)  # an axis in the middle may show none
    return [(round(float(place), 6), label.get_text()) for place, label in ticks if low <= place <= high]
