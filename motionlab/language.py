"""The language in which motionlab speaks: with `MOTIONLAB_LANG=zh`, help, widgets and hints are Chinese.

Code says everything in English. Where a text is shown, `tr` looks it up in the file `zh.yaml` next to that code, a list
of pairs:

    - en: "expected {right}, got {found}."
      zh: "应为 {right}，实际为 {found}。"

A name in braces stands for whatever is there in the English text: a name of one letter for a number, one in capitals
for words that are not ours, such as a caption or the name of a run, which stay as they are. The Chinese text may have
them in another place. A text without a pair stays English. Plain YAML, and no gettext: a reader sees both languages
next to each other, and nothing has to be compiled.

English in every language: errors and logs, because people look them up on the web; names of parameters, options and
presets, and JSON, because programs read them; the words inside pictures.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from motionlab.environment import language
from motionlab.files.reading import read_text, refusing

FILE = "zh.yaml"
NAME = re.compile(r"\{(\w+)\}")  # what differs from time to time, in a pair
NUMBER = r"[-+≈]*(?:\d[\d.,]*(?:e[-+]?\d+)?|nan|inf)"


def html_language() -> str:
    """The language of this reader as a page of HTML names it."""
    return {"en": "en", "zh": "zh-CN"}[language()]


def script_words(place: str | Path) -> dict[str, str]:
    """All pairs next to a file of code, for a script that asks no server; none in English.

    The script looks its texts up itself, and puts values in the places of the names.
    """
    return {} if language() == "en" else dict(catalogue(Path(place).with_name(FILE)).pairs)


class Own(str):
    """Words of the reader or of data, such as a caption: `tr` leaves them as they are, whatever they are."""

    own = True  # for templates


def tr(text: str, *places: str | Path) -> str:
    """A text in the language that was asked for.

    Args:
        text: English, with its values already in it.
        places: files of code, mostly `__file__`. The catalogue next to the first one is asked first.

    >>> tr("Hint 1 of 2 for rope.turn", "motionlab/teaching/exercise.py")
    'Hint 1 of 2 for rope.turn'
    """
    if language() == "en" or isinstance(text, Own):
        return text
    return _chinese(text, [catalogue(Path(place).with_name(FILE)) for place in places])


def _chinese(text: str, known: Sequence[Catalogue]) -> str:
    found = next((found for each in known if (found := each.find(text)) is not None), None)
    if found is None:
        return text
    chinese, values = found
    # A value may have a pair of its own: "nothing" in "token 3 sees nothing".
    return NAME.sub(lambda name: values[name[1]] if name[1].isupper() else _chinese(values[name[1]], known), chinese)


class Catalogue:
    """Pairs of one file.

    >>> Catalogue({"{n} codes": "{n} 个码", "expected {a}, got {b}.": "应为 {a}，实际为 {b}。"}).find("8 codes")
    ('{n} 个码', {'n': '8'})
    """

    def __init__(self, pairs: Mapping[str, str]) -> None:
        self.pairs = pairs
        self.exact = {english: chinese for english, chinese in pairs.items() if not NAME.search(english)}
        rest = sorted(pairs.keys() - self.exact.keys(), key=lambda english: (-len(NAME.sub("", english)), english))
        self.patterns = [(_pattern(english), pairs[english]) for english in rest]  # the most exact one comes first

    def find(self, text: str) -> tuple[str, dict[str, str]] | None:
        """The Chinese text and the values of its names; None without a pair that fits."""
        if text in self.exact:
            return self.exact[text], {}
        for pattern, chinese in self.patterns:
            if found := pattern.fullmatch(text):
                return chinese, found.groupdict()
        return None


def _pattern(english: str) -> re.Pattern[str]:
    """A text with names as an expression that finds their values."""
    parts = NAME.split(english)  # text, name, text, name, ... text
    fixed = map(re.escape, parts[::2])
    names = [f"(?P<{name}>{NUMBER if len(name) == 1 else '.*?'})" for name in parts[1::2]]
    return re.compile("".join(piece for pair in zip(fixed, [*names, ""], strict=True) for piece in pair), re.DOTALL)


@functools.cache
def catalogue(path: Path) -> Catalogue:
    """The pairs of a file; none where there is no file.

    Raises:
        InputError: it is no list of pairs of texts.
    """
    if not path.exists():
        return Catalogue({})
    expected, fix = "a list of pairs, en and zh", "Correct the file."
    with refusing(path, expected=expected, fix=fix):
        entries = yaml.safe_load(read_text(path, expected=expected, fix=fix)) or []
        return Catalogue({str(entry["en"]): str(entry["zh"]) for entry in entries})


def width_of(text: str) -> int:
    """How many columns a text takes on a terminal: a Chinese letter takes two.

    >>> width_of("FSQ"), width_of("词元")
    (3, 4)
    """
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)
