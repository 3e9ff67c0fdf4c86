"""Every panel with MOTIONLAB_LANG=zh: all of its words, and nothing of what code names."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ipywidgets as W
import pytest

import motionlab as ml
from lessons.build_the_decoder.parts import EXCHANGES
from lessons.build_the_tokenizer.panel import FieldPanel
from lessons.pitfalls.museum import NAMES, find
from lessons.pitfalls.panel import PitfallPanel
from lessons.shared.exchange import AS_WRITTEN
from motionlab.config import QUANTIZERS
from motionlab.language import catalogue, tr
from motionlab.motion.skeleton import JOINT_NAMES
from motionlab.plots.strategy_view import STATES
from motionlab.views.policy_trials import choices, load_policies
from motionlab.widgets import panel as panel_module
from motionlab.widgets.feature_panel import CLIPS
from motionlab.widgets.panel import Panel
from tests.chinese import HAN, faults, pairs, shape, texts

ROOT = Path(__file__).resolve().parents[2]
WIDGETS = ROOT / "motionlab" / "widgets"
RESULTS = ROOT / "notebooks" / "results"
LESSONS = {
    name: ROOT / "notebooks" / "lessons" / name for name in ("build_the_decoder", "build_the_tokenizer", "pitfalls")
}
PANELS: dict[str, Callable[[], Panel]] = {
    "AblationPanel": lambda: ml.AblationPanel(RESULTS / "tokenizer_ablation.jsonl"),
    "CodebookPanel": ml.CodebookPanel,
    "DecoderTrainingPanel": lambda: ml.DecoderTrainingPanel("nothing yet"),
    "FeaturePanel": ml.FeaturePanel,
    "FieldPanel": FieldPanel,
    "GenerationPanel": lambda: ml.GenerationPanel(ml.pretrained_run(), "a person kicks"),
    "GlossaryPanel": ml.GlossaryPanel,
    "KVCachePanel": ml.KVCachePanel,
    "LevelsPanel": ml.LevelsPanel,
    "LossScalePanel": lambda: ml.LossScalePanel(RESULTS / "mixed_precision.json"),
    "MaskPanel": ml.MaskPanel,
    "MemoryPanel": ml.MemoryPanel,
    "MotionPanel": lambda: ml.MotionPanel(ml.pretrained_run()),
    "PitfallPanel": PitfallPanel,
    "PolicyPanel": lambda: ml.PolicyPanel(load_policies(RESULTS / "vla_ablation.json")),
    "QuantizerPanel": ml.QuantizerPanel,
    "RopePanel": ml.RopePanel,
    "SchedulePanel": ml.SchedulePanel,
    "ShardingPanel": ml.ShardingPanel,
    "StrategyPanel": ml.StrategyPanel,
    "TrainingPanel": lambda: ml.TrainingPanel("nothing yet"),
}  # fmt: skip
SLOW = ("FeaturePanel", "GenerationPanel", "MotionPanel")  # too many choices, or each makes a motion
# Names of things in code, and proper names: they are English in every language.
NAMES_OF_CODE = {
    *("fp32", "fp16", "bf16", "float32", "bfloat16", "adamw", "sgd", "cpu", "cuda", "ntk", "llama3", "multi_step"),
    *("wsd", "inverse_sqrt", "make_att_2d_masks", "pad", "att", "st", "pkeep = -1", "pi0", "MiB", "English"),
    *("MotionMillion", "MotionLlama", "SmolVLA", "iFSQ", "MaskGIT", "kick", "kick, combination"),
    *QUANTIZERS, *JOINT_NAMES, *CLIPS, *(find(name).seen for name in NAMES),
}  # fmt: skip
# In the code of `describe` and `rows`, and never shown: names of attributes, and what only a comparison reads.
NOT_SHOWN = {"limit", "total", "optimizer", "quantizer"}


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The texts that panels looked up, and the pairs that they found. Nothing is drawn."""
    found: dict[str, str] = {}

    def noted(text: str, *places: str | Path) -> str:
        found[text] = tr(text, *places)
        return found[text]

    monkeypatch.setenv("MOTIONLAB_LANG", "zh")
    monkeypatch.setattr(panel_module, "tr", noted)
    monkeypatch.setattr(Panel, "_draw", lambda *_: None)
    return found


