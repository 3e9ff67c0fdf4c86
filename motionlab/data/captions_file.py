"""Captions of motions, from the files that people keep them in.

    captions.csv      name,caption (a header names the columns; start and end in seconds may follow); ; or tabs will do
    captions.jsonl    {"name": "walk", "caption": "a person walks"}, or "captions": [...], or timed entries
    captions.json     {"walk": ["a person walks", ...], ...}, or a list of such objects
    captions.txt      walk<TAB>a person walks (also `walk: ...` or `walk|...`)
    walk.txt          next to walk.bvh: one caption a line, or `caption#tokens#from#to` as in HumanML3D

A timed caption is about a part of its motion: `from` and `to` seconds, where 0 and 0 mean the whole. The part becomes
a clip of its own, because a caption of one action says little about ten others.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from motionlab.errors import InputError
from motionlab.files.reading import read_text, refusing
from motionlab.files.records import parse_json

SUFFIXES = (".csv", ".jsonl", ".json", ".txt")
NAMES = ("name", "file", "filename", "motion", "clip", "id")
TEXTS = ("caption", "text", "description", "sentence", "label", "proc_label", "raw_label")
STARTS = ("start", "from", "start_time", "start_t", "begin", "start_seconds")
ENDS = ("end", "to", "end_time", "end_t", "stop", "end_seconds")
LISTS = ("captions", "texts", "segments", "events", "annotations", "labels", "seq_ann", "frame_ann")
LONGEST = 20_000  # letters of a caption; more is another kind of file
_EXPECTED, _FIX = "captions of motions", "Correct the file; docs/own_motions.md shows the forms."


@dataclass(frozen=True)
class Caption:
    """A sentence about a motion, or about its part from `start` to `end` seconds; both 0 mean the whole."""

    text: str
    start: float = 0.0
    end: float = 0.0

    @property
    def whole(self) -> bool:
        """Whether it is about the whole motion."""
        return self.start == self.end == 0.0


def read_captions(path: str | Path) -> dict[str, list[str]]:
    """The captions of each motion, by its name without suffix. For files whose captions are about whole motions.

    Raises:
        InputError: as `read_timed_captions`; or a caption is about a part.
    """
    found = read_timed_captions(path)
    for name, captions in found.items():
        for caption in captions:
            if not caption.whole:
                raise InputError(
                    path,
                    found=f"a caption of seconds {caption.start:g} to {caption.end:g} of {name}",
                    expected="captions of whole motions",
                    fix="Put the file into the folder of the motions; data.source=folder cuts the parts.",
                )
    return {name: [caption.text for caption in captions] for name, captions in found.items()}


def read_timed_captions(path: str | Path) -> dict[str, list[Caption]]:
    """The captions of each motion, by its name without suffix, in the order of the file; none is blank.

    Raises:
        InputError: no such file, another suffix, or a line that holds no caption; the message names it.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(path, found=f"suffix {path.suffix!r}", expected=", ".join(SUFFIXES), fix="Rename the file.")
    text = read_text(path, expected=_EXPECTED, fix=_FIX)
    rows = {".csv": _csv_rows, ".jsonl": _json_lines, ".json": _json_rows, ".txt": _text_rows}[path.suffix.lower()]
    found: dict[str, list[Caption]] = {}
    for where, name, caption in rows(text, str(path)):
        key = clip_key(name)
        if not key:
            raise InputError(where, found="no name of a motion", expected=_EXPECTED, fix=_FIX)
        if caption is not None and caption not in found.setdefault(key, []):
            found[key].append(caption)
    return {name: captions for name, captions in found.items() if captions}


