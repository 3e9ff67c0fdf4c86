"""The verdicts of an import: printed, as a record, and as one HTML file that asks no network for anything."""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from motionlab.errors import InputError, printable
from motionlab.files import write_text
from motionlab.files.records import read_record, write_record
from motionlab.jobs.imports.records import ClipEntry, FileEntry
from motionlab.jobs.page_language import spoken
from motionlab.language import Own
from motionlab.motion.motion import Motion
from motionlab.motion.retargeting.verdict import LIMITS

JSON_FILE, PAGE = "verdicts.json", "verdicts.html"
WORDS = ("doubtful", "refused", "right")
FEW = 40  # clips that are printed one by one
MOST_ROWS = 2000  # of a table on the page
MOST_STRIPS = 60  # pictures on the page
_STRIP = (7, 96)  # moments, and pixels of each


@dataclass(frozen=True)
class Verdicts:
    """The content of `verdicts.json`.

    Args:
        counts: "right", "doubtful", "refused" and "unreadable" to a number.
        limits: measure -> lowest and highest value that is right, null for none.
        clips: name, source, format, verdict, reasons, measures and notes of each clip.
        unreadable: file -> why.
        unknown: suffix -> number of files that no format reads.
        broken: folder or link -> why it cannot be read.
    """

    counts: dict[str, int]
    limits: dict[str, list[float | None]]
    clips: list[dict[str, Any]]
    unreadable: dict[str, str]
    unknown: dict[str, int]
    broken: dict[str, str]


def write_verdicts(
    folder: Path,
    entries: Sequence[FileEntry],
    counts: Mapping[str, int],
    unknown: Mapping[str, int],
    broken: Mapping[str, str],
) -> None:
    """Write `verdicts.json`, doubtful clips first."""
    kept = ("name", "file", "format", "verdict", "reasons", "measures", "notes", "frames")
    clips = [{key: asdict(clip)[key] for key in kept} | {"source": entry.source} for entry, clip in _sorted(entries)]
    unreadable = {printable(entry.source): entry.error for entry in entries if entry.error}
    verdicts = Verdicts(dict(counts), _limits(), clips, unreadable, dict(unknown), dict(broken))
    write_record(folder / JSON_FILE, {"format": 1, **asdict(verdicts)})


def read_verdicts(folder: str | Path) -> Verdicts:
    """The rows that `write_verdicts` wrote.

    Raises:
        InputError: no such file, or another content.
    """
    return read_record(Path(folder) / JSON_FILE, Verdicts, expected="the verdicts of an import", fix="Import again.")


def write_page(folder: Path, entries: Sequence[FileEntry], counts: Mapping[str, int]) -> None:
    """Write `verdicts.html`: doubtful clips first, each with its reasons, its measures and a strip of figures."""
    from jinja2 import Environment, FileSystemLoader, select_autoescape

    from motionlab.jobs.report import table

    jobs = Path(__file__).parents[1]
    templates = Environment(
        loader=FileSystemLoader([jobs, Path(__file__).parent]), autoescape=select_autoescape(default=True),
        trim_blocks=True,
    )  # fmt: skip
    rows = _sorted(entries)
    sections = []
    for word in WORDS:
        clips = [(entry, clip) for entry, clip in rows if clip.verdict == word]
        if clips:
            shown = [
                _shown(folder, entry, clip, strip=at < MOST_STRIPS)
                for at, (entry, clip) in enumerate(clips[:MOST_ROWS])
            ]
            sections.append({"word": word, "count": len(clips), "clips": shown, "more": len(clips) - len(shown)})
    unreadable = [[Own(entry.source), Own(entry.error)] for entry in entries if entry.error]
    page = templates.get_template("verdicts.html.j2").render(
        folder=printable(folder.name),
        counts=counts,
        sections=sections,
        unreadable=table(["file", "why"], unreadable[:MOST_ROWS]) if unreadable else None,
        limits=table(
            ["measure", "at least", "at most"],
            [[name, *("" if value is None else f"{value:g}" for value in pair)] for name, pair in _limits().items()],
        ),
    )
    write_text(folder / PAGE, spoken(page))


def verdict_lines(entries: Sequence[FileEntry]) -> list[str]:
    """The table that is printed: one line per clip; of many, those that are not right; of very many, the reasons."""
    rows = _sorted(entries)
    some = rows if len(rows) <= FEW else [(entry, clip) for entry, clip in rows if clip.verdict != "right"]
    if len(some) > FEW:
        reasons = Counter(f"{clip.verdict:<9} {_kind(reason)}" for _, clip in some for reason in clip.reasons[:1])
        return [f"{count:>7,} x {text}" for text, count in reasons.most_common(FEW)]
    width = max((len(printable(clip.name)) for _, clip in some), default=0)
    return [
        f"{clip.verdict:<9} {printable(clip.name):<{width}} {clip.frames:>6} frames  "
        + printable(" ".join(clip.reasons) or " ".join(clip.notes))[:200]
        for _, clip in some
    ]


def _kind(reason: str) -> str:
    """A reason without its numbers, so that equal ones can be counted."""
    return " ".join("N" if any(letter.isdigit() for letter in word) else word for word in reason.split())[:150]


def _sorted(entries: Sequence[FileEntry]) -> list[tuple[FileEntry, ClipEntry]]:
    """Clips with their files: doubtful, refused, right; within each in the order of the import."""
    rows = [(entry, clip) for entry in entries for clip in entry.clips]
    return sorted(rows, key=lambda row: WORDS.index(row[1].verdict))


def _limits() -> dict[str, list[float | None]]:
    found: dict[str, list[float | None]] = {}
    for limit in LIMITS:
        pair = found.setdefault(limit.measure, [None, None])
        if limit.low is not None:
            pair[0] = limit.low
        if limit.high is not None:
            pair[1] = limit.high
    return found


def _shown(folder: Path, entry: FileEntry, clip: ClipEntry, strip: bool) -> dict[str, Any]:
    limits = _limits()
    measures = []
    for name, value in clip.measures.items():
        low, high = limits.get(name, [None, None])
        bad = (low is not None and value < low) or (high is not None and value > high)
        measures.append({"name": name, "value": f"{value:.4g}", "bad": bad})
    return {
        "name": printable(clip.name),
        "source": printable(entry.source),
        "facts": f"{clip.format}, {clip.frames} frames" if clip.frames else clip.format,
        "reasons": [printable(reason) for reason in clip.reasons],
        "notes": [printable(note) for note in clip.notes],
        "captions": [printable(text) for text in clip.captions[:3]],
        "measures": measures,
        "strip": _strip(folder / clip.file) if strip and clip.verdict == "doubtful" else None,
    }


def _strip(path: Path) -> str | None:
    """A few moments of a clip, as the address of a picture that is in the page itself."""
    from motionlab.plots.gif import film_strip

    try:
        joints = Motion.load(path).joints()
    except InputError:  # removed since
        return None
    picture = film_strip(joints, _STRIP[0], size=_STRIP[1]).quantize(32)
    file = io.BytesIO()
    picture.save(file, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