def look_at_everything(name: str) -> Panel:
    """A panel whose presets and choices were all shown once."""
    panel = PANELS[name]()
    shown = [panel.summary(), repr(panel.table())]
    for preset in panel.PRESETS:
        panel.preset(preset)
        shown += [panel.summary(), repr(panel.table())]
    for control in () if name in SLOW else panel.inputs:
        if isinstance(panel.inputs[control], W.Dropdown | W.ToggleButtons):
            for _, value in panel.inputs[control]._options_full:
                try:
                    panel.set(**{control: value})
                except ml.InputError:  # nobody trained this policy
                    continue
                shown += [panel.summary(), repr(panel.table())]
            panel.reset()
    return panel


@pytest.mark.parametrize("name", PANELS)
def test_every_word_is_chinese(name: str, said: dict[str, str]) -> None:
    panel = look_at_everything(name)
    same = {text for text, found in said.items() if text == found and re.search("[a-z]{2}", text)}
    english = {text for text in same - NAMES_OF_CODE if not HAN.search(text)}  # a panel may look up parts beforehand
    assert {text for text in english if not re.fullmatch(r"(txt|img|pad)\d|[\d., ()to]+", text)} == set()
    assert HAN.search(panel.summary()) and HAN.search(panel._buttons.children[-1].description)
    labels = [control.description for control in panel.inputs.values() if getattr(control, "description", "")]
    assert [label for label in labels if not HAN.search(label)] == []
    for control in panel.inputs.values():  # a label finds its choice, so no two may be the same
        shown = getattr(control, "_options_labels", ())
        assert len(set(shown)) == len(shown)


