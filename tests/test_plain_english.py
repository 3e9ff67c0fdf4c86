"""Docstrings, comments and lessons are in plain English: no translated idiom, no sentence that begins with What or Who.

Only what can be told by a word is looked for. A question may begin with What.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.prose import code_files, prose

IDIOMS = re.compile(r"\b(goes on|go on|went on|stands? in|beside|mend(?:s|ed|ing)?|let us)\b", re.IGNORECASE)
SENTENCE = re.compile(r"(?:\A|[.!?:]\s+|\n\s*\n)\s*(?:What|Who|Whoever|Whatever)\b[^.?!]*[.?!]")
LOOKED_AT = ("motionlab", "notebooks", "tools", "benchmarks")


def not_plain(text: str) -> list[str]:
    """The idioms of a text, and its sentences that begin with What or Who and ask nothing; `**` hides none."""
    text = text.replace("**", "")
    sentences = [found.group() for found in SENTENCE.finditer(text if "\n" in text else text.lstrip("# "))]
    begun = [sentence.strip(" .:\n") for sentence in sentences if not sentence.endswith("?")]
    return [found.group() for found in IDIOMS.finditer(text)] + [sentence[:60] for sentence in begun]


def test_docstrings_comments_and_lessons_are_plain(root: Path) -> None:
    files = [path for path in code_files(root) if path.relative_to(root).parts[0] in LOOKED_AT]
    assert len(files) > 600, "it sees something"
    guilty = {str(path.relative_to(root)): bad for path in files for text in prose(path) if (bad := not_plain(text))}
    assert guilty == {}


def test_pages_are_plain(root: Path) -> None:
    pages = [root / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted(
        (root / "docs").glob("*.md")
    )
    assert len(pages) > 8
    texts = {
        path.name: re.sub(r"```.*?```|`[^`]*`", "`", path.read_text(encoding="utf-8"), flags=re.S) for path in pages
    }
    assert {name: bad for name, text in texts.items() if (bad := not_plain(text))} == {}


@pytest.mark.parametrize(
    ("text", "bad"),
    [
        ("The rest goes on. It stands in a file.", ["goes on", "stands in"]),
        ("What a run keeps.", ["What a run keeps"]),
        ("A line.\n\nWhoever reads it is lost.", ["Whoever reads it is lost"]),
        ("It is said. What follows is not.", ["What follows is not"]),
        ("It is said. **What follows** is not.", ["What follows is not"]),
        ("What is a token? A number that stands for a piece of motion.", []),
        ("The loss continues to fall; besides, it is recommended. Say what it does.", []),
    ],
)
def test_the_check_sees_what_is_not_plain(text: str, bad: list[str]) -> None:
    assert [found.strip(". ") for found in not_plain(text)] == bad
