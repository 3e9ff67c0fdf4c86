"""The words of the players in the language of the reader: each text of a script has a pair, which is in the page."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import numpy as np
import pytest

from motionlab.plots import player
from motionlab.plots.gif import moments_html
from motionlab.plots.player import Track, clip_data, player_html, player_page
from motionlab.plots.robot_player import robot_player_page
from tests.chinese import HAN, differences, faults, pairs, shape, texts

PLOTS = Path(player.__file__).parent
TRACKS = [Track("real", np.zeros((3, 22, 3)))]
FILM = [np.zeros((4, 8, 3), np.uint8)]


def said_by_scripts() -> set[str]:
    """What `say(...)` is called with; a long text is several, joined with a plus."""
    found = set()
    for file in PLOTS.glob("*player.js"):
        for call in re.finditer(r'say\(((?:"[^"]*"\s*\+?\s*)+)', file.read_text(encoding="utf-8")):
            found.add("".join(re.findall(r'"([^"]*)"', call[1])))
    return found


def said_by_python() -> set[str]:
    """What `tr(...)` is called with in the files next to the scripts."""
    found = set()
    for file in PLOTS.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "tr":
                found |= set(texts(node.args[0])) - {", "}
    return found


def test_every_word_has_a_pair_and_every_pair_a_word() -> None:
    assert {"Play", "control step"} <= said_by_scripts() and "motion" in said_by_python()
    words = {shape(text) for text in said_by_scripts() | said_by_python()}
    assert differences(words, PLOTS / "zh.yaml") == {"missing": [], "stale": []}
    assert faults(PLOTS / "zh.yaml") == []


@pytest.mark.parametrize("script", ["player.js", "robot_player.js"])
def test_a_script_says_nothing_past_the_pairs(script: str) -> None:
    """Whatever a reader sees or hears goes through `say`: texts of nodes, labels, titles."""
    source = re.sub(r"//.*", "", (PLOTS / script).read_text(encoding="utf-8"))
    shown = re.findall(r'(?:textContent = |"aria-label"[:,] |title: |fillText\()"([^"]*)"', source)
    shown = [re.sub(r"\\u\w{4}", "", text) for text in shown]  # a letter by its number
    assert [text for text in shown if re.search("[a-z]{2}", text)] == []


def test_english_pages_carry_no_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MOTIONLAB_LANG", raising=False)
    assert "words" not in clip_data(TRACKS) and '"words":{}' in robot_player_page(FILM)
    assert not HAN.search(player_page(TRACKS) + robot_player_page(FILM) + moments_html(TRACKS))


def test_chinese_pages_carry_every_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTIONLAB_LANG", "zh")
    assert clip_data(TRACKS)["words"] == dict(pairs(PLOTS / "zh.yaml"))
    assert json.dumps("播放") in player_html(TRACKS, script=False)
    assert json.dumps("第 {n} 步，共 {m} 步") in robot_player_page(FILM)
    for page, title in ((player_page(TRACKS), "动作"), (robot_player_page(FILM), "回合")):
        assert '<html lang="zh-CN">' in page and f"<title>{title}</title>" in page
    assert 'alt="几个瞬间：real"' in moments_html(TRACKS)