def english_texts(file: Path, functions: tuple[str, ...]) -> Iterator[str]:
    """Texts with a word, in some functions of a file; those between bars one by one."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef) and node.name in functions:
            for text in texts(node):
                yield from (part for part in text.split(" | ") if re.search("[a-z]{2}", part))


def test_every_branch_of_a_summary_has_a_pair() -> None:
    """Also what no test reaches: a training that runs, a step that was measured."""
    shared = {shape(english) for english, _ in pairs(WIDGETS / "zh.yaml")}
    missing = {}
    for folder in (WIDGETS, *LESSONS.values()):
        known = shared | {shape(english) for english, _ in pairs(folder / "zh.yaml")}
        for file in folder.glob("*panel.py"):
            for text in english_texts(file, ("describe", "rows")):
                if text not in known | NAMES_OF_CODE | NOT_SHOWN:
                    missing[text] = file.name
    assert missing == {}


def test_no_pair_is_stale() -> None:
    """Each pair is a text somewhere in the package, or a choice that a result file gives."""
    written = {word for words in choices(load_policies(RESULTS / "vla_ablation.json")).values() for word in words}
    written |= {f"{{}} {state}" for state in STATES}
    for file in (ROOT / "motionlab").rglob("*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        written |= {part for text in texts(tree) for part in text.split(" | ")}
    assert [english for english, _ in pairs(WIDGETS / "zh.yaml") if shape(english) not in written] == []
    assert faults(WIDGETS / "zh.yaml") == []


def test_words_of_the_parts_that_a_learner_exchanges() -> None:
    known = catalogue(LESSONS["build_the_decoder"] / "zh.yaml")
    words = {AS_WRITTEN, *(word for words in EXCHANGES.values() for word in words)}
    assert {word for word in words if known.find(word) is None} == {"LayerNorm"}


@pytest.mark.parametrize("name", ["AblationPanel", "MaskPanel", "QuantizerPanel", "SchedulePanel", "StrategyPanel"])
def test_what_code_names_stays_english(name: str, said: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    chinese = PANELS[name]()
    monkeypatch.setenv("MOTIONLAB_LANG", "en")
    english = PANELS[name]()
    for preset in ("", *english.PRESETS):
        for panel, spoken in ((chinese, "zh"), (english, "en")):
            monkeypatch.setenv("MOTIONLAB_LANG", spoken)
            panel.preset(preset) if preset else panel.reset()
        assert chinese.params == english.params and repr(chinese) == repr(english)
        settings, told = english.summary().split(" -> ")
        assert not HAN.search(told) and chinese.describe(chinese.result) == told
        monkeypatch.setenv("MOTIONLAB_LANG", "zh")
        assert (
            chinese.summary().startswith(f"{settings} -> ") and chinese.summary() != english.summary()[: len(settings)]
        )


def test_another_result_is_told(said: dict[str, str]) -> None:
    panel = ml.SchedulePanel()
    other = panel.compute(**{**panel.params, "accumulation": 4, "counted": "micro-batches"})
    assert panel.told(other).startswith("最后的学习率为峰值的 ≈") and panel.told(other) != panel.told()


def test_a_choice_keeps_its_value_and_shows_a_word(said: dict[str, str]) -> None:
    panel = ml.StrategyPanel()
    control: Any = panel.inputs["strategy"]
    assert control.value == "random replacement" and control.label == "随机替换"
    panel.set(strategy="teacher forcing")
    assert panel.params["strategy"] == "teacher forcing" and control.label == "教师强制"
    assert control.options == ("teacher forcing", "random replacement", "scheduled sampling", "masked modelling")
    control.index = 3  # what the browser sends
    assert panel.result.read.tolist() and panel.params["strategy"] == "masked modelling" and control.label == "掩码建模"


class Own(Panel):
    """A panel that a learner writes in a notebook: nothing of it is in a catalogue."""

    def make_controls(self) -> dict[str, Any]:
        return {"n": W.IntSlider(3, 0, 9, description="the best of all"), "way": W.Dropdown(options=[1, 2.5])}

    def compute(self, **params: Any) -> int:  # type: ignore[override]
        return int(params["n"])

    def describe(self, result: int) -> str:
        return f"sum {result} of many: it stays"


def test_a_panel_without_a_catalogue_stays_english(said: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Own, "__module__", "__main__")
    panel = Own()
    assert panel.inputs["n"].description == "the best of all" and panel.inputs["way"].options == (1, 2.5)
    assert panel.summary() == "n=3, way=1 -> sum 3 of many: it stays"


def test_buttons_and_messages_outside_the_controls(said: dict[str, str]) -> None:
    assert [button.description for button in ml.CodebookPanel().children[1].children[:3]] == ["步", "20 步", "救援"]
    assert PANELS["MemoryPanel"]()._buttons.children[-1].description == "实测一步"
    panel: Any = PANELS["AblationPanel"]()
    panel._say("training fsq seed=1 ...")
    assert panel.run_button.description == "运行" and "正在训练 fsq seed=1……" in panel.run_text.value


def test_the_glossary_panel_begins_with_chinese_meanings(said: dict[str, str]) -> None:
    panel: Any = ml.GlossaryPanel()
    assert panel.params == {"search": "", "topic": "all topics", "language": "中文"}
    panel.set(search="no such word")
    assert panel._list.value == "<p>没有匹配的术语。可以试试更短的词。</p>"
    panel.set(search="causal mask")
    assert "第 06 课" in panel._list.value and panel.table().rows[0][0] == "术语"


def test_the_question_about_confidence_is_chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTIONLAB_LANG", "zh")
    asked = ml.confidence("05", "before")
    assert "你有多大把握" in asked.still()["text/html"] and "完全没有" in asked.still()["text/html"]
