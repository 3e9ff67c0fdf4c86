"""Reports with MOTIONLAB_LANG=zh: every sentence of theirs, and nothing that is code, a drawing or a name."""

from __future__ import annotations

import ast
import html
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from jinja2 import Environment, FileSystemLoader

from motionlab.files import write_text
from motionlab.jobs import page_language
from motionlab.jobs.page_language import spoken
from motionlab.jobs.report import table, write_report
from motionlab.jobs.run_folder import Run
from motionlab.language import Own
from motionlab.text.action_types import CATEGORIES
from tests.chinese import HAN, faults, pairs, shape, texts

JOBS = Path(page_language.__file__).parent
CATALOGUE = JOBS / "zh.yaml"
TEMPLATES = list(JOBS.rglob("*.html.j2"))
_TEXT = re.compile(r"<(script|style|svg|pre)\b.*?</\1>|<[^>]*>|([^<]+)", re.DOTALL)
_NAMES = re.compile(r"[\w.+-]+|[\d., %()a-z-]*mm|VQ-VAE \(EMA, reset\)|fp32 \(.*\)|torch .*")


@pytest.fixture
def chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTIONLAB_LANG", "zh")


def texts_of(page: str) -> Iterator[str]:
    """The text that a browser would show of a page, without its drawings."""
    for found in _TEXT.finditer(page):
        if found[2] and found[2].strip():
            yield " ".join(html.unescape(found[2]).split())


def written_out(template: Path) -> str:
    """A template without its commands and comments, with `{}` for each value."""
    page = re.sub(r"\{%.*?%\}|\{#.*?#\}", "", template.read_text(encoding="utf-8"))
    return re.sub(r"\{\{.*?\}\}", "{}", page)


def left_in_english(page: str) -> set[str]:
    """Texts without anything Chinese that are no names or numbers."""
    words = {text for text in texts_of(page) if re.search("[a-z]{2}", text) and not HAN.search(text)}
    return {text for text in words if not _NAMES.fullmatch(text)}


def test_only_texts_change(chinese: None) -> None:
    page = (
        '<html lang="en"><h2 title="Corpus">Corpus</h2><script>"<p>Corpus</p>"</script><pre>Corpus</pre>'
        "<svg><text>Corpus</text></svg><p>\n  Where the time\n went</p><p>a &lt; b</p><td>0.5 (0.25 to 1)</td>"
    )
    assert spoken(page) == (
        '<html lang="zh-CN"><h2 title="Corpus">语料</h2><script>"<p>Corpus</p>"</script><pre>Corpus</pre>'
        "<svg><text>Corpus</text></svg><p>时间花在哪里</p><p>a &lt; b</p><td>0.5（0.25 至 1）</td>"
    )


def test_sentences_of_a_paragraph_are_looked_up_one_by_one(chinese: None) -> None:
    assert spoken("<p>No judge and no network. Usage: 3.</p>") == "<p>不用评判模型，也不用网络。 Usage: 3.</p>"
    assert spoken("<p>A motion plays while it is on the screen. Drag to turn it; Ctrl and the wheel zoom.</p>") == (
        "<p>动作在屏幕可见时播放。拖动可以转动；Ctrl 加滚轮缩放。</p>"
    )
    escaped = "<p>&lt;b&gt;: asked for walk &amp; run; recognised in the generated motion: &lt;i&gt;</p>"
    assert spoken(escaped) == "<p>&lt;b&gt;：要求 walk &amp; run；在生成的动作中识别出：&lt;i&gt;</p>"


def test_english_pages_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MOTIONLAB_LANG", raising=False)
    assert spoken('<html lang="en"><h2>Corpus</h2>') == '<html lang="en"><h2>Corpus</h2>'


def test_every_text_of_a_template_has_a_pair() -> None:
    known = {shape(english) for english, _ in pairs(CATALOGUE)}
    missing = []
    for file in TEMPLATES:
        for text in texts_of(written_out(file)):
            sentences = [text] if text in known else re.split(r"(?<=[.?!]) (?=[A-Z“])", text)
            missing += [each for each in sentences if re.search("[a-z]{2}", each) and each not in known]
    assert missing == [] and faults(CATALOGUE) == []


def test_a_report_is_chinese(finished_run: Run, chinese: None) -> None:
    english = (finished_run.folder / "report.html").read_text(encoding="utf-8")
    page = spoken(english)
    note = finished_run.metrics["source"]["note"]
    assert left_in_english(page) <= {note} and not HAN.search("".join(texts_of(english)))
    assert "<h2>第一阶段：动作变成词元</h2>" in page and page.count("<svg") == english.count("<svg")
    assert re.findall(r"<pre>.*?</pre>", page, re.DOTALL) == re.findall(r"<pre>.*?</pre>", english, re.DOTALL)


