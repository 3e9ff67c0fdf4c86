"""A figure to explore holds the numbers of its matplotlib figure, and the picture of it."""

from __future__ import annotations

import base64
import gzip
import io
import json
import re
import sys
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from motionlab.errors import MissingExtra
from motionlab.plots.curves import line_figure, stacked_bars, usage_figure
from motionlab.plots.explorable import INCH, MIME, explore, figure_html, figures_script
from motionlab.plots.schedules import schedule_figure
from motionlab.views.schedules import compare_schedules


def test_lines_keep_numbers_names_colours_and_axes() -> None:
    figure = line_figure(
        {"a": ([1, 2, 4], [0.5, 0.25, 0.125]), "b": ([1, 4], [3.0, 1.0])}, x_label="n", y_label="mm", log_x=True
    )
    first, second = explore(figure).plotly.data
    assert (list(first.x), list(first.y), first.name) == ([1.0, 2.0, 4.0], [0.5, 0.25, 0.125], "a")
    assert second.name == "b" and first.line.color == figure.axes[0].lines[0].get_color()
    layout = explore(figure).plotly.layout
    assert layout.xaxis.type == "log" and layout.yaxis.type != "log"
    assert (layout.xaxis.title.text, layout.yaxis.title.text) == ("n", "mm") and first.showlegend
    assert layout.legend.y * layout.height < layout.height - 30  # below the buttons that appear with the mouse


def test_bars_keep_sizes_starts_and_names() -> None:
    figure = Figure()
    axes = figure.add_subplot()
    axes.barh(["encoder", "decoder"], [3.0, 5.0], left=[0.0, 1.0], label="weights")
    axes.invert_yaxis()
    (bars,) = explore(figure).plotly.data
    assert (list(bars.x), list(bars.base), bars.orientation) == ([3.0, 5.0], [0.0, 1.0], "h")
    assert list(bars.text) == ["encoder", "decoder"]
    layout = explore(figure).plotly.layout
    assert list(layout.yaxis.ticktext) == ["encoder", "decoder"] and layout.yaxis.range[0] > layout.yaxis.range[1]


def test_marks_of_the_page_are_no_data() -> None:
    figure = line_figure({"a": ([0, 1], [0, 1])}, x_label="x", y_label="y")
    figure.axes[0].axvline(0.5)
    figure.axes[0].plot([0, 1], [2, 2], "o")
    lines = explore(figure).plotly.data
    assert [line.mode for line in lines] == ["lines", "markers"] and not lines[1].showlegend


def test_several_axes_stand_side_by_side() -> None:
    figure = schedule_figure(*(compare_schedules(shape, steps=100, warmup_steps=10) for shape in ("cosine", "wsd")))
    layout = explore(figure).plotly.layout
    assert layout.xaxis.domain[1] <= layout.xaxis2.domain[0]
    assert {trace.xaxis for trace in explore(figure).plotly.data} == {"x", "x2"}


def test_a_shared_axis_without_labels_is_no_error() -> None:
    figure = Figure()
    first, _ = figure.subplots(2, 1, sharex=True)
    first.plot([0, 1], [0, 1])
    assert list(explore(figure).plotly.data[0].x) == [0.0, 1.0]


def test_a_saved_notebook_holds_both_forms() -> None:
    shown = explore(usage_figure({"FSQ": np.array([5, 3, 0]), "VQ": np.array([8, 0, 0])}, title="codes"))
    bundle = shown._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "image/png", MIME}
    assert bundle["text/plain"] == repr(shown) == "<figure to explore: 2 lines, 0 sets of bars>"
    picture = Image.open(io.BytesIO(base64.b64decode(bundle["image/png"])))
    width, _ = shown.figure.get_size_inches()
    assert picture.width == round(INCH * width) == bundle[MIME]["layout"]["width"]


def test_without_plotly_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "plotly.graph_objects", None)
    with pytest.raises(MissingExtra, match="notebooks"):
        explore(line_figure({"a": ([0, 1], [0, 1])}, x_label="x", y_label="y"))


def data_of(page: str) -> dict[str, Any]:
    """The data that a page holds for plotly."""
    found = re.search(r'<script type="application/json">(.*?)</script>', page, flags=re.DOTALL)
    assert found
    data: dict[str, Any] = json.loads(found[1])
    return data


def test_a_page_holds_the_picture_and_the_same_numbers() -> None:
    page = figure_html(line_figure({"</script><b>": ([1, 2], [1 / 3, float("nan")])}, x_label="n", y_label="mm"))
    assert page.count("</script>") == 1 and page.count("<svg") == 1
    (trace,) = data_of(page)["data"]
    assert (trace["x"], trace["y"], trace["name"]) == (
        [1.0, 2.0],
        [0.333333, None],
        "&lt;/script&gt;&lt;b&gt;",  # plotly would take it for tags
    )


def test_kinds_of_one_part_stand_end_to_end() -> None:
    figure = stacked_bars({"trained": {"head": 5}, "frozen": {"eyes": 9, "head": 1}}, title="x")
    first, second = data_of(figure_html(figure))["data"]
    assert (first["x"], first["base"], first["text"]) == ([5, 0], [0, 0], ["head", "eyes"])
    assert (second["x"], second["base"], second["name"]) == ([1, 9], [5, 0], "frozen")


def test_a_page_holds_plotly_once_and_packed() -> None:
    script = figures_script()
    found = re.match(r'<script type="text/plain" id="motionlab-plotly">([A-Za-z0-9+/=]+)</script>', script)
    assert found and b"Plotly" in gzip.decompress(base64.b64decode(found[1]))
    assert len(script) < 2_200_000 and script == figures_script()
    assert not re.search(r"https?:|fetch\(|\bimport\b", script[found.end() :])


def test_without_plotly_a_page_has_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    figure = line_figure({"a": ([0, 1], [0, 1])}, x_label="x", y_label="y")
    for name in ("plotly", "plotly.graph_objects", "plotly.offline"):
        monkeypatch.setitem(sys.modules, name, None)
    figures_script.cache_clear()
    assert figure_html(figure).startswith("<svg") and figures_script() == ""
    figures_script.cache_clear()


def test_words_are_shown_letter_by_letter() -> None:
    name = "<b>x</b> & $1"
    figure = line_figure({name: ([1, 2], [3, 4])}, x_label="a<br>b", y_label="mm")
    plotly = explore(figure).plotly
    assert plotly.data[0].name == "&lt;b&gt;x&lt;/b&gt; &amp; $1"
    assert plotly.layout.xaxis.title.text == "a&lt;br&gt;b"
