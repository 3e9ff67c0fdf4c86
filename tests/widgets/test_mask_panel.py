"""The mask panel without a browser."""

from __future__ import annotations

import pytest

from motionlab.errors import InputError
from motionlab.widgets.mask_panel import MaskPanel, read_flags


@pytest.fixture
def panel() -> MaskPanel:
    return MaskPanel()


def test_it_opens_with_the_mask_of_the_decoder(panel: MaskPanel) -> None:
    assert repr(panel).startswith("<MaskPanel: rule, text, motion")
    assert "m2 sees txt1 txt2 txt3 txt4 m1 m2 | real tokens read padding in 0 pairs" in panel.summary()
    assert bytes(panel._image.value).startswith(b"\x89PNG")


def test_every_preset_and_back(panel: MaskPanel) -> None:
    first = panel.summary()
    said = {}
    for name in panel.PRESETS:
        panel.preset(name)
        said[name] = panel.describe(panel.result)
    assert "real tokens read padding in 14 pairs" in said["gap read"] and "in 0 pairs" in said["gap hidden"]
    assert "st sees img1 img2 txt1 txt2 st |" in said["pi0"]
    assert "st sees img1 img2 txt1 txt2 st a1 a2 |" in said["pi0, raw flags"]
    panel.preset("MotionLlama")  # a preset puts back what the one before changed
    assert panel.summary() == first


def test_flags_are_edited(panel: MaskPanel) -> None:
    panel.preset("pi0")
    before = panel.result.allow.clone()
    panel.set(att="0 0 0 0 0 1 1 1")
    changed = (panel.result.allow != before).nonzero().tolist()
    assert changed == [[6, 7]]  # only: the first action no longer sees the second
    panel.set(pad="1 1 0 1 0 1 1 1")
    assert not panel.result.allow[:, 2].any() and not panel.result.allow[2].any()
    rows = panel.table().rows
    assert rows[0] == ["token", "pad", "att", "block", "position", "sees"] and len(rows) == 9
    assert rows[3][:2] == ["txt1", "0"] and rows[3][5] == "········"


def test_what_cannot_be_is_told_and_changes_nothing(panel: MaskPanel) -> None:
    picture = bytes(panel._image.value)
    for changes in ({"att": "0 1"}, {"pad": "1 2 1 1 1 1 1 1 1 1"}, {"query": 20}, {"tokens": " ".join("x" * 21)}):
        panel.set(**changes)
        assert 'role="alert"' in panel._text.value and bytes(panel._image.value) == picture
        panel.set(att="", pad="", tokens="", query=6)
    assert "motionlab-summary" in panel._text.value


def test_flags_as_people_write_them() -> None:
    assert read_flags("pad", "1,0;1 1", (1, 1, 1, 1)) == (1, 0, 1, 1)
    with pytest.raises(InputError, match="2 numbers, each 0 or 1"):
        read_flags("pad", "1 x", (1, 1))


def test_tokens_of_the_reader_are_not_translated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTIONLAB_LANG", "zh")
    panel = MaskPanel()
    panel.set(tokens="text step clip", pad="1 1 1", att="0 0 1", query=3)
    assert "能看到：" in panel.summary() and "步" not in panel.summary() and "text" in panel.told()
    assert [row[0] for row in panel.table().rows] == ["词元", "text", "step", "clip"]