def test_a_report_is_written_in_the_language_of_the_reader(finished_run: Run, chinese: None, tmp_path: Path) -> None:
    copy = shutil.copytree(finished_run.folder, tmp_path / "ci")
    metrics = Run.open(copy).metrics
    players = [player for scores in metrics["generation"].values() for player in scores["players"]]
    players[0]["recognised"] = (
        "about 4 actions: kick 5.3 s (one lasts 1.3 to 1.9 s in the training clips: about 4 of them)"
    )
    players[1] |= {"recognised": "", "found": []}
    write_text(copy / "metrics.json", json.dumps(metrics))
    page = write_report(Run.open(copy)).read_text(encoding="utf-8")
    assert '<html lang="zh-CN">' in page and "由文本生成" in page
    notes = re.findall("识别出：(.*?)<", page)
    assert notes[0] == "约 4 个动作：kick 5.3 秒（训练片段中一次持续 1.3 至 1.9 秒，所以约 4 次）"
    assert notes[1] == "没有动作" and len(notes) == len(players)
    assert [note for note in notes if re.search(r"\d s|actions?:|no action|nothing", note)] == []


def test_no_pair_is_stale() -> None:
    """Each pair is a text of the jobs or of a template, a sentence of one, or a word of what they report."""
    written = set(CATEGORIES)
    root = JOBS.parent
    for file in [*JOBS.rglob("*.py"), *(root / "data").rglob("*.py"), *(root / "evaluation").rglob("*.py"),
                 *(root / "vla").rglob("*.py"), *(root / "training").rglob("*.py"), root / "runtime.py",
                 *(root / "motion" / "retargeting").rglob("*.py")]:  # fmt: skip
        for text in texts(ast.parse(file.read_text(encoding="utf-8"))):
            text = re.sub(r"\{\w+:[^}]*%\}", "{}%", text)  # what `format` will put there
            text = re.sub(r"\{\w+:[^}]*\}", "{}", text)
            written |= {text, *re.split(r"(?<=[.?!]) (?=[A-Z“{])", text)}
    for file in TEMPLATES:
        for text in texts_of(written_out(file)):
            written |= {text, *re.split(r"(?<=[.?!]) (?=[A-Z“])", text)}
    # Put together of parts: a number with its unit, an interval, how a training ended, the caption of a film.
    parts = re.compile(
        r"\{\} (min|h|bits)|\{\}( %)? \(\{\} to \{\}\)( of \{\})?|\{\} \(torch sees no GPU\)|\{\} (physical|GiB) .*"
        r"|(\{\} of )?\{\} steps; \{\}\.|(Success|Failure) after .*|(pelvis|heading|acceleration|tokenizer|decoder): .*"
        r"|(pelvis|heading|acceleration), \{\}|(backbone|policy), best weights"
        r"|\{\}: asked for .*|(Right|Doubtful|Refused): \{\}"
    )
    stale = [english for english, _ in pairs(CATALOGUE) if shape(english) not in written]
    assert [english for english in stale if not parts.fullmatch(shape(english))] == []


def test_words_of_a_run_stay_even_when_they_are_words_of_ours(chinese: None) -> None:
    assert spoken('<h1 translate="no">Corpus</h1><td translate="no">a &lt; b. Corpus</td><h2>Corpus</h2>') == (
        '<h1 translate="no">Corpus</h1><td translate="no">a &lt; b. Corpus</td><h2>语料</h2>'
    )
    for english, said in {
        "motionlab report: train": "motionlab 报告：train",
        "Both stages. Motions: corpus. torch 2": "两个阶段。动作来源：corpus。torch 2",
        "Score the run again: motionlab evaluate --run train.": "请重新评分：motionlab evaluate --run train。",
        "new-takes: asked for data; recognised in the generated motion: save": (
            "new-takes：要求 data；在生成的动作中识别出：save"
        ),
        "Success after 3 actions: update": "3 个动作后成功：update",
    }.items():
        assert spoken(f"<p>{english}</p>") == f"<p>{said}</p>"
    rows = table(["task", "success"], [[Own("grasp"), "success"]])["rows"]
    templates = Environment(loader=FileSystemLoader(JOBS), autoescape=True)
    page = templates.from_string('{% from "report_parts.html.j2" import table %}{{ table(it) }}').render(
        it={"head": [], "rows": rows}
    )
    assert '<td translate="no">grasp</td><td>成功</td>' in spoken(page)


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_the_name_of_a_run_is_no_word_of_ours(template: Path) -> None:
    text = template.read_text(encoding="utf-8")
    assert text.count("{{ name }}") == text.count('<h1 translate="no">{{ name }}</h1>') + text.count(
        "{{ name }}</title>"
    )
