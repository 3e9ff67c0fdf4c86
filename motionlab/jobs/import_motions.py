"""`motionlab import`: files and folders of motions become one folder of clips, each with a verdict.

A file that cannot be read is one line, and the import continues. Files are read by several processes; the clips, their
names and their bytes are the same as with one. A command that was stopped continues with the files that are left.
"""

from __future__ import annotations

import shutil
import sys
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from motionlab.data.captions_file import clip_key, file_key, read_timed_captions
from motionlab.errors import InputError
from motionlab.files import sha256
from motionlab.files.lock import using
from motionlab.jobs.imports.files import Listing, Source, list_files
from motionlab.jobs.imports.one_file import import_file
from motionlab.jobs.imports.records import (
    CLIPS,
    LOG,
    MOTIONS,
    QUARANTINE,
    ClipEntry,
    FileEntry,
    Log,
    Settings,
    write_clips,
)
from motionlab.jobs.imports.table import JSON_FILE, PAGE, write_page, write_verdicts
from motionlab.jobs.workers import worker_pool
from motionlab.motion.formats.source import ReadOptions
from motionlab.progress_bar import Tally, progress_kind
from motionlab.runtime import physical_cores

AHEAD = 8  # files for each process that are handed out before the first of them has to be done


@dataclass(frozen=True)
class ImportResult:
    """The result of an import.

    Args:
        folder: where the clips are.
        entries: one per file, those of earlier imports into the folder first.
        skipped: files of this import that were known already.
        unknown: suffix -> number of files that no format reads.
        broken: folder or link that cannot be read -> why.
        captions_without_motion: names in the captions file that are no clip.
        parts: captions about a part of a motion, which are left out.
    """

    folder: Path
    entries: list[FileEntry]
    skipped: int
    unknown: dict[str, int]
    broken: dict[str, str]
    captions_without_motion: list[str]
    parts: int = 0

    @property
    def clips(self) -> list[ClipEntry]:
        """The clips of all files."""
        return [clip for entry in self.entries for clip in entry.clips]

    @property
    def unreadable(self) -> dict[str, str]:
        """Source of a file that could not be read, or not to its end -> why."""
        return {entry.source: entry.error for entry in self.entries if entry.error}

    @property
    def counts(self) -> dict[str, int]:
        """Clips by verdict, and files, folders and links that could not be read."""
        words = Counter(clip.verdict for clip in self.clips)
        return {
            **{word: words[word] for word in ("right", "doubtful", "refused")},
            "unreadable": len({**self.unreadable, **self.broken}),
        }

    @property
    def kept(self) -> int:
        """Clips that training would read."""
        return sum(clip.file.startswith(f"{MOTIONS}/") for clip in self.clips)

    @property
    def without_caption(self) -> list[str]:
        """Names of clips with a file but without a caption."""
        return [clip.name for clip in self.clips if clip.file and not clip.captions]


def import_motions(
    inputs: Sequence[str | Path],
    out: str | Path,
    *,
    captions: str | Path | None = None,
    fps: float | None = None,
    unit: str | None = None,
    up: str | None = None,
    keep_doubtful: bool = False,
    workers: int | None = None,
    overwrite: bool = False,
) -> ImportResult:
    """Read motions, retarget and judge them, and write a folder that `data.source=folder` trains on.

    Args:
        inputs: files, and folders with all that is in them.
        out: folder to write. One that an import wrote is continued: files whose content is known are not read again.
        captions: csv, jsonl, json or txt with the captions of each file; default: `captions.*` in the inputs.
        fps: frames a second of the files, where they do not say, or say it wrongly.
        unit: "m", "cm", "mm" or "in", likewise.
        up: axis of the files that points up, "y", "z", "-y" ..., likewise.
        keep_doubtful: put doubtful clips with the right ones.
        workers: processes; by default one per physical core.
        overwrite: remove an earlier import in `out` first.

    Raises:
        InputError: an input that is not there, a captions file that cannot be read, a folder of something else, other
            settings than before, or a disk that is full.
    """
    folder, paths = Path(out), [Path(path) for path in inputs]
    settings = _settings(fps, unit, up, keep_doubtful)
    _usable(folder)
    own, parts = _whole_captions([] if captions is None else [Path(captions)])
    with using(folder):
        if overwrite:
            _remove(folder)
        log = Log(folder, settings)
        log.read()
        listing = _listed(paths, folder, log)
        if captions is None:
            own, parts = _whole_captions(listing.captions)
        given = {str(source.path.resolve()) for source in listing.sources}
        others = [entry for path, entry in log.known.items() if path not in given]
        log.write(list(log.known.values()))
        known = {source.stem: entry for source in listing.sources if (entry := _unchanged(source, folder, log))}
        todo = [source for source in listing.sources if source.stem not in known]
        with Tally("import", max(len(todo), 1), "file", progress_kind(sys.stderr)) as tally:
            for done, entry in enumerate(_read_all(todo, folder, settings, workers or physical_cores()), start=1):
                log.add(entry)
                known[entry.stem] = entry
                tally.update(done)
        entries = [*others, *(known[source.stem] for source in listing.sources)]
        log.write(entries)
        entries, unused = with_captions(entries, own)
        result = ImportResult(
            folder, entries, len(listing.sources) - len(todo), dict(listing.unknown), listing.broken, unused, parts
        )
        write_clips(folder, entries)
        write_verdicts(result.folder, result.entries, result.counts, result.unknown, result.broken)
        write_page(result.folder, result.entries, result.counts)
    return result


