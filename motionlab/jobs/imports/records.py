"""The records of an import: a line for each clip, and a log by which it continues after a kill.

OUT/clips.jsonl       one line per clip that has a file: what training and audit read
OUT/import.jsonl      the settings, then one line per file that was read; also the sign that a folder is an import
OUT/motions/NAME.npz  right clips
OUT/quarantine/NAME.npz  doubtful ones
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from motionlab.errors import InputError
from motionlab.files import cannot_write, write_text
from motionlab.files.records import parse_json, typed
from motionlab.motion.retargeting.verdict import Word

CLIPS, LOG = "clips.jsonl", "import.jsonl"
MOTIONS, QUARANTINE = "motions", "quarantine"
VERSION = 1
LONGEST_LINE = 1 << 26  # letters of a line of the log: a file may have many motions
_EXPECTED, _FIX = "a line of an import", "Import again into another folder, or with --overwrite."


@dataclass(frozen=True)
class ClipEntry:
    """A motion that was read.

    Args:
        name: of the clip, unlike all others.
        file: of the clip, below the folder; "" for one that was refused.
        format: of the file that it was read from.
        captions: sentences about it.
        source: its take; recordings of one take and mirrored twins share it.
        subject: who moved, where the source says.
        mirrored: whether its name says that it is a mirror image.
        verdict: "right", "doubtful" or "refused".
        reasons: why it is not right.
        measures: of the verdict.
        notes: of reading and retargeting.
        frames: `T`.
        fps: frames a second.
        sha256: of the features.
    """

    name: str
    file: str
    format: str = ""
    captions: list[str] = field(default_factory=list)
    source: str = ""
    subject: str | None = None
    mirrored: bool = False
    verdict: Word = "right"
    reasons: list[str] = field(default_factory=list)
    measures: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    frames: int = 0
    fps: float = 30.0
    sha256: str = ""


@dataclass(frozen=True)
class FileEntry:
    """A file that was read, with its clips.

    Args:
        path: of the file, absolute.
        source: its path below the folder that was given.
        stem: of the names of its clips.
        sha256: of its content.
        clips: in their order.
        error: why it could not be read, or not to its end; "" when it could.
    """

    path: str
    source: str
    stem: str
    sha256: str
    clips: list[ClipEntry] = field(default_factory=list)
    error: str = ""


@dataclass(frozen=True)
class Settings:
    """Settings that shape the clips. An import continues with the same settings only."""

    fps: float | None = None
    unit: str | None = None
    up: str | None = None
    keep_doubtful: bool = False
    version: int = VERSION


class Log:
    """The log of an import: what is known of its files, and lines that are added while it runs."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.path, self.settings = folder / LOG, settings
        self.known = dict[str, FileEntry]()

    def read(self) -> None:
        """Take over what an earlier import left. A last line that a kill cut short is left out.

        Raises:
            InputError: another import's settings, or a line that is none.
        """
        if not self.path.is_file():
            return
        with open(self.path, encoding="utf-8", errors="replace", newline="\n") as file:
            for number, line in enumerate(iter(lambda: file.readline(LONGEST_LINE), ""), start=1):
                if not line.endswith("\n"):
                    return
                where = f"{self.path}, line {number}"
                values = parse_json(line, where, expected=_EXPECTED, fix=_FIX)
                if number == 1:
                    self._compare(typed(values, Settings, where, expected=_EXPECTED, fix=_FIX))
                else:
                    self._take(typed(values, FileEntry, where, expected=_EXPECTED, fix=_FIX), where)

    def write(self, entries: Sequence[FileEntry]) -> None:
        """Write the whole log anew, whole or not at all."""
        lines = [_line(asdict(self.settings)), *(_line(asdict(entry)) for entry in entries)]
        write_text(self.path, "".join(lines))

    def add(self, entry: FileEntry) -> None:
        """Add one line."""
        try:
            with open(self.path, "a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(_line(asdict(entry)))
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def _take(self, entry: FileEntry, where: str) -> None:
        for clip in entry.clips:  # files that may be removed later: nothing but clips of this folder
            places = [f"{folder}/{clip.name}.npz" for folder in (MOTIONS, QUARANTINE)]
            if clip.file and (clip.file not in places or any(sign in clip.name for sign in "/\\\0")):
                raise InputError(where, found=f"file {clip.file[:80]!r}", expected="one of the clip's name", fix=_FIX)
        self.known[entry.path] = entry

    def _compare(self, before: Settings) -> None:
        for name, value in asdict(self.settings).items():
            old = getattr(before, name)
            if old != value:
                raise InputError(
                    self.path.parent,
                    found=f"an import with {name.replace('_', '-')} {old}",
                    expected=f"{value}, as is asked for now",
                    fix="Use the same settings, another folder, or --overwrite.",
                )


def write_clips(folder: Path, entries: Sequence[FileEntry]) -> None:
    """Write `clips.jsonl`: the clips that have a file."""
    clips = [asdict(clip) for entry in entries for clip in entry.clips if clip.file]
    write_text(folder / CLIPS, "".join(map(_line, clips)))


def _line(values: dict[str, Any]) -> str:
    return json.dumps(values, ensure_ascii=False, allow_nan=False) + "\n"
