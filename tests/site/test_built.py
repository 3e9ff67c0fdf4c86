"""The pages that Sphinx wrote: nothing is fetched from elsewhere, nothing is poor that could be shown."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.site.building import build_site

# Tags whose address the browser fetches by itself; `<a href>` leads away only when a reader clicks.
FETCHED = {
    "script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src", "video": "src", "audio": "src",
    "embed": "src", "object": "data", "input": "src",
}  # fmt: skip
SILENT_LINKS = {"canonical", "author", "license", "next", "prev", "search", "index", "top", "copyright"}
WIDGET_NAME = re.compile(r"<span></span>&lt;\w+(Panel|Player): [^<]*&gt;\s*</pre>")  # an output that is nothing else
CSS_ADDRESS = re.compile(r"""(?:url\(\s*["']?|@import\s+["'])((?:https?:)?//[^"')\s]+)""")


class Fetches(HTMLParser):
    """Addresses on other hosts that a page fetches, and the text of its scripts and styles."""

    def __init__(self) -> None:
        super().__init__()
        self.foreign: list[str] = []
        self.code: list[str] = []
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag if tag in ("script", "style") else self._inside
        values = dict(attrs)
        address = values.get(FETCHED.get(tag, "")) or ""
        if tag == "link" and set((values.get("rel") or "").split()) & SILENT_LINKS:
            return
        if re.match(r"(https?:)?//", address):
            self.foreign.append(address)
        self.foreign += CSS_ADDRESS.findall(values.get("style") or "")

    def handle_endtag(self, tag: str) -> None:
        self._inside = "" if tag == self._inside else self._inside

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.code.append(data)


def fetched(text: str) -> list[str]:
    page = Fetches()
    page.feed(text)
    code = "\n".join(page.code)
    return page.foreign + CSS_ADDRESS.findall(code) + re.findall(r"""import\(?\s*["']((?:https?:)?//[^"']+)""", code)


def test_no_page_fetches_anything_from_another_host(built: Path) -> None:
    pages = sorted(built.rglob("*.html"))
    assert len(pages) > 10
    assert {str(page.relative_to(built)): found for page in pages if (found := fetched(page.read_text("utf-8")))} == {}
    styles = sorted(built.rglob("*.css"))
    assert styles
    assert {style.name: found for style in styles if (found := CSS_ADDRESS.findall(style.read_text("utf-8")))} == {}


@pytest.mark.parametrize(
    "text",
    [
        '<script src="https://cdn.example.org/x.js"></script>',
        '<link rel="stylesheet" href="//cdn.example.org/x.css">',
        '<img alt="" src="http://example.org/x.png">',
        '<p style="background: url(https://example.org/x.png)">',
        '<style>@import "https://example.org/x.css";</style>',
        '<script type="module">import "https://example.org/x.js"</script>',
    ],
)
def test_the_check_sees_a_fetch(text: str) -> None:
    assert fetched(text)


def test_the_check_allows_what_a_reader_clicks() -> None:
    assert fetched('<a href="https://example.org">x</a><link rel="canonical" href="https://example.org">') == []


def test_every_page_is_reached_from_the_start(built: Path) -> None:
    start = (built / "index.html").read_text("utf-8")
    names = ("notebooks/00_start_here", "notebooks/zh/05_rope", "docs/architecture", "docs/teaching", "docs/hosted")
    for name in (*names, "zh/index", "glossary", "names", "CHANGELOG", "CONTRIBUTING"):
        assert f'href="{name}.html"' in start, name


def test_a_lesson_shows_its_saved_outputs(built: Path, root: Path) -> None:
    page = (built / "notebooks" / "05_rope.html").read_text("utf-8")
    assert page.count('class="formula"') > 20 and "data-mathml" not in page and "$$" not in page
    assert page.count("<img") >= 6
    assert "lesson 05 · seed 0" in page
    assert not WIDGET_NAME.search(page) and "A panel with the controls query, key" in page
    start = (built / "notebooks" / "00_start_here.html").read_text("utf-8")
    assert "motionlabPlayer(document.querySelector(" in start and not WIDGET_NAME.search(start)


def test_a_page_leads_to_its_twin_and_back(built: Path) -> None:
    english, chinese = ((built / "notebooks" / name).read_text("utf-8") for name in ("05_rope.html", "zh/05_rope.html"))
    assert re.search(r'site-language" href="zh/05_rope.html"[^>]*>中文', english)
    assert re.search(r'site-language" href="../05_rope.html"[^>]*>English', chinese)
    assert "site-language" not in (built / "notebooks" / "00_start_here.html").read_text("utf-8")
    assert '<html lang="zh"' in chinese and '<html lang="en"' in english


def test_the_start_page_leads_to_the_chinese_one_and_back(built: Path) -> None:
    english, chinese = ((built / name).read_text("utf-8") for name in ("index.html", "zh/index.html"))
    assert re.search(r'<p><a[^>]* href="zh/index.html">(<[^>]*>)?中文', english)
    assert re.search(r'<p><a[^>]* href="../index.html">(<[^>]*>)?English', chinese)
    assert re.search(r'site-language" href="zh/index.html"[^>]*>中文', english)
    assert re.search(r'site-language" href="../index.html"[^>]*>English', chinese)
    assert '<html lang="zh"' in chinese and "下一页" in chinese and ">首页<" in re.sub(r"\s", "", english)
    assert all((built / "zh" / src).is_file() for src in re.findall(r'<img alt="[^"]+"[^>]* src="([^"]+)"', chinese))
    assert 'href="../notebooks/zh/05_rope.html"' in chinese


def test_a_page_speaks_its_language(built: Path) -> None:
    """One build holds both; what is printed, such as `Contents` of a list, may hold any word."""
    english, chinese = (
        (built / "notebooks" / page).read_text(encoding="utf-8") for page in ("05_rope.html", "zh/05_rope.html")
    )
    assert "下一页" in chinese and "目录" in chinese and "next page" not in chinese
    assert "next page" in english and "Contents" in english and "下一页" not in english
    assert '<html lang="zh"' in chinese and '<html lang="en"' in english
    assert "面板，控件有 query, key" in chinese and "A panel with the controls query, key" in english


def test_buttons_lead_to_the_branch_that_the_repository_has(root: Path, small_root: Path, tmp_path: Path) -> None:
    built = build_site(root, small_root, tmp_path, "https://github.com/someone/motionlab", ["05"])
    page = (built / "notebooks" / "05_rope.html").read_text("utf-8")
    assert "colab.research.google.com/github/someone/motionlab/blob/main/./notebooks/05_rope.ipynb" in page
    assert "mybinder.org/v2/gh/someone/motionlab/main?" in page
    assert "master" not in "".join(re.findall(r'href="[^"]*someone/motionlab[^"]*"', page))


def test_no_button_without_a_public_repository(built: Path) -> None:
    page = (built / "notebooks" / "05_rope.html").read_text("utf-8")
    assert "mybinder" not in page and "colab" not in page.lower().replace("hosted.html", "")
