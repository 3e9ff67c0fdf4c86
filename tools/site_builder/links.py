"""Links of a page: to other pages and pictures they stay; to files that the site does not show they must not break."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Sequence
from pathlib import Path

# A link or picture of markdown with a relative target, and a picture of HTML.
_LINK = re.compile(r"(?P<mark>!?)\[(?P<text>(?:[^\[\]]|\[[^\]]*\])*)\]\((?P<target>[^)#:\s]+)(?P<place>#[^)\s]*)?\)")
_IMAGE = re.compile(r"""<img[^>]*\ssrc=["'](?P<target>[^"':]+)["']""")
_CODE = re.compile(r"(```.*?```|`[^`\n]*`)", flags=re.DOTALL)
START = {"README.md": "index.md", "README.zh.md": "zh/index.md"}  # under the name that a web server opens first
BRANCH = "main"  # of the public repository: files that are no page and hosted notebooks are found there


def is_chinese(page: str) -> bool:
    """Whether a page of the site, or a lesson of the repository, is one in Chinese.

    >>> is_chinese("zh/index"), is_chinese("notebooks/zh/05_rope.ipynb"), is_chinese("notebooks/05_rope.ipynb")
    (True, True, False)
    """
    return "zh" in page.split("/")[:-1]


def rewritten(text: str, source: str, pages: Sequence[str], root: Path, repository: str = "") -> tuple[str, list[str]]:
    """Return a page whose relative links all lead somewhere, and the files that it shows.

    A link to a page or a picture stays, seen from the page's place in the site. A link to another file of the
    repository leads to the public repository, if there is one, and becomes plain text if there is none. Words inside
    code are left alone.

    Args:
        text: markdown.
        source: path of the page in the repository, from which its links are read.
        pages: names of the site's pages.
        root: the repository.
        repository: its public address, or "".

    >>> rewritten("see [the map](docs/map.md) and [licence](LICENSE)", "README.md", ["docs/map.md"], Path())[0]
    'see [the map](docs/map.md) and licence'
    """
    files: list[str] = []

    def link(found: re.Match[str]) -> str:
        path = _resolve(source, found["target"])
        page = START.get(path, path)
        near = posixpath.relpath(page, posixpath.dirname(START.get(source, source)) or ".")
        if found["mark"]:
            files.append(path)
            return f"![{found['text']}]({near}{found['place'] or ''})"
        if page in pages:
            return f"[{found['text']}]({near}{found['place'] or ''})"
        if not (root / path).exists() and not path.startswith("notebooks/"):
            return found[0]  # Sphinx names it
        return f"[{found['text']}]({repository}/blob/{BRANCH}/{path})" if repository else found["text"]

    for found in _IMAGE.finditer(_CODE.sub("", text)):
        files.append(_resolve(source, found["target"]))
    return outside_code(text, lambda prose: _LINK.sub(link, prose)), files


def outside_code(text: str, change: Callable[[str], str]) -> str:
    """Apply a change to a text of markdown, but not to code in it.

    Each piece of code is a sign for the time of the change, so that a link's text may hold code.

    >>> outside_code("a `a` a", str.upper)
    'A `a` A'
    """
    parts = _CODE.split(text)
    prose = "".join(part if i % 2 == 0 else f"\x00{i}\x00" for i, part in enumerate(parts))
    return re.sub("\x00(\\d+)\x00", lambda found: parts[int(found[1])], change(prose))


def _resolve(source: str, target: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