def read_caption_lines(text: str, where: object) -> list[Caption]:
    """The captions of a text file that belongs to one motion: one a line, or `caption#tokens#from#to`.

    Raises:
        InputError: a line with `#` whose times are none.

    >>> read_caption_lines("a man walks#a/DET man/NOUN walk/VERB#0.0#0.0\\n\\nhe turns##2.0#3.5\\n", "walk.txt")
    [Caption(text='a man walks', start=0.0, end=0.0), Caption(text='he turns', start=2.0, end=3.5)]
    """
    found: list[Caption] = []
    for number, line in enumerate(text.splitlines(), start=1):
        words, *rest = line.split("#")
        if not words.strip():
            continue
        times: tuple[Any, Any] = (0.0, 0.0)
        if len(rest) >= 3:
            times = (rest[-2], rest[-1])
        elif rest:
            words = line  # a caption may hold the sign
        caption = _caption(words, *times, f"{where}, line {number}")
        if caption is not None and caption not in found:
            found.append(caption)
    return found


def clip_key(name: str) -> str:
    """The name by which a caption finds its motion: without suffix, with `/` between folders.

    >>> clip_key("walks\\\\first.BVH"), clip_key(" 000001 "), clip_key("v1.2 take")
    ('walks/first', '000001', 'v1.2 take')
    """
    name = name.strip().replace("\\", "/").removeprefix("./")
    stem, dot, suffix = name.rpartition(".")
    return stem if dot and stem and suffix.isalnum() and len(suffix) <= 5 and not suffix.isdigit() else name


def file_key(source: str) -> str:
    """The same without folders: captions may name the file alone.

    >>> file_key("walks/first.bvh")
    'first'
    """
    return clip_key(source).rpartition("/")[2]


def _caption(text: Any, start: Any, end: Any, where: str) -> Caption | None:
    """A caption out of three values of a file; None for a blank one."""
    if not isinstance(text, str):
        raise InputError(where, found=f"a caption that is a {type(text).__name__}", expected="text", fix=_FIX)
    text = " ".join(text.split())
    if not text:
        return None
    if len(text) > LONGEST or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise InputError(where, found="no sentence", expected=f"text of at most {LONGEST:,} letters", fix=_FIX)
    try:
        first, last = (0.0 if value in (None, "") else float(value) for value in (start, end))
    except (TypeError, ValueError, OverflowError):
        first, last = math.nan, math.nan
    if math.isnan(first) and math.isnan(last) and all(str(value).strip().lower() == "nan" for value in (start, end)):
        first = last = 0.0  # HumanML3D has such lines for whole clips
    if not (math.isfinite(first) and math.isfinite(last) and (first == last == 0.0 or 0.0 <= first < last)):
        found = f"from {str(start)[:20]!r} to {str(end)[:20]!r}"
        raise InputError(where, found=found, expected="two times in seconds, the second one later", fix=_FIX)
    return Caption(text, first, last)


Row = tuple[str, str, Caption | None]  # place for messages, name of the motion, caption


def _csv_rows(text: str, path: str) -> Iterator[Row]:
    with refusing(path, expected="a CSV file", fix=_FIX):
        table = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
        lines = [(table.line_num, row) for row in table]
    lines = [(number, row) for number, row in lines if any(cell.strip() for cell in row)]
    if not lines:
        return
    header = [cell.strip().lower() for cell in lines[0][1]]
    columns = {kind: _column(header, names) for kind, names in (("name", NAMES), ("text", TEXTS))}
    times = [_column(header, names) for names in (STARTS, ENDS)]
    if columns["name"] is None or columns["text"] is None:
        if len(header) != 2:
            expected = f"a header with {NAMES[0]} and {TEXTS[0]}, or two columns"
            raise InputError(f"{path}, line 1", found=f"columns {', '.join(header)[:100]}", expected=expected, fix=_FIX)
        columns, times = {"name": 0, "text": 1}, [None, None]
    else:
        lines = lines[1:]
    for number, row in lines:
        where = f"{path}, line {number}"
        if len(row) != len(header):
            found = f"{len(row)} values"
            fix = "Put a caption with a comma into quotes."
            raise InputError(where, found=found, expected=f"{len(header)}, one for each column", fix=fix)
        start, end = (None if column is None else row[column] for column in times)
        assert columns["name"] is not None and columns["text"] is not None
        yield where, row[columns["name"]], _caption(row[columns["text"]], start, end, where)


