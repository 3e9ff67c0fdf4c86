"""The glossary panel without a browser."""

from __future__ import annotations

import pytest

from motionlab.errors import InputError
from motionlab.teaching.glossary import all_terms, glossary
from motionlab.widgets.glossary_panel import GlossaryPanel, list_html


@pytest.fixture
def panel() -> GlossaryPanel:
    return GlossaryPanel()


def test_it_opens_with_all_terms(panel: GlossaryPanel) -> None:
    assert repr(panel) == "<GlossaryPanel: search, topic, language>"
    assert panel.summary().startswith(f"search=, topic=all topics, language=English -> {len(all_terms())} of ")
    assert panel._list.value.count("motionlab-term") == len(all_terms())
    assert panel._image not in panel.children and panel._list in panel.children


def test_a_search_in_both_languages(panel: GlossaryPanel) -> None:
    panel.preset("mask")
    assert "terms: masked modelling 掩码建模, attention mask 注意力掩码, " in panel.summary()
    panel.set(search="掩码", language="中文")
    assert "训练" not in panel._list.value or "MASK" in panel._list.value
    assert "每个词元只能看到自己和之前的词元" in panel._list.value
    panel.set(topic="robot", search="")
    assert {row[2] for row in panel.table().rows[1:]} <= {"14", "17"}
    panel.reset()
    assert panel.params == {"search": "", "topic": "all topics", "language": "English"}


def test_typing_searches_at_every_letter(panel: GlossaryPanel) -> None:
    assert panel.inputs["search"].continuous_update
    panel.inputs["search"].value = "sof"
    assert "softmax" in panel.summary()


def test_nothing_found_and_nothing_of_a_reader_becomes_html(panel: GlossaryPanel) -> None:
    panel.set(search="<img src=x>")
    assert "0 of" in panel.summary() and "No term matches" in panel._list.value
    assert "<img" not in panel._list.value + panel._text.value
    assert panel.table().rows == [["term", "中文", "lesson", "meaning"]]
    with pytest.raises(InputError):
        panel.set(topic="masks")


def test_a_term_links_to_its_lesson() -> None:
    shown = list_html(glossary("RoPE"))
    assert '<a href="05_rope.ipynb" target="_blank"' in shown and ">lesson 05</a>" in shown


def test_without_a_checkout_the_lesson_is_only_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("motionlab.teaching.exercise._classroom", list)
    shown = list_html(glossary("RoPE"))
    assert "lesson 05" in shown and "<a " not in shown
