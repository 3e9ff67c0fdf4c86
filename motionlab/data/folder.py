"""A folder of motions as `motionlab import` writes it, with captions, as splits.

clips.jsonl         one line per clip: name, file, captions, source (its take), verdict, sha256 ...
motions/NAME.npz    the clips
captions.csv ...    further captions, see `captions_file.py`; also NAME.txt next to a motion
quarantine.jsonl    names that training leaves out, written by `motionlab audit`
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

from motionlab.data.captions_file import (
    SUFFIXES,
    Caption,
    clip_key,
    file_key,
    read_caption_lines,
    read_timed_captions,
)
from motionlab.data.packed import FORMAT, LeftOut, Limits, Unit, clips_of, packed_splits, without_clip
from motionlab.data.splits import Splits
from motionlab.data.store import Clip
from motionlab.data.takes import Decision, Entry, split_by_take, take_of, whole_clip
from motionlab.errors import InputError, printable
from motionlab.files.reading import read_text, refusing
from motionlab.files.records import parse_record
from motionlab.motion.motion import Motion

CLIPS, QUARANTINE = "clips.jsonl", "quarantine.jsonl"
AT_ONCE = 2000  # clips of a unit
LONGEST_LINE = 1 << 22  # bytes of a line of clips.jsonl
_EXPECTED, _FIX = "a clip as `motionlab import` writes it", "Import the motions again."


@dataclass(frozen=True)
class ClipRecord:
    """One line of `clips.jsonl`, as far as training needs it."""

    name: str
    file: str
    captions: list[str] = field(default_factory=list)
    source: str = ""
    subject: str | None = None
    mirrored: bool = False
    verdict: str = "right"
    sha256: str = ""

    @property
    def take(self) -> str:
        """The take that the clip is from; that of its own name where the import did not say."""
        return take_of(self.source or self.name)


@dataclass(frozen=True)
class Shares:
    """How takes are divided; see `split_by_take`."""

    validation: float = 0.05
    test: float = 0.1
    seed: int = 0

    def __call__(self, entries: Sequence[Entry]) -> Decision:
        return split_by_take(entries, validation_share=self.validation, test_share=self.test, seed=self.seed)


def is_imported(folder: str | Path) -> bool:
    """Whether `motionlab import` wrote the folder."""
    return (Path(folder) / CLIPS).is_file()


def folder_splits(
    folder: str | Path,
    cache: Path,
    limits: Limits,
    shares: Shares,
    *,
    captions: Mapping[str, Sequence[Caption]] | None = None,
    name: str = "",
    notes: Sequence[str] = (),
) -> Splits:
    """The clips of an imported folder as splits, packed in the cache.

    Args:
        cache: folder of the caches.
        captions: more captions, by the name of a clip or of the file that it was imported from.
        name: what to call the source in messages; the folder by default.
        notes: more sentences for a reader of the report.

    Raises:
        InputError: no such folder, a line or a clip that cannot be read, or no clip that can be used.
    """
    folder = Path(folder)
    records = list(read_clips(folder))
    added = dict(captions) if captions is not None else gather_captions(folder, {record.name for record in records})
    counts = Counter(file_key(record.source) for record in records)
    once = {name for name, count in counts.items() if count == 1}
    texts = {record.name: captions_of(record, added, once) for record in records}
    unused = sorted(set(added) - {key for record in records for key in _keys(record, once)})
    key = hashlib.sha256(
        json.dumps(
            [
                FORMAT, asdict(limits), asdict(shares), unused, list(notes),
                [[asdict(record), _stat(folder / record.file) if record.file else []] for record in records],
                {name: [asdict(caption) for caption in some] for name, some in texts.items()},
            ],
            sort_keys=True,
        ).encode()
    ).hexdigest()  # fmt: skip
    blocks = [records[start : start + AT_ONCE] for start in range(0, len(records), AT_ONCE)]
    units = [
        Unit(f"{number:05d}-{key[:8]}", partial(_clips, folder, block, texts, limits))
        for number, block in enumerate(blocks)
    ]

    subjects = _subjects(records)

    def decide(entries: Sequence[Entry], left_out: LeftOut) -> Decision:
        told = [*_unused(unused), *without_clip(limits, entries, left_out), *notes]
        if subjects:  # whose takes all go to one side
            entries = [replace(entry, take=f"subject {subjects[whole_clip(entry.name)]}") for entry in entries]
            told.insert(0, f"The clips name {len(set(subjects.values()))} subjects, and nobody is in two splits.")
        decision = shares(entries)
        return Decision(decision.sides, [*decision.notes, *told], decision.also)

    return packed_splits(cache / f"data-{key[:16]}", key, name or f"folder {folder.name}", units, decide)


def read_clips(folder: str | Path) -> Iterator[ClipRecord]:
    """The lines of `clips.jsonl`, one after the other.

    Raises:
        InputError: no such file, a line that is no clip, or a file outside the folder.
    """
    folder = Path(folder)
    path = folder / CLIPS
    with refusing(path, expected="the list of the clips", fix=_FIX):
        file = open(path, "rb")  # noqa: SIM115 (closed below; the generator outlives this block)
    with file:
        number = 0
        while True:
            with refusing(path, expected="the list of the clips", fix=_FIX):
                line = file.readline(LONGEST_LINE + 1)
            if not line:
                return
            number += 1
            where = f"{path}, line {number}"
            if len(line) > LONGEST_LINE:
                raise InputError(where, found=f"more than {LONGEST_LINE:,} bytes", expected=_EXPECTED, fix=_FIX)
            if not line.strip():
                continue
            with refusing(where, expected=_EXPECTED, fix=_FIX):
                text = line.decode()
            record = parse_record(text, ClipRecord, where, expected=_EXPECTED, fix=_FIX)
            parts = Path(record.file).parts
            if not parts and record.verdict == "refused":  # such a clip has no file
                yield record
                continue
            if not parts or Path(record.file).is_absolute() or ".." in parts or "\0" in record.file:
                raise InputError(where, found=f"file {record.file[:60]!r}", expected="a file in the folder", fix=_FIX)
            yield record


def gather_captions(
    folder: str | Path, stems: Iterable[str], files: Iterable[Path] | None = None
) -> dict[str, list[Caption]]:
    """The captions in a folder: files `captions.*`, and `NAME.txt` next to the motion `NAME`, by name.

    Args:
        stems: the motions, as paths within the folder without suffix.
        files: the captions files, those in inner folders too; by default those of the folder itself. A name in an
            inner folder is that of a motion there, if there is one.
    """
    folder, known = Path(folder), list(stems)
    there = set(known)
    found: dict[str, list[Caption]] = {}
    for path in [folder / f"captions{suffix}" for suffix in SUFFIXES] if files is None else files:
        if path.is_file():
            above = path.parent.relative_to(folder).as_posix() if path.is_relative_to(folder) else "."
            for name, captions in read_timed_captions(path).items():
                inner = f"{above}/{name}" if f"{above}/{name}" in there else name
                found[inner] = [*found.get(inner, []), *captions]
    for stem in known:
        path = folder / f"{stem}.txt"
        if path.is_file():
            text = read_text(path, expected="captions, one a line", fix="Correct the file.")
            found[stem] = [*found.get(stem, []), *read_caption_lines(text, path)]
    return {name: captions for name, captions in found.items() if captions}


def captions_of(record: ClipRecord, added: Mapping[str, Sequence[Caption]], once: Container[str]) -> list[Caption]:
    """The captions of a clip: those that were imported, and those that a captions file has for it.

    Args:
        once: names of files, without folders, that mean one clip only.
    """
    captions = [Caption(text) for text in record.captions if text.strip()]
    for key in _keys(record, once):
        captions += [caption for caption in added.get(key, ()) if caption not in captions]
    return captions


def read_quarantine(folder: str | Path) -> dict[str, str]:
    """Name -> reason of the clips in `quarantine.jsonl`; empty where there is no such file.

    Raises:
        InputError: a line that is no entry.
    """
    path = Path(folder) / QUARANTINE
    if not path.is_file():
        return {}
    fix = "Write it again: motionlab audit."
    found = {}
    for number, line in enumerate(read_text(path, expected="names of clips", fix=fix).split("\n"), start=1):
        if line.strip():
            row = parse_record(line, _Quarantined, f"{path}, line {number}", expected="a name and reasons", fix=fix)
            found[row.name] = "; ".join(row.reasons)
    return found


@dataclass(frozen=True)
class _Quarantined:
    name: str
    reasons: list[str] = field(default_factory=list)


def _clips(
    folder: Path,
    records: Sequence[ClipRecord],
    texts: Mapping[str, Sequence[Caption]],
    limits: Limits,
    left_out: LeftOut,
) -> Iterator[Clip]:
    for record in records:
        if record.verdict == "refused" or (record.verdict == "doubtful" and "quarantine" in Path(record.file).parts):
            left_out.add(record.name, f"{record.verdict} by the import")
            continue
        try:
            motion = Motion.load(folder / record.file)
        except InputError as error:
            left_out.add(record.name, f"not readable ({error.found})")
            continue
        yield from clips_of(record.name, record.take, motion, texts[record.name], limits, left_out)


def _keys(record: ClipRecord, once: Container[str]) -> list[str]:
    """The names by which a captions file may mean a clip: its own, that of its take, and the latter without folders."""
    keys = [record.name, clip_key(record.name)]
    if not record.mirrored:  # the words of a mirrored twin are not those of its original
        keys.append(clip_key(record.source))
        if file_key(record.source) in once:
            keys.append(file_key(record.source))
    return list(dict.fromkeys(key for key in keys if key))


def _stat(path: Path) -> list[int]:
    """Size and time of a file: its content is hashed only when it is packed."""
    try:
        found = path.stat()
    except OSError:
        return []
    return [found.st_size, found.st_mtime_ns]


def _subjects(records: Sequence[ClipRecord]) -> dict[str, str]:
    """The subject of every clip by its name, if all say theirs and each split can have one; empty otherwise."""
    named = {record.name: record.subject for record in records if record.subject}
    return named if len(named) == len(records) and len(set(named.values())) >= 3 else {}


def _unused(names: Sequence[str]) -> list[str]:
    if not names:
        return []
    more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
    return [f"There are captions of motions that are not here: {', '.join(map(printable, names[:3]))}{more}."]
