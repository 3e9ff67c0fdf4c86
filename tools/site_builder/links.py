"""Links of a page: to other pages and pictures they stay; to files that the site does not show they must not break."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from pathlib import Path

# A link or picture of markdown with a relative target, and a picture of HTML.
_LINK = re.compile(r"(?P<mark>!?)\[(?P<text>(?:[^\[\]]|\[[^\]]*\])*)\]\((?P<target>[^)#:\s]+)(?P<place>#[^)\s]*)?\)")
_IMAGE = re.compile(r"""<img[^>]*\ssrc=["'](?P<target>[^"':]+)["']""")
_CODE = re.compile(r"(```.*?```|`[^`\n]*`)", flags=re.DOTALL)
START = {"README.md": "index.md"}


def rewritten(text: str, source: str, pages: Sequence[str], root: Path, repository: str = "") -> tuple[str, list[str]]:
    """Return a page whose relative links all lead somewhere, and the files that it shows.

    A link to a page or a picture stays. A link to another file of the repository leads to the public repository, if
    there is one, and becomes plain text if there is none. Words inside code are left alone.

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
        if found["mark"]:
            files.append(path)
            return found[0]
        if page in pages:
            near = posixpath.relpath(page, posixpath.dirname(START.get(source, source)) or ".")
            return f"[{found['text']}]({near}{found['place'] or ''})"
        if not (root / path).exists() and not path.startswith("notebooks/"):
            return found[0]  # Sphinx names it
        return f"[{found['text']}]({repository}/blob/main/{path})" if repository else found["text"]

    parts = _CODE.split(text)
    for i in range(0, len(parts), 2):
        # A link whose text holds code was cut in two; it is put together again below.
        files += [_resolve(source, found["target"]) for found in _IMAGE.finditer(parts[i])]
    joined = _protected(parts)
    joined = _LINK.sub(link, joined)
    return _restored(joined, parts), files


def _resolve(source: str, target: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(source), target))


def _protected(parts: list[str]) -> str:
    """The text with a sign in place of each piece of code, so that a link's text may hold code."""
    return "".join(part if i % 2 == 0 else f"\x00{i}\x00" for i, part in enumerate(parts))


def _restored(text: str, parts: list[str]) -> str:
    return re.sub("\x00(\\d+)\x00", lambda found: parts[int(found[1])], text)
