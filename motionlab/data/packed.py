"""From clips of any source to three packed splits in the cache: resumable, one clip in memory at a time.

A source is a list of `Unit`s, such as one archive or a thousand files. Each unit is packed on its own first, so that a
killed preparation continues after the last whole one. Then every clip is known by name, take and digest, the splits are
decided, and the clips are packed again in their split. The parts are removed at the end.

    data-<key>/train, validation, test     stores
    data-<key>/left_out.jsonl              one line per clip that was left out: name, reason
    data-<key>/data.json                   name, note, counts; written last
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from motionlab.data.building import building
from motionlab.data.captions_file import Caption
from motionlab.data.splits import Clips, Splits
from motionlab.data.store import Clip, MotionStore, pack
from motionlab.data.takes import SPLITS, TEST, TRAIN, VALIDATION, Decision, Entry
from motionlab.data.tar_members import ARCHIVE, MEMBER
from motionlab.errors import InputError, printable
from motionlab.files import write_text
from motionlab.files.lock import locked
from motionlab.files.reading import read_text
from motionlab.files.records import parse_json, read_record, write_record
from motionlab.motion.motion import Motion

FORMAT = 1  # raise it when the same files give other bytes than before
FPS = 30.0
LEFT_OUT = "left_out.jsonl"
MOST_REASONS = 12  # that a note tells
LARGEST = 10_000.0  # of any feature: ten kilometres; float16 ends at 65,504
_DAYS = 7 * 24 * 3600.0
_FIX = "Delete the folder; it is built again."


@dataclass(frozen=True)
class Limits:
    """Which clips are taken.

    Args:
        min_frames, max_frames: at 30 fps; None is no limit.
        captions: whether a clip without text is left out.
        quarantine: name -> reason, of clips that are left out.
    """

    min_frames: int = 3
    max_frames: int | None = None
    captions: bool = True
    quarantine: dict[str, str] = field(default_factory=dict)


class LeftOut:
    """The clips that were left out, each with a reason that can be counted."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str]] = []

    def add(self, name: str, reason: str) -> None:
        self.rows.append((name, reason))

    def save(self, path: Path) -> None:
        rows = [{"name": printable(name), "reason": printable(reason)} for name, reason in self.rows]
        write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))

    def load(self, path: Path) -> None:
        """Add what `save` wrote."""
        for number, line in enumerate(read_text(path, expected="clips left out", fix=_FIX).split("\n"), start=1):
            if not line:
                continue
            row = parse_json(line, f"{path}, line {number}", expected="a clip left out", fix=_FIX)
            self.add(str(row["name"]), str(row["reason"]))

    def sentences(self) -> list[str]:
        """One sentence for each reason, with the first names; at most `MOST_REASONS` of them, the most frequent ones.

        >>> left = LeftOut(); left.add("a", "without captions"); left.add("b", "without captions"); left.sentences()
        ['2 clips were left out, without captions: a, b.']
        """
        found: dict[str, list[str]] = {}
        for name, reason in self.rows:
            found.setdefault(reason, []).append(name)
        told = []
        reasons = sorted(found.items(), key=lambda item: -len(item[1]))
        for reason, names in reasons[:MOST_REASONS]:
            more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
            shown = ", ".join(printable(name) for name in names[:3])
            if reason.startswith(ARCHIVE):
                told.append(f"{shown}{more}: {reason}.")
                continue
            kind = "file" if reason.startswith(MEMBER) else "clip"
            clips = f"1 {kind} was" if len(names) == 1 else f"{len(names):,} {kind}s were"
            told.append(f"{clips} left out, {reason}: {shown}{more}.")
        rest = sum(len(names) for _, names in reasons[MOST_REASONS:])
        if rest:
            told.append(f"{rest:,} more were left out for other reasons; {LEFT_OUT} in the cache lists all.")
        return told


@dataclass(frozen=True)
class Unit:
    """A part of a source that is read in one go.

    Args:
        key: letters and digits that change with the content.
        clips: its clips, one after the other, at 30 fps; what it leaves out is added to the argument.
    """

    key: str
    clips: Callable[[LeftOut], Iterator[Clip]]


@dataclass(frozen=True)
class Note:
    """The content of `data.json`."""

    key: str
    name: str
    note: str
    also: dict[str, str]
    clips: dict[str, int]
    left_out: dict[str, int]


def clips_of(
    name: str, take: str, motion: Motion, captions: Sequence[Caption], limits: Limits, left_out: LeftOut
) -> Iterator[Clip]:
    """A motion with its captions as clips at 30 fps: the whole, and each part that timed captions are about."""
    motion = motion.resample(fps=FPS)
    spans: dict[tuple[float, float], list[str]] = {}
    for caption in captions:
        spans.setdefault((caption.start, caption.end), []).append(caption.text)
    if not spans:
        if limits.captions:
            left_out.add(name, "without captions")
            return
        spans = {(0.0, 0.0): []}
    for (start, end), texts in spans.items():
        part, label = motion, name
        if end > 0.0:
            label = f"{name}@{start:g}-{end:g}"
            # A time may be any number, one that overflows in frames included.
            first, last = (round(min(time, len(motion) / FPS) * FPS) for time in (start, end))
            if last <= first:
                after = start * FPS >= len(motion)
                left_out.add(label, "a caption of a part after the end" if after else "a caption of less than a frame")
                continue
            part = motion.crop(first, last)
        if name in limits.quarantine or label in limits.quarantine:
            left_out.add(label, "in quarantine")
            continue
        if float(part.features.abs().max()) > LARGEST:
            left_out.add(label, "with numbers that are no motion")
        elif len(part) < limits.min_frames:
            left_out.add(label, f"shorter than {limits.min_frames} frames")
        elif limits.max_frames is not None and len(part) > limits.max_frames:
            left_out.add(label, f"longer than {limits.max_frames} frames")
        else:
            yield Clip(label, replace(part, name=label, fps=FPS), texts, source=take)


