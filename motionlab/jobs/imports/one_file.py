"""One file of motions: read, retargeted, judged, written. It runs in a process of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from motionlab.data.captions_file import read_caption_lines
from motionlab.data.takes import take_of
from motionlab.errors import InputError, MissingExtra, is_out_of_memory
from motionlab.files import sha256
from motionlab.files.reading import read_text, reason
from motionlab.jobs.imports.files import WITHIN, Source, numbered, safe_name
from motionlab.jobs.imports.records import MOTIONS, QUARANTINE, ClipEntry, FileEntry, Settings
from motionlab.motion.formats.read import find_format
from motionlab.motion.formats.source import Reading, ReadOptions
from motionlab.motion.motion import Motion
from motionlab.motion.retargeting.retarget import retarget
from motionlab.motion.retargeting.verdict import Verdict, judge

_STILL = 0.1  # cm
FPS = 30.0  # of the clips: that of the published features


@dataclass(frozen=True)
class _Judged:
    motion: Motion | None
    verdict: Verdict
    notes: tuple[str, ...]


def import_file(source: Source, out: Path, settings: Settings) -> FileEntry:
    """Read one file and write its clips into `out`. A file that cannot be read is an entry with an error.

    Raises:
        InputError: a clip cannot be written.
    """
    torch.set_num_threads(1)  # one process a core; and the same bits whatever their number
    entry = FileEntry(str(source.path.resolve()), source.source, source.stem, "")
    try:
        entry = replace(entry, sha256=sha256(source.path))
        known = find_format(source.path)
        readings = iter(known.read(source.path, ReadOptions(settings.fps, settings.unit, settings.up)))
    except Exception as failure:  # a reader may meet anything in a file; the other files are read all the same
        return replace(entry, error=_told(failure))
    captions, remarks = _own_captions(source)
    clips: list[ClipEntry] = []
    waiting: Reading | None = None  # one motion is looked ahead: whether there are several decides about names
    while True:
        try:
            reading = next(readings, None)
        except Exception as failure:
            entry, reading = replace(entry, error=_told(failure)), None
        if waiting is not None:
            several = bool(clips) or reading is not None
            name = source.stem if not several else _inner_name(source.stem, waiting, clips)
            clip = _imported(waiting, name, out, settings)
            clips.append(
                replace(
                    _with_source(clip, source, several),
                    format=known.name,
                    captions=list(dict.fromkeys([*waiting.captions, *captions])),
                    notes=[*waiting.notes, *clip.notes, *remarks],
                )
            )
        if reading is None:
            return replace(entry, clips=clips)
        waiting = reading


def _imported(reading: Reading, name: str, out: Path, settings: Settings) -> ClipEntry:
    """The clip of a motion, written where its verdict says."""
    judged = _judge(reading)
    motion, word, file, digest = judged.motion, judged.verdict.verdict, "", ""
    if motion is not None and word != "refused":
        folder = QUARANTINE if word == "doubtful" and not settings.keep_doubtful else MOTIONS
        file = f"{folder}/{name}.npz"
        motion = replace(motion, name=name)
        motion.save(out / file)
        digest = hashlib.sha256(motion.features.contiguous().numpy().tobytes()).hexdigest()
    measures = {key: round(value, 4) for key, value in judged.verdict.measures.items() if abs(value) < float("inf")}
    return ClipEntry(
        name=name,
        file=file,
        verdict=word,
        reasons=list(judged.verdict.reasons),
        measures=measures,
        notes=list(judged.notes),
        frames=0 if motion is None else len(motion),
        fps=FPS,
        sha256=digest,
    )


def _judge(reading: Reading) -> _Judged:
    """Retarget and judge; a body that is not understood is refused."""
    motion = reading.motion
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    reference = None
    try:
        if isinstance(motion, Motion):
            ours = motion.resample(fps=FPS)
        else:
            result = retarget(motion, fps=FPS)
            ours, reference, notes, doubts = result.motion, result.reference, result.notes, result.doubts
        verdict = judge(ours, reference, source_fps=motion.fps, doubts=doubts)
        if verdict.measures.get("movement_cm", 1.0) < _STILL:
            notes = (*notes, "Nothing moves.")
        return _Judged(ours, verdict, notes)
    except Exception as failure:
        return _Judged(None, Verdict("refused", (_told(failure),), {}), ())


def _with_source(clip: ClipEntry, source: Source, several: bool) -> ClipEntry:
    """Which take it is: the path without suffix, and the motion's own name where a file has several."""
    take = source.source.removesuffix(source.path.suffix)
    if several:
        take = f"{take}/{clip.name.partition(WITHIN)[2]}"
    return replace(clip, source=take_of(take), mirrored=take_of(take) != take)


def _inner_name(stem: str, reading: Reading, clips: Sequence[ClipEntry]) -> str:
    """The stem with the motion's own name behind it, or its number in the file."""
    own = safe_name(reading.motion.name) if reading.motion.name else ""
    name = own if own and own != stem else f"{len(clips) + 1:04d}"
    return numbered(f"{stem}{WITHIN}{name}", {clip.name.casefold() for clip in clips})


def _own_captions(source: Source) -> tuple[list[str], list[str]]:
    """The captions of the text file next to a motion, and a note about those that are left out."""
    if source.captions is None:
        return [], []
    try:
        text = read_text(source.captions, expected="captions, one a line", fix="Correct the file.")
        found = read_caption_lines(text, source.captions)
    except InputError as failure:
        return [], [f"Its captions were not read: {failure}"]
    parts = sum(not caption.whole for caption in found)
    note = [f"{parts} captions of parts of the motion were left out."] if parts else []
    return [caption.text for caption in found if caption.whole], note


def _told(failure: Exception) -> str:
    """An error on one line. A lack of memory is told like any other: the next file may be smaller."""
    if isinstance(failure, (InputError, MissingExtra)):
        return " ".join(str(failure).split())
    return "not enough memory for this file" if is_out_of_memory(failure) else reason(failure)
