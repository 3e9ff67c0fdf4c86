"""A sentence becomes moving figures: the panel of the first page, on the run that comes with the package."""

from __future__ import annotations

from io import BytesIO
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from motionlab.errors import InputError
from motionlab.jobs.generate import generate_motions
from motionlab.jobs.pretrained import pretrained_run
from motionlab.views.sentence import MOST, SentenceView, compute_sentence, known_sentences
from motionlab.widgets.motion_panel import MOMENTS, MotionPanel


@pytest.fixture(scope="module")
def panel() -> MotionPanel:
    return MotionPanel(pretrained_run(), "a person kicks")


def test_it_shows_what_generate_writes(panel: MotionPanel) -> None:
    panel.reset()
    (shown,) = panel.result.motions
    (alone,), _ = generate_motions(panel.run, ["a person kicks"], panel.run.config.sampling)
    assert shown.generated.tokens.tolist() == alone.generated.tokens.tolist()
    assert panel.player is not None and panel.player.playing
    assert panel.player.clip["caption"] == "a person kicks" and len(panel.player.clip["tracks"]) == 1
    assert (
        panel.player.clip["tracks"][0]["label"].startswith("1: ") and "kick" in panel.player.clip["tracks"][0]["label"]
    )
    assert panel.rows(panel.result)[1][0] == "1"


def test_several_motions_of_one_sentence_are_drawn_anew_and_again_the_same(panel: MotionPanel) -> None:
    panel.reset()
    assert panel.describe(panel.result) == "1 of 'a person kicks' | length: its own choice"
    first = panel.result.motions[0].generated.tokens.tolist()
    panel.preset("three of them")
    tokens = [one.generated.tokens.tolist() for one in panel.result.motions]
    assert tokens[0] == first and len({tuple(some) for some in tokens}) == 3
    assert panel.player is not None and len(panel.player.clip["tracks"]) == 3 and panel.player.frame == 0
    with Image.open(BytesIO(panel.picture(panel.result))) as picture:
        assert picture.size == (110 * MOMENTS, 110 * 3)
    panel.set(seed=1)
    assert panel.result.motions[0].generated.tokens.tolist() not in tokens


def test_a_length_and_a_sentence_outside_the_captions(panel: MotionPanel) -> None:
    panel.set(sentence="a person reads the newspaper", motions=1, seconds=2.0, seed=0)
    assert len(panel.result.motions[0].motion) == 60
    said = panel.describe(panel.result)
    assert "| length: as asked |" in said and "no training caption is like 'reads the newspaper'" in said
    panel.set(sentence="  ")  # refused, and said where the reader looks
    assert 'role="alert"' in panel._text.value and panel.result.sentence == "a person reads the newspaper"
    panel.reset()
    assert "alert" not in panel._text.value


def test_a_motion_that_was_cut_is_counted(panel: MotionPanel) -> None:
    made: Any = SimpleNamespace(generated=SimpleNamespace(stopped_by="limit"))
    view = SentenceView("a person kicks", (made, made), judged=False, outside="")
    assert panel.describe(view) == "2 of 'a person kicks' | length: its own choice | cut at the limit: 2"


def test_what_can_be_chosen_is_known(panel: MotionPanel) -> None:
    sentences = known_sentences(panel.run)
    assert list(panel.inputs["sentence"].options) == sentences and len(sentences) == 16
    assert all(text.startswith("a person ") for text in sentences)
    assert compute_sentence(panel.run, sentences[0]).outside == ""


def test_limits(panel: MotionPanel) -> None:
    assert panel.inputs["motions"].max == MOST
    with pytest.raises(InputError, match="seconds: found 1000, expected above 0, at most 10"):
        compute_sentence(panel.run, "a person walks", seconds=1000)
    with pytest.raises(InputError, match="panel seconds"):
        panel.set(seconds=11.0)


def test_the_sentence_of_a_reader_is_not_translated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTIONLAB_LANG", "zh")
    panel = MotionPanel.__new__(MotionPanel)  # no run is needed to tell of a view
    view = SentenceView("a | clip | b", (), judged=False, outside="")
    assert panel.told(view) == "0 段动作，来自 'a | clip | b' | 长度：由模型决定"