def without_clip(limits: Limits, entries: Sequence[Entry], left_out: LeftOut) -> list[str]:
    """A sentence about names in quarantine that are no clip here: they were meant to keep something out."""
    here = {entry.name for entry in entries} | {name for name, _ in left_out.rows}
    here |= {name.rpartition("@")[0] for name in here}
    names = sorted(set(limits.quarantine) - here)
    if not names:
        return []
    more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
    return [f"The quarantine list names clips that are not here: {', '.join(map(printable, names[:3]))}{more}."]


def packed_splits(
    target: Path, key: str, name: str, units: Sequence[Unit], decide: Callable[[Sequence[Entry], LeftOut], Decision]
) -> Splits:
    """The splits of a source, built when they are not in `target` yet. Other processes wait until they are.

    Args:
        key: digest of all that the result depends on.
        name: of the source, for messages.
        decide: where each clip goes; it also gets what was left out before.

    Raises:
        InputError: no clip can be used, or the folder cannot be written.
    """
    if (target / "data.json").is_file():
        return open_splits(target, key)
    parts = target.with_name(f"{target.name}.parts")
    with locked(target.with_name(f"{target.name}.lock.json"), wait=_DAYS):
        if not (target / "data.json").is_file():
            _build(target, parts, key, name, units, decide)
            shutil.rmtree(parts, ignore_errors=True)
    return open_splits(target, key)


def open_splits(target: Path, key: str) -> Splits:
    """Splits that were built before."""
    path = target / "data.json"
    note = read_record(path, Note, expected="the description of packed motions", fix=_FIX)
    if note.key != key:
        raise InputError(path, found=f"motions {note.key[:16]}", expected=key[:16], fix=_FIX)
    stores: dict[str, Clips] = {split: MotionStore.open(target / split) for split in SPLITS}
    stores |= {split: stores[other] for split, other in note.also.items()}
    tests = {TEST: stores[TEST]} if len(stores[TEST]) else {}
    return Splits(note.name, stores[TRAIN], stores[VALIDATION], tests, note.note)


def _build(
    target: Path,
    parts: Path,
    key: str,
    name: str,
    units: Sequence[Unit],
    decide: Callable[[Sequence[Entry], LeftOut], Decision],
) -> None:
    folders = [parts / unit.key for unit in units]
    for unit, folder in zip(units, folders, strict=True):
        if not (folder / "index.json").is_file():
            left_out = LeftOut()
            with building(folder) as temporary:
                pack(temporary, unit.clips(left_out), FPS)
                left_out.save(temporary / LEFT_OUT)
    left_out = LeftOut()
    for folder in folders:
        left_out.load(folder / LEFT_OUT)
    stores = [MotionStore.open(folder) for folder in folders]
    places = _once(stores, left_out)
    entries = [_entry(stores[at], i) for at, i in places]
    decision = decide(entries, left_out)
    chosen: dict[str, list[tuple[int, int]]] = {split: [] for split in SPLITS}
    for place, entry, side in zip(places, entries, decision.sides, strict=True):
        if side in chosen:
            chosen[side].append(place)
        else:
            left_out.add(entry.name, side)
    names = {place: entry.name for place, entry in zip(places, entries, strict=True)}
    for some in chosen.values():
        some.sort(key=names.__getitem__)  # one digest for the same clips, however they are laid out
    told = left_out.sentences()
    if not chosen[TRAIN]:
        found = "no clip to learn from. " + (" ".join(told[:4]) or "The folder holds none.")
        fix = "Add motions, or change data.min_frames, data.max_frames or data.captions."
        raise InputError(name, found=found, expected="at least one", fix=fix)
    with building(target) as temporary:
        for split in SPLITS:
            (temporary / split).mkdir()
            pack(temporary / split, (stores[at][i] for at, i in chosen[split]), FPS)
        left_out.save(temporary / LEFT_OUT)
        note = Note(
            key,
            name,
            " ".join([*decision.notes, *told]),
            decision.also,
            {split: len(places) for split, places in chosen.items()},
            dict(Counter(reason for _, reason in left_out.rows)),
        )
        write_record(temporary / "data.json", {**note.__dict__})


def _once(stores: Sequence[MotionStore], left_out: LeftOut) -> list[tuple[int, int]]:
    """Store and number of every clip; of several with one name the first."""
    seen: set[str] = set()
    places = []
    for at, store in enumerate(stores):
        for i in range(len(store)):
            name = store.name(i)
            if name in seen:
                left_out.add(name, "its name is there already")
            else:
                seen.add(name)
                places.append((at, i))
    return places


def _entry(store: MotionStore, index: int) -> Entry:
    digest = hashlib.sha256(store.features(index).half().numpy().tobytes()).digest()
    return Entry(store.name(index), store.source(index) or store.name(index), digest)
