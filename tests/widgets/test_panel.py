"""Panels without a browser: controls are traits, and what is computed is a pure function."""

from __future__ import annotations

import ast
import base64
import re
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import ipywidgets as W
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image

from motionlab.errors import InputError
from motionlab.teaching.expect import about
from motionlab.widgets.fitting import DENSITY, OUTER, ROW, WIDTH, room
from motionlab.widgets.panel import Panel, Table, grid_of
from motionlab.widgets.quantizer_panel import QuantizerPanel
from tests.notebooks.test_browser import PANELS


@pytest.fixture(scope="module")
def quantizers() -> QuantizerPanel:
    return QuantizerPanel()


class Counting(Panel):
    """A panel so small that one sees when it computes."""

    PRESETS = {"top": {"n": 9}}

    def make_controls(self) -> dict[str, Any]:
        self.calls = 0
        return {"n": W.IntSlider(3, 0, 9), "m": W.IntSlider(1, 0, 9)}

    def compute(self, n: int, m: int) -> int:  # type: ignore[override]  # not static here: it counts
        self.calls += 1
        if n == 5:
            raise InputError("n", found=5, expected="anything else", fix="Move <b>on</b>.")
        return n + m

    def picture(self, result: int) -> bytes:
        return bytes([result])

    def describe(self, result: int) -> str:
        return f"sum {result}"

    def rows(self, result: int) -> list[list[str]]:
        return [["sum"], [str(result)]]


def test_moving_a_control_computes_and_shows() -> None:
    panel = Counting()
    assert panel.calls == 1 and panel.summary() == "n=3, m=1 -> sum 4"
    panel.inputs["n"].value = 7  # what the browser does
    assert panel.calls == 2 and panel.result == 8
    assert "sum 8" in panel._text.value and bytes(panel._image.value) == bytes([8])


class Slow(Counting):
    """A panel whose compute and picture take as long as they are told."""

    computing, drawing = 0.0, 0.0

    def compute(self, n: int, m: int) -> int:  # type: ignore[override]
        time.sleep(self.computing)
        return super().compute(n, m)

    def picture(self, result: int) -> bytes:
        time.sleep(self.drawing)
        return super().picture(result)


def test_a_panel_that_computes_quickly_follows_a_drag_and_a_slow_one_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Slow, "drawing", 0.3)
    panel = Slow()
    assert panel.inputs["m"].continuous_update  # however long the drawing takes
    for seconds, live in ((0.2, False), (0.0, True)):
        monkeypatch.setattr(Slow, "computing", seconds)
        panel.set(m=panel.inputs["m"].value + 1)
        assert panel.inputs["m"].continuous_update is live


def test_imports_of_the_first_compute_do_not_make_a_panel_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Slow, "computing", 0.2)
    assert Slow().inputs["m"].continuous_update
    monkeypatch.setattr(Slow, "computing", 1.1)
    assert not Slow().inputs["m"].continuous_update


class Drawing(Counting):
    """A panel whose picture is a figure, with controls of every width."""

    def make_controls(self) -> dict[str, Any]:
        more = {"text": W.Text("a"), "way": W.ToggleButtons(options=["x", "y"]), "tick": W.Checkbox(True)}
        return super().make_controls() | more

    def compute(self, n: int, m: int, **_: Any) -> int:  # type: ignore[override]
        return n + m

    def picture(self, result: int) -> Figure:  # type: ignore[override]
        return Figure(figsize=(12.0, 3.0))


class Beside(Drawing):
    BESIDE = 300


@pytest.mark.parametrize("kind", [Drawing, Beside])
def test_a_picture_has_two_dots_for_each_pixel_and_fits(kind: type[Drawing]) -> None:
    panel = kind()
    shown = int(panel._image.layout.width.removesuffix("px"))
    assert Image.open(BytesIO(panel._image.value)).width == pytest.approx(DENSITY * shown, abs=2)
    assert shown <= (WIDTH if kind is Drawing else OUTER - Beside.BESIDE)
    saved = Image.open(BytesIO(base64.b64decode(panel.still()["image/png"])))
    assert saved.width == pytest.approx(shown, abs=1)  # one dot for each pixel in a saved notebook


def test_controls_that_need_a_row_get_one() -> None:
    controls = [W.Text("first"), *(W.IntSlider() for _ in range(3)), W.ToggleButtons(options=["x"]), W.Checkbox(True)]
    box, rows = grid_of(controls)
    first, grid, last = box.children
    assert (first, last) == (controls[0], controls[4]) and rows == 1 + 2 + 1
    assert list(grid.children) == [*controls[1:4], controls[5]]
    assert grid_of([W.IntSlider() for _ in range(7)])[1] == 3 and grid_of([W.IntSlider() for _ in range(4)], 1)[1] == 4


def test_more_rows_leave_less_room_for_the_picture() -> None:
    assert room(1) - room(3) == 2 * ROW and room(100) == room(200) > 0


def test_set_computes_once() -> None:
    panel = Counting()
    panel.set(n=1, m=2)
    assert panel.calls == 2 and panel.summary() == "n=1, m=2 -> sum 3"


def test_buttons_are_presets_and_reset() -> None:
    panel = Counting()
    top, reset = panel._buttons.children
    top.click()
    assert panel.params == {"n": 9, "m": 1}
    reset.click()
    assert panel.params == {"n": 3, "m": 1} and panel.result == 4


@pytest.mark.parametrize(
    ("params", "words"), [({"n": 12}, "0 to 9"), ({"k": 1}, "n, m"), ({"m": 2, "n": "x"}, "panel n")]
)
def test_a_refused_value_changes_nothing(params: dict[str, Any], words: str) -> None:
    panel = Counting()
    with pytest.raises(InputError, match=words):
        panel.set(**params)
    assert panel.summary() == "n=3, m=1 -> sum 4"


