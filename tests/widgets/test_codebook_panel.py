"""The codebook panel without a browser. Dragging itself is tested in tests/notebooks/test_browser.py."""

from __future__ import annotations

from typing import Any

import pytest

from motionlab.errors import InputError
from motionlab.widgets.codebook_panel import CodebookCanvas, CodebookPanel


@pytest.fixture
def panel() -> CodebookPanel:
    return CodebookPanel()


def drag(panel: CodebookPanel, number: int, place: list[float]) -> None:
    """Act as the page does: send a new value of the whole plane."""
    canvas = panel.inputs["plane"]
    codes = [list(code) for code in canvas.value["codes"]]
    codes[number] = place
    canvas.value = {**canvas.value, "codes": codes}


def test_dragging_a_code_away_kills_it(panel: CodebookPanel) -> None:
    assert panel.summary().startswith("spread=1.2, shift=0.0, commitment=0.25 -> 12 of 12 codes used")
    drag(panel, 11, [3.5, -3.5])
    assert "11 of 12 codes used" in panel._text.value
    panel.step(50)
    assert panel.result.codes[11].tolist() == [3.5, -3.5]
    assert panel.table().rows[12][3] == "none: dead"
    panel.rescue()
    assert panel.result.usage.used == 12


def test_the_probe_gets_another_token_over_a_border(panel: CodebookPanel) -> None:
    panel.set(codes=[[-1, 0], [1, 0]], probe=[-0.1, 0.0], target=[0, 2])
    left = panel.result
    panel.set(probe=[-0.9, 0.3])
    assert panel.result.token == left.token == 0
    assert panel.result.decoder_pull.tolist() == left.decoder_pull.tolist() == [2.0, 4.0]
    panel.set(probe=[0.1, 0.0])
    assert panel.result.token == 1 and panel.result.decoder_pull.tolist() == [-2.0, 4.0]


def test_sliders_reach_the_page(panel: CodebookPanel) -> None:
    canvas: Any = panel.inputs["plane"]
    before = canvas.points
    panel.inputs["shift"].value = 1.0
    assert canvas.points[0][0] == pytest.approx(before[0][0] + 1.0, abs=2e-3) and len(canvas.points) == 160
    panel.set(commitment=0.5)
    assert canvas.beta == 0.5


def test_a_moving_encoder_leaves_codes_behind(panel: CodebookPanel) -> None:
    panel.preset("the encoder moved")
    panel.step(50)
    assert panel.result.usage.used <= 6
    panel.preset("start on the data")
    panel.step(50)
    assert panel.result.usage.used == 12


def test_the_controls_are_above_the_picture(panel: CodebookPanel) -> None:
    sliders, buttons, text, canvas = panel.children
    assert canvas is panel.inputs["plane"] and text is panel._text and len(buttons.children) == 7
    assert [*sliders.children[0].children] == [panel.inputs[name] for name in ("spread", "shift", "commitment")]


def test_buttons(panel: CodebookPanel) -> None:
    step, many, rescue, away, data, moved, reset = panel.children[1].children
    away.click()
    dead = panel.result.usage.dead
    before = panel.result.distance
    step.click()
    once = panel.result.distance
    many.click()
    assert panel.result.distance < once < before and dead > 0
    rescue.click()
    assert panel.result.usage.dead == 0
    reset.click()
    assert panel.summary() == CodebookPanel().summary()


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"codes": [[0, 0], [9, 0]]}, "-4 to 4"),
        ({"probe": [0]}, "two numbers"),
        ({"codes": [[0, 0]] * 65}, "at most 64"),
        ({"spread": 9.0, "target": [1, 1]}, "0.1 to 2.5"),
        ({"colour": 1}, "spread"),
    ],
)
def test_a_refused_value_changes_nothing(panel: CodebookPanel, params: dict[str, Any], words: str) -> None:
    before = panel.summary()
    with pytest.raises(InputError, match=words):
        panel.set(**params)
    assert panel.summary() == before


def test_repr_script_and_table(panel: CodebookPanel) -> None:
    assert repr(panel) == "<CodebookPanel: plane, spread, shift, commitment>"
    source = str(CodebookCanvas._esm)
    assert "export default" in source and "http" not in source
    rows = panel.table().rows
    assert [row[1] for row in rows[1:]] == [str(hits) for hits in panel.result.hits.tolist()]


def test_compute_needs_no_widget() -> None:
    places = {"codes": [[-1, 0], [1, 0]], "probe": [0.5, 0], "target": [0, 0]}
    assert CodebookPanel.compute(plane=places, spread=1.0, shift=0.0, commitment=0.25).token == 1
