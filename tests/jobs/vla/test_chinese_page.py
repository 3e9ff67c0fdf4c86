"""The report of the robot half, and that of a training, with MOTIONLAB_LANG=zh."""

from __future__ import annotations

import re

import pytest

from motionlab.jobs.page_language import spoken
from motionlab.jobs.run_folder import Run
from tests.chinese import HAN
from tests.jobs.test_page_language import left_in_english, texts_of


def test_both_pages_are_chinese(robot_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTIONLAB_LANG", "zh")
    words_of = {".": "闭环中的成功率", "vla": "最佳值（损失），第 ", "vla_pretrain": "训练损失，最后一行"}
    for place, words in words_of.items():
        english = (robot_run.folder / place / "report.html").read_text(encoding="utf-8")
        page = spoken(english)
        assert words in page and not HAN.search("".join(texts_of(english)))
        tasks = {text for text in left_in_english(page) if text.startswith("pick up the ")}
        assert {text for text in left_in_english(page) - tasks if not re.fullmatch(r"vla_ci(/\w+)?", text)} == set()