def _delimiter(text: str) -> str:
    """The sign between two values: a comma; or a semicolon or a tab, as spreadsheets write in half of the world.

    >>> _delimiter("name;caption\\nwalk;goes, slowly"), _delimiter("walk\\tgoes"), _delimiter("walk,goes; then stops")
    (';', '\\t', ',')
    """
    first = next((line for line in text.splitlines() if line.strip()), "")
    parts = {sign: [part.strip(' "').lower() for part in first.split(sign)] for sign in ",;\t"}
    titled = [sign for sign, row in parts.items() if set(row) & set(NAMES) and set(row) & set(TEXTS)]
    pairs = sorted(
        (first.index(sign), sign) for sign, row in parts.items() if len(row) == 2
    )  # a caption may hold others
    return (titled or [sign for _, sign in pairs] or [","])[0]


def _column(header: list[str], names: tuple[str, ...]) -> int | None:
    return next((header.index(name) for name in names if name in header), None)


def _text_rows(text: str, path: str) -> Iterator[Row]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        for sign in ("\t", "|", ": "):
            name, found, words = line.partition(sign)
            if found:
                yield where, name, _caption(words, None, None, where)
                break
        else:
            expected = "the name of a motion, a tab, and its caption"
            raise InputError(where, found=repr(line[:60]), expected=expected, fix=_FIX)


def _json_lines(text: str, path: str) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            where = f"{path}, line {number}"
            yield from _json_entry(parse_json(line, where, expected="a JSON object", fix=_FIX), None, where)


def _json_rows(text: str, path: str) -> Iterator[Row]:
    values = parse_json(text, path, expected=_EXPECTED, fix=_FIX)
    if isinstance(values, list):
        for number, value in enumerate(values, start=1):
            yield from _json_entry(value, None, f"{path}, entry {number}")
    elif isinstance(values, Mapping):
        for name, value in values.items():
            yield from _json_entry(value, name, f"{path}, entry {name[:60]!r}")
    else:
        raise InputError(path, found=f"a {type(values).__name__}", expected=_EXPECTED, fix=_FIX)


def _json_entry(value: Any, name: str | None, where: str) -> Iterator[Row]:
    """The captions of one motion, in any of the forms."""
    if name is None:
        value = value if isinstance(value, Mapping) else {}
        name = next((str(value[key]) for key in NAMES if isinstance(value.get(key), str | int)), None)
        if name is None:
            raise InputError(where, found="no name of a motion", expected=f"an object with {NAMES[0]}", fix=_FIX)
    for caption in _json_captions(value, where, 0):
        yield where, name, caption


def _json_captions(value: Any, where: str, depth: int) -> Iterator[Caption | None]:
    if isinstance(value, str):
        yield _caption(value, None, None, where)
    elif isinstance(value, list) and depth < 4:
        for part in value:
            yield from _json_captions(part, where, depth + 1)
    elif isinstance(value, Mapping) and depth < 4:
        keys = [key for key in TEXTS if isinstance(value.get(key), str)]
        start, end = (next((value[key] for key in names if key in value), None) for names in (STARTS, ENDS))
        if keys:
            yield _caption(value[keys[0]], start, end, where)
        lists = [value[key] for key in LISTS if value.get(key) is not None]
        for part in lists:
            yield from _json_captions(part, where, depth + 1)
        if not keys and not lists:
            raise InputError(where, found="an entry without text", expected=f"{TEXTS[0]} or {LISTS[0]}", fix=_FIX)
    else:
        raise InputError(where, found=f"a {type(value).__name__}", expected="text, or a list of it", fix=_FIX)
