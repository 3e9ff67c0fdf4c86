"""The sources that are collected for the site, and how links, outputs and diagrams are changed on the way."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from motionlab.teaching.glossary import all_terms, glossary
from motionlab.widgets.confidence import confidence
from tests.chinese import HAN
from tools.build_site import repository
from tools.site_builder import diagram
from tools.site_builder.chinese import in_chinese
from tools.site_builder.extension import other_language
from tools.site_builder.links import rewritten
from tools.site_builder.outputs import PLOTLY, shown
from tools.site_builder.pages import call_of, contents, definition, glossary_page, names_page
from tools.site_builder.sources import collect
from tools.site_builder.terms import _BOLD, SYNONYMS, _plain, _term, linked, place

PAGES = ["index.md", "zh/index.md", "docs/map.md", "notebooks/05_rope.ipynb"]


def panel(**forms: str) -> dict[str, Any]:
    data = {"text/plain": "<RopePanel: query, key>", **forms}
    return {"output_type": "execute_result", "metadata": {}, "execution_count": 3, "data": data}


# --- links ---


@pytest.mark.parametrize(
    ("source", "text", "result"),
    [
        ("README.md", "[05](notebooks/05_rope.ipynb#why)", "[05](notebooks/05_rope.ipynb#why)"),
        ("docs/map.md", "[start](../README.md)", "[start](../index.md)"),
        ("README.md", "[中文](README.zh.md)", "[中文](zh/index.md)"),
        ("README.zh.md", "[English](README.md), [map](docs/map.md)", "[English](../index.md), [map](../docs/map.md)"),
        ("README.md", "[licence](LICENSE)", "licence"),
        ("README.md", "[`LICENSE`](LICENSE)", "`LICENSE`"),
        ("README.md", "`[05](LICENSE)` and [x](https://example.org)", "`[05](LICENSE)` and [x](https://example.org)"),
        ("README.md", "[06](notebooks/06_gqa_and_kv_cache.ipynb)", "06"),
        ("README.md", "[typo](docs/mpa.md)", "[typo](docs/mpa.md)"),  # stays, so that Sphinx complains
    ],
)
def test_a_link_leads_somewhere_or_is_none(root: Path, source: str, text: str, result: str) -> None:
    assert rewritten(text, source, PAGES, root) == (result, [])


def test_with_a_public_repository_a_file_is_found_there(root: Path) -> None:
    text, _ = rewritten("[licence](../LICENSE)", "docs/map.md", PAGES, root, "https://example.org/m")
    assert text == "[licence](https://example.org/m/blob/main/LICENSE)"


def test_pictures_are_found_in_markdown_and_html(root: Path) -> None:
    text = '![kick](pictures/kicks.gif) <img alt="" src="../a/b.png"> `![no](x.png)`'
    assert rewritten(text, "docs/map.md", PAGES, root) == (text, ["a/b.png", "docs/pictures/kicks.gif"])


def test_a_picture_of_a_page_that_moved_is_found(root: Path) -> None:
    text, files = rewritten("![kick](docs/pictures/kicks.gif)", "README.zh.md", PAGES, root)
    assert (text, files) == ("![kick](../docs/pictures/kicks.gif)", ["docs/pictures/kicks.gif"])


# --- terms ---


@pytest.mark.parametrize(
    ("page", "text", "places"),
    [
        ("notebooks/05_rope.ipynb", "**Keys** (键) and **values** (值)", ["term-key", "term-value"]),
        ("notebooks/05_rope.ipynb", "**RoPE** (rotary position embedding, 旋转位置编码)", ["term-rope"]),
        ("notebooks/zh/05_rope.ipynb", "**查询**（query）", ["term-query"]),
        ("notebooks/zh/11_train_tokenizer.ipynb", "**平滑 L1 损失**", ["term-smooth-l1"]),  # 平滑L1损失 in the list
        ("notebooks/05_rope.ipynb", "**query** then **query**", ["term-query"]),  # the first use only
        ("notebooks/05_rope.ipynb", "**Predict**: which is larger?", []),
        ("notebooks/05_rope.ipynb", "`**query**` and [**query**](06.ipynb) and query", []),
    ],
)
def test_the_first_use_of_a_term_leads_to_its_line(page: str, text: str, places: list[str]) -> None:
    result = linked(text, page, set())
    assert re.findall(r'href="([^"]*)#([^"]*)"', result) == [
        ("../" * page.count("/") + "glossary.html", place) for place in places
    ]
    assert re.sub(r"</?a[^>]*>", "", result) == text
    assert all(f'<tr id="{place}">' in glossary_page() for place in places)


def bilingual(path: Path) -> Iterator[tuple[str, str]]:
    """Words in bold with a name in the other language behind them: `**token** (词元)`, `**词元**（token）`."""
    chinese = "zh" in path.parts
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "markdown":
            prose = re.sub(r"```.*?```|`[^`\n]*`", "", "".join(cell["source"]), flags=re.DOTALL)
            for found in _BOLD.finditer(prose):
                name, other = found["name"], found["other"] or ""
                if not chinese and HAN.search(other):
                    yield name, other
                elif chinese and HAN.search(name) and re.fullmatch(r"[A-Za-z][a-z-]{2,}( [a-z-]+)*", other):
                    yield name, other


def test_every_bold_word_with_a_name_in_both_languages_is_in_the_glossary(root: Path) -> None:
    lessons = sorted((root / "notebooks").glob("**/[0-9][0-9]_*.ipynb"))
    words = {(path.name, *pair) for path in lessons for pair in bilingual(path)}
    assert len(words) > 300
    # No words of the field: an appendix, rows and columns of tables, and what a score is called.
    plain = {"appendix", "distance", "utilisation", "side by side", "action score"}
    missing = {word for word in words if _term(*word[1:]) is None}
    assert {word for word in missing if not plain & set(word[1:])} == set()
    used = {_plain(name) for _, *names in words for name in names}
    assert {word for word in SYNONYMS if _plain(word) not in used} == set()


def test_a_term_that_is_pointed_at_says_what_it_means_in_the_language_of_the_page() -> None:
    (term,) = (term for term in all_terms() if term.english == "query")
    for page, meaning in (("notebooks/05_rope.ipynb", term.meaning), ("notebooks/zh/05_rope.ipynb", term.meaning_zh)):
        assert f'title="{meaning}"' in linked("**query**", page, set())


def test_no_two_terms_have_one_place() -> None:
    assert len({place(term) for term in all_terms()}) == len(all_terms())


# --- outputs ---


def test_a_panel_is_its_picture_and_a_line() -> None:
    picture, note = shown(panel(**{"image/png": "AAAA"}))
    assert picture["data"] == {"image/png": "AAAA"}
    assert "A panel with the controls query, key" in note["data"]["text/html"]
    (only,) = shown(panel())
    assert "A panel with the controls" in only["data"]["text/html"]


def test_a_player_is_alive_and_needs_no_line() -> None:
    player = {"output_type": "display_data", "data": {"text/plain": "<SkeletonPlayer: a>", "text/html": "<div>"}}
    assert [output["data"] for output in shown(player)] == [{"text/html": "<div>"}]


def test_a_chinese_page_has_chinese_words_for_its_players_and_panels() -> None:
    html = "<script>function motionlabPlayer(element, clip) {}</script>"
    data: dict[str, Any] = {"text/plain": "<SkeletonPlayer: a>", "text/html": [html]}
    player = {"output_type": "display_data", "data": data}
    words, _, rest = in_chinese(player, "t")["data"]["text/html"].partition("</script>")
    assert rest == html and '"Pause": "暂停"' in words and data["text/html"] == [html]
    assert "控件有 query, key。" in shown(panel(), "zh")[-1]["data"]["text/html"]


def test_a_chinese_page_asks_and_explains_in_chinese(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root / "notebooks")
    asked, terms = confidence("05", "before"), glossary("query", "norm")
    data = {"text/plain": repr(asked), **asked.still()}
    text = in_chinese({"output_type": "display_data", "data": data}, "为什么？")["data"]["text/html"]
    assert "你有多大把握能把它给同事讲清楚：为什么？<br>1 完全没有 · 2 · 3 · 4 · 5 完全有" in text
    data = {"text/plain": repr(terms), "text/html": terms._repr_html_()}
    text = in_chinese({"output_type": "execute_result", "data": data}, "t")["data"]["text/html"]
    assert re.findall(r"<th\b[^>]*>(.*?)</th>", text) == ["术语", "中文", "释义"] and "第 17 课</a>" in text
    assert all(f">{term.meaning_zh}</td>" in text and term.meaning not in text for term in terms)
    printed = {"output_type": "stream", "text": "term"}
    assert in_chinese(printed, "t") is printed


def test_a_link_that_a_cell_prints_leads_to_a_page(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root / "notebooks" / "appendix")
    output = {"output_type": "execute_result", "data": {"text/html": [glossary("token")._repr_html_()]}}
    (one,) = shown(output)
    assert '<a href="../17_glossary.html">' in one["data"]["text/html"]


def test_a_figure_to_explore_is_shown_as_its_picture() -> None:
    data = {"text/plain": "<figure to explore: 1 lines, 0 sets of bars>", "image/png": "iVBO", PLOTLY: {"data": []}}
    (one,) = shown({"output_type": "execute_result", "data": data})
    assert set(one["data"]) == {"text/plain", "image/png"} and PLOTLY in data


@pytest.mark.parametrize("text", ["<Figure size 640x480 with 1 Axes>", "3", "size of <RopePanel: a>"])
def test_other_outputs_stay(text: str) -> None:
    output = {"output_type": "execute_result", "data": {"text/plain": text, "image/png": "AAAA"}}
    assert shown(output) == [output]
    assert shown({"output_type": "stream", "text": "x"}) == [{"output_type": "stream", "text": "x"}]


# --- pages ---


def test_the_tree_holds_every_page_once(small_root: Path, tmp_path: Path) -> None:
    names = collect(small_root, tmp_path / "sources")
    assert {"index.md", "docs/architecture.md", "notebooks/05_rope.ipynb", "notebooks/zh/05_rope.ipynb"} <= set(names)
    written = {path.relative_to(tmp_path / "sources").as_posix() for path in (tmp_path / "sources").rglob("*.*")}
    assert set(names) <= written and "docs/pictures/kicks.gif" in written
    listed = re.findall(r"^(?:\w+ <)?([\w/]+)>?$", contents(names), flags=re.MULTILINE)
    assert sorted(listed) == sorted(Path(name).with_suffix("").as_posix() for name in names if name != "index.md")


def test_appendices_have_a_list_of_their_own() -> None:
    name, places = "03_x.ipynb", ("", "appendix/", "zh/", "zh/appendix/")
    text = contents([f"notebooks/{place}{name}" for place in places])
    found = re.findall(r":caption: (\S+)\n\n([\w/]+)\n```", text)
    assert dict(found) | {"Reference": ""} == {
        "Lessons": "notebooks/03_x",
        "Appendices": "notebooks/appendix/03_x",
        "课程": "notebooks/zh/03_x",
        "附录": "notebooks/zh/appendix/03_x",
        "Reference": "",
    }


def test_an_appendix_and_its_lesson_lead_to_each_other(root: Path) -> None:
    lesson, appendix = "notebooks/03_x.ipynb", "notebooks/appendix/03_x.ipynb"
    there, back = "[table](appendix/03_x.ipynb)", "[lesson](../03_x.ipynb)"
    assert rewritten(there, lesson, [lesson, appendix], root) == (there, [])
    assert rewritten(back, appendix, [lesson, appendix], root) == (back, [])
    assert rewritten(there, lesson, [lesson], root) == ("table", [])  # a site of some lessons only


def test_a_part_of_the_lessons_can_be_built(small_root: Path, tmp_path: Path) -> None:
    names = collect(small_root, tmp_path / "sources", ["05"])
    assert [name for name in names if name.endswith(".ipynb")] == [
        "notebooks/05_rope.ipynb",
        "notebooks/zh/05_rope.ipynb",
    ]
    assert "](notebooks/00_start_here.ipynb)" not in (tmp_path / "sources" / "index.md").read_text("utf-8")


def test_code_cells_are_the_saved_ones(small_root: Path, tmp_path: Path) -> None:
    collect(small_root, tmp_path / "sources", ["05"])
    saved, shown_ = (
        json.loads((folder / "notebooks" / "05_rope.ipynb").read_text("utf-8"))["cells"]
        for folder in (small_root, tmp_path / "sources")
    )
    code = [["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"] for cells in (saved, shown_)]
    assert code[0] == code[1] and len(code[0]) > 10


def test_the_glossary_page_has_every_term() -> None:
    from motionlab.teaching.glossary import all_terms

    page = glossary_page()
    assert page.count("<tr id=") == len(all_terms()) > 50
    assert "词元" in page


def test_the_page_of_names_has_every_name(root: Path) -> None:
    import motionlab

    page = names_page(root)
    assert set(re.findall(r'<dt id="(\w+)">', page)) == set(motionlab._EXPORTS)
    assert "ml.FSQ(levels, dim" in page
    described = re.findall(r"<dd>[^<]", page)
    assert len(described) > 0.9 * len(motionlab._EXPORTS)


def test_a_definition_is_followed_through_re_exports(root: Path) -> None:
    found = definition(root, "motionlab.config", "TokenizerConfig")
    assert found is not None and found.name == "TokenizerConfig" and call_of(found).startswith("(")
    assert definition(root, "motionlab.motion.skeleton", "JOINT_NAMES") is None


def test_languages_are_twins() -> None:
    pages = {"notebooks/05_rope", "notebooks/zh/05_rope", "docs/teaching"}
    assert other_language("notebooks/05_rope", pages) == ("notebooks/zh/05_rope", "中文")
    assert other_language("notebooks/zh/05_rope", pages) == ("notebooks/05_rope", "English")
    assert other_language("docs/teaching", pages) is None
    pages = {f"notebooks/{place}03_x" for place in ("", "appendix/", "zh/", "zh/appendix/")}
    assert other_language("notebooks/appendix/03_x", pages) == ("notebooks/zh/appendix/03_x", "中文")
    assert other_language("notebooks/zh/appendix/03_x", pages) == ("notebooks/appendix/03_x", "English")


# --- the diagram ---


def test_boxes_of_a_row_do_not_touch_and_arrows_point_down(root: Path) -> None:
    text = re.findall(r"```mermaid\n(.*?)```", (root / "docs" / "architecture.md").read_text("utf-8"), flags=re.DOTALL)[
        0
    ]
    boxes, arrows = diagram.read(text)
    assert len(boxes) > 15 and len(arrows) > 15
    drawn = diagram.as_html(text)
    rects = [
        tuple(map(float, found))
        for found in re.findall(r'<rect x="([\d.-]+)" y="([\d.-]+)" width="([\d.]+)" height="([\d.]+)"', drawn)
    ]
    assert len(rects) == len(boxes) and drawn.count('class="arrow"') == len(arrows)
    assert all(x >= 0 and y >= 0 for x, y, _, _ in rects)
    for i, (x, y, width, height) in enumerate(rects):
        for a, b, wide, high in rects[:i]:
            assert x + width < a or a + wide < x or y + height < b or b + high < y


# --- the repository ---


def test_no_address_is_invented(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "m"\n', encoding="utf-8")
    assert repository(tmp_path) == ""
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "m"\n[project.urls]\nRepository = "https://example.org/m/"\n', encoding="utf-8"
    )
    assert repository(tmp_path) == "https://example.org/m"


# --- the teacher's page ---


def test_the_teacher_finds_every_lesson_with_the_minutes_that_it_states(root: Path) -> None:
    rows = re.findall(
        r"^\| \[(\d\d)\]\(\.\./(notebooks/[\w.]+)\) [^|]+\| (\d+) \|[^|]*\| (\d+) \|",
        (root / "docs" / "teaching.md").read_text("utf-8"),
        flags=re.MULTILINE,
    )
    lessons = sorted((root / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    assert [name for _, name, _, _ in rows] == [f"notebooks/{path.name}" for path in lessons]
    for path, (_, _, minutes, exercises) in zip(lessons, rows, strict=True):
        cells = json.loads(path.read_text("utf-8"))["cells"]
        first = "".join(cells[0]["source"]).replace("an hour and a half", "90 minutes").replace("an hour", "60 minutes")
        assert f"{minutes} minutes to read" in first, path.name
        code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
        assert len(set(re.findall(r'ml\.exercise\("([^"]+)"', code))) == int(exercises), path.name