def with_captions(
    entries: Sequence[FileEntry], captions: Mapping[str, Sequence[str]]
) -> tuple[list[FileEntry], list[str]]:
    """Give clips the captions that a file has for them, and return the names in it that are no clip.

    A caption finds its clip by the clip's name, by the path of its file below the input, or by the name of the file if
    no other file has it. A mirrored twin gets those of its own name only.
    """
    by_file = Counter(file_key(entry.source) for entry in entries)
    used: set[str] = set()
    found = []
    for entry in entries:
        clips = []
        for clip in entry.clips:
            keys = [clip.name, clip_key(entry.source)] if len(entry.clips) == 1 else [clip.name, clip.source]
            if len(entry.clips) == 1 and by_file[file_key(entry.source)] == 1:
                keys.append(file_key(entry.source))
            if len(entry.clips) > 1:
                keys.append(clip.source.rpartition("/")[2])
            keys = list(dict.fromkeys(keys))
            used.update(keys)
            texts = [text for key in keys for text in captions.get(key, ())]
            clips.append(replace(clip, captions=list(dict.fromkeys([*clip.captions, *texts]))))
        found.append(replace(entry, clips=clips))
    return found, sorted(set(captions) - used)


def _whole_captions(paths: Sequence[Path]) -> tuple[dict[str, list[str]], int]:
    """The captions of whole motions in some files, by name, and how many are about parts."""
    found: dict[str, list[str]] = {}
    parts = 0
    for path in paths:
        for name, captions in read_timed_captions(path).items():
            texts = [caption.text for caption in captions if caption.whole]
            found[name] = [*found.get(name, []), *texts]
            parts += len(captions) - len(texts)
    return found, parts


def _settings(fps: float | None, unit: str | None, up: str | None, keep_doubtful: bool) -> Settings:
    if fps is not None and not 0 < fps <= 10_000:
        raise InputError("fps", found=fps, expected="more than 0, at most 10,000", fix="Give the frame rate.")
    ReadOptions(fps, unit, up)  # refuses another unit or axis
    return Settings(fps, unit, up, keep_doubtful)


def _usable(folder: Path) -> None:
    """Refuse a folder with anything but an import."""
    if folder.exists() and not folder.is_dir():
        raise InputError(folder, found="a file", expected="a folder for the clips", fix="Choose another path.")
    if folder.is_dir() and not (folder / LOG).is_file():
        inside = [
            path.name for path in folder.iterdir() if not path.name.startswith(".") and path.name != "in_use.json"
        ]
        if inside:
            found = f"a folder with {', '.join(sorted(inside)[:3])}"
            fix = "Choose a new folder for --out; nothing was changed."
            raise InputError(folder, found=found, expected="no folder, or one that an import wrote", fix=fix)


def _remove(folder: Path) -> None:
    """Remove an earlier import, and nothing else that may be in the folder."""
    for name in (MOTIONS, QUARANTINE):
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in (CLIPS, JSON_FILE, PAGE, LOG):
        (folder / name).unlink(missing_ok=True)


def _listed(paths: Sequence[Path], folder: Path, log: Log) -> Listing:
    """The files to read; those that an earlier import knows keep the names of their clips."""
    stems = {path: entry.stem for path, entry in log.known.items()}
    return list_files(paths, folder, list(stems.values()), stems)


def _unchanged(source: Source, folder: Path, log: Log) -> FileEntry | None:
    """The entry of an earlier import for a file, if its content is the same and all its clips are still there."""
    entry = log.known.get(str(source.path.resolve()))
    if entry is None:
        return None
    whole = all(not clip.file or (folder / clip.file).is_file() for clip in entry.clips)
    try:
        same = bool(entry.sha256) and entry.sha256 == sha256(source.path)
    except OSError:
        same = False
    if whole and same:
        return entry
    for clip in entry.clips:  # it may have other clips now
        if clip.file:
            (folder / clip.file).unlink(missing_ok=True)
    return None


def _read_all(sources: Sequence[Source], out: Path, settings: Settings, workers: int) -> Iterator[FileEntry]:
    """Read every file, in their order. This process reads files too, while the others start and when they are busy."""
    others = min(workers, len(sources)) - 1
    if others < 1:
        yield from (import_file(source, out, settings) for source in sources)
        return
    with worker_pool(others) as pool:
        try:
            yield from _shared(pool, others, deque(sources), out, settings)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _shared(
    pool: ProcessPoolExecutor, others: int, waiting: deque[Source], out: Path, settings: Settings
) -> Iterator[FileEntry]:
    handed: deque[tuple[Source, Future[FileEntry] | FileEntry]] = deque()
    while waiting or handed:
        running = sum(isinstance(one, Future) and not one.done() for _, one in handed)
        while waiting and running < AHEAD * others:
            source = waiting.popleft()
            handed.append((source, pool.submit(import_file, source, out, settings)))
            running += 1
        if waiting:
            source = waiting.popleft()
            handed.append((source, import_file(source, out, settings)))
        elif (at := _not_begun(handed)) is not None:
            handed[at] = (handed[at][0], import_file(handed[at][0], out, settings))
        elif handed and isinstance(handed[0][1], Future):
            handed[0][1].result()
        while handed and (not isinstance(handed[0][1], Future) or handed[0][1].done()):
            _, one = handed.popleft()
            yield one.result() if isinstance(one, Future) else one


def _not_begun(handed: Sequence[tuple[Source, Future[FileEntry] | FileEntry]]) -> int | None:
    """Take the last file back that no process has begun, and say where it stands."""
    for at in reversed(range(len(handed))):
        one = handed[at][1]
        if isinstance(one, Future) and one.cancel():
            return at
    return None