def test_an_error_is_shown_where_the_reader_looks() -> None:
    panel = Counting()
    panel.inputs["n"].value = 5
    assert 'role="alert"' in panel._text.value and "&lt;b&gt;" in panel._text.value
    panel.inputs["n"].value = 6
    assert "sum 7" in panel._text.value


def test_unknown_preset() -> None:
    with pytest.raises(InputError, match="top"):
        Counting().preset("bottom")


def test_repr_is_short_and_table_prints() -> None:
    panel = Counting()
    assert repr(panel) == "<Counting: n, m>"
    assert repr(panel.table()) == "sum\n4"
    assert Table([["a<"], ["1"]])._repr_html_().count("&lt;") == 1


def test_words_of_a_table_begin_at_the_left_and_numbers_end_at_the_right():
    rows = [("what", "share", "loss"), ("all of it", "93% (92% to 95%)", "≈0.1"), ("none", "", "≈-2e-05")]
    shown = Table(rows)._repr_html_()
    left = re.findall(r'<t[hd] style="text-align:left">(.*?)</t[hd]>', shown)
    assert left == ["what", "all of it", "none"]
    assert re.findall(r"<t[hd]>(.*?)</t[hd]>", shown) == ["share", "loss", "93% (92% to 95%)", "≈0.1", "", "≈-2e-05"]
    assert 'style="text-align:left">alone' in Table([["alone"]])._repr_html_()


def test_quantizer_panel_shows_collapse_and_rescue(quantizers: QuantizerPanel) -> None:
    quantizers.preset("collapse")
    collapsed = quantizers.result
    quantizers.preset("rescued")
    rescued = quantizers.result
    assert collapsed.vq_usage.used < 10 and rescued.vq_usage.used > 45
    assert collapsed.fsq_usage.used == rescued.fsq_usage.used  # FSQ has no such switch
    assert bytes(quantizers._image.value).startswith(b"\x89PNG")
    quantizers.reset()
    assert quantizers.summary().startswith("levels=5, spread=1.0, start=far away, rescue=False -> 25 codes each")


def test_quantizer_panel_table_agrees_with_its_text(quantizers: QuantizerPanel) -> None:
    quantizers.reset()
    rows = {row[0]: row for row in quantizers.table().rows}
    assert f"FSQ uses {rows['FSQ'][2]}," in quantizers.summary() and f"VQ uses {rows['VQ'][2]}," in quantizers.summary()
    assert int(rows["VQ"][2]) + int(rows["VQ"][3]) == int(rows["VQ"][1]) == 25


def test_compute_needs_no_widget() -> None:
    assert QuantizerPanel.compute(levels=3, spread=1.0, start="on the data", rescue=True).vq_usage.used == 9


@st.composite
def cells_twice(draw: st.DrawFn) -> tuple[str, str]:
    """A cell, and the same cell on another machine: other numbers after the same marks."""
    one = other = ""
    for piece in draw(
        st.lists(st.sampled_from(["≈", "⏱", " at 7 ", "词元", " to ", ", ", "."]), min_size=1, max_size=4)
    ):
        if piece == "≈":
            digits = draw(st.integers(1, 4))
            one, other = (text + about(draw(st.floats()), digits) for text in (one, other))
        elif piece == "⏱":
            one, other = (
                f"{text}⏱ {draw(st.floats(0, 9999)):.1f} {draw(st.sampled_from(['s', 'ms', 'min']))}"
                for text in (one, other)
            )
        else:
            one, other = one + piece, other + piece
    return one, other


@given(cells=st.lists(st.lists(cells_twice(), min_size=3, max_size=3), min_size=1, max_size=4))
def test_marked_numbers_do_not_move_a_table(sanitize: Callable[[str], str], cells: list[list[tuple[str, str]]]) -> None:
    here, there = (Table([["name", "loss", "词"], *([cell[i] for cell in row] for row in cells)]) for i in (0, 1))
    assert sanitize(repr(here)) == sanitize(repr(there))
    assert sanitize(here._repr_html_()) == sanitize(there._repr_html_())


def test_unmarked_numbers_still_count(sanitize: Callable[[str], str]) -> None:
    assert sanitize(repr(Table([["n"], ["7"], ["≈7"]]))) != sanitize(repr(Table([["n"], ["8"], ["≈7"]])))


def test_columns_start_below_each_other() -> None:
    lines = repr(
        Table([("名", "loss", "end"), ("a", "≈1.5 mm", "x"), ("词元", "≈-1.2e-05 mm, ⏱ 3.1 s", "x")])
    ).splitlines()
    assert lines[1] == "a     ≈        1.5 mm                x"
    assert lines[2] == "词元  ≈   -1.2e-05 mm, ⏱      3.1 s  x"


def test_the_browser_measures_every_panel(root: Path) -> None:
    panels, files = {"Panel"}, [*(root / "motionlab").rglob("*.py"), *(root / "notebooks" / "lessons").rglob("*.py")]
    classes = [
        (node.name, {base.id for base in node.bases if isinstance(base, ast.Name)})
        for file in files
        if "Panel" in (text := file.read_text(encoding="utf-8"))
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ClassDef)
    ]
    while more := {name for name, bases in classes if bases & panels} - panels:  # and the panels made of panels
        panels |= more
    assert {"DecoderTrainingPanel", "ReactionPanel", "PartsPanel"} <= panels
    # `ml.RopePanel()`, or a function that makes one: `reaction_panel()`
    measured = set(re.findall(r"\w+(?=\()", " ".join(PANELS)))
    made = {"".join(part.title() for part in name.split("_")) for name in measured if "_" in name}
    assert panels - {"Panel"} - measured - made == set()
