"""MotionMillion in both layouts, whole or in part, as splits.

The layout that its code reads:

    motion_data/vector_272/NAME.npy     [T, 272], physical units, 30 fps; NAME may have folders (MotionGV/folder5/...)
    texts/NAME.txt                      one caption a line
    split/version1/t2m_60_300/{train,val,test}.txt     names

and the layout of its download, where each of these is one or many `.tar.gz`, whose members have the top folder, lack
it, or have it twice. Archives are read as a stream; one clip is in memory at a time. The files are never changed: the
names that the split files have and that are really there are written next to the packed motions.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
import torch

from motionlab.data.captions_file import Caption, read_caption_lines
from motionlab.data.folder import Shares
from motionlab.data.packed import FORMAT, LeftOut, Limits, Unit, clips_of, packed_splits, without_clip
from motionlab.data.splits import Splits
from motionlab.data.store import Clip, MotionStore
from motionlab.data.takes import SPLITS, TEST, TRAIN, VALIDATION, Decision, Entry, split_by_list, split_by_take, take_of
from motionlab.data.tar_members import is_archive, read_members
from motionlab.errors import InputError, printable
from motionlab.files import cannot_write, write_text
from motionlab.files.arrays import parse_array
from motionlab.files.litter import temporary_prefix
from motionlab.files.reading import LARGEST_TEXT, read_bytes, reason
from motionlab.motion.features import DIM
from motionlab.motion.motion import Motion

AT_ONCE = 2000  # files of a unit, where motions are not in archives
LARGEST_CAPTIONS = 1 << 20  # bytes of the captions of a clip
LISTS = {"train": "train", "val": "validation", "validation": "validation", "test": "test"}
RESOLVED = "resolved_split"
_TOPS = ("motion_data", "vector_272", "motion_272rpr", "texts", "text", "MotionMillion")
_EXPECTED = "motions of MotionMillion: motion_data/vector_272/*.npy, or the archives of its download"
_FIX = "Set data.path to the folder that holds them; for other motions use data.source=folder."


@dataclass
class Tree:
    """The files of a download or a checkout, by what they hold: names below `folder`, two millions of them perhaps."""

    folder: Path
    motions: list[str] = field(default_factory=list)  # .npy
    archives: list[str] = field(default_factory=list)  # of motions
    texts: list[str] = field(default_factory=list)  # .txt, or archives of them
    lists: list[str] = field(default_factory=list)  # of splits, or archives of them

    def digest(self, *settings: object) -> str:
        """Changes with any name, size or time of a file, and with the settings; no file is read."""
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
        for part in (self.motions, self.archives, self.texts, self.lists):
            digest.update(b"part")
            for name in part:
                try:
                    found = (self.folder / name).stat()
                except OSError as error:
                    fix = "Wait until nothing is written there, and begin again."
                    raise InputError(
                        self.folder / name, found=error, expected="a file, as a moment ago", fix=fix
                    ) from error
                digest.update(f"{name} {found.st_size} {found.st_mtime_ns}\n".encode(errors="surrogateescape"))
        return digest.hexdigest()


class Texts:
    """The captions of each clip, on disk; names and places are in memory."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "texts"
        self.places: dict[str, tuple[int, int]] = {}  # of a file that is too large: 0 and -1
        self._end = 0
        self._file = open(self.path, "wb+")  # noqa: SIM115 (closed by `close`)

    def add(self, names: Iterable[str], content: bytes | None) -> None:
        """Keep a text under the names that have none yet; None is one that is too large."""
        new = [name for name in names if name not in self.places]
        if content is None:
            self.places |= dict.fromkeys(new, (0, -1))
        elif new and content.strip():
            try:
                self._file.seek(self._end)
                self._file.write(content)
                self._file.flush()
            except OSError as error:
                raise cannot_write(self.path, error) from error
            self.places |= dict.fromkeys(new, (self._end, len(content)))
            self._end += len(content)

    def captions(self, name: str) -> list[Caption] | None:
        """The captions of a clip; None for captions that cannot be read."""
        start, size = self.places.get(name, (0, 0))
        if size < 0:
            return None
        self._file.seek(start)
        try:
            return read_caption_lines(self._file.read(size).decode("utf-8-sig"), f"texts of {name}")
        except (UnicodeDecodeError, InputError):
            return None

    def close(self) -> None:
        self._file.close()


def motionmillion_splits(folder: str | Path, cache: Path, limits: Limits, shares: Shares) -> Splits:
    """The motions in a folder of MotionMillion as splits, packed in the cache.

    Splits are those of the split files; without such files takes are divided by `shares`.

    Raises:
        InputError: no motion of MotionMillion there, or none that can be used.
    """
    folder = Path(folder)
    tree = find_files(folder)
    key = tree.digest(FORMAT, asdict(limits), asdict(shares))
    target = cache / f"data-{key[:16]}"
    with _scratch(cache) as scratch:
        texts = Texts(scratch)
        listed: dict[str, list[str]] = {}
        met = LeftOut()
        if not (target / "data.json").is_file():
            listed, chosen = read_lists(tree, met)
            read_texts(tree, texts, {name for names in listed.values() for name in names}, met)
        known = {*texts.places, *(name for names in listed.values() for name in names)}
        parts = [[name] for name in tree.archives]
        parts += [tree.motions[at : at + AT_ONCE] for at in range(0, len(tree.motions), AT_ONCE)]
        units = [
            Unit(f"{number:05d}-{key[:8]}", partial(_clips, folder, names, known, texts, limits))
            for number, names in enumerate(parts)
        ]

        def decide(entries: Sequence[Entry], left_out: LeftOut) -> Decision:
            left_out.rows += met.rows
            told = without_clip(limits, entries, left_out)
            if not listed:
                decision = shares(entries)
                return Decision(decision.sides, [*decision.notes, *told], decision.also)
            decision = _held_out(entries, split_by_list(entries, listed), shares)
            here = {entry.name.partition("@")[0] for entry in entries} | {name for name, _ in left_out.rows}
            gone = sum(name not in here for names in listed.values() for name in names)
            total = sum(map(len, listed.values()))
            if gone:
                told.insert(0, f"{gone:,} of the {total:,} names in {chosen} are not here.")
            return Decision(decision.sides, [*decision.notes, *told], decision.also)

        try:
            splits = packed_splits(target, key, f"MotionMillion in {folder.name}", units, decide)
        finally:
            texts.close()
    _write_resolved(target)
    return splits


def find_files(folder: Path) -> Tree:
    """The files below a folder, by what they hold. Links are followed, each folder is entered once.

    Raises:
        InputError: no motion among them.
    """
    tree, seen = Tree(folder), set[tuple[int, int]]()
    for at, folders, names in os.walk(folder, followlinks=True):
        try:
            status = os.stat(at)
        except OSError:  # removed a moment ago
            continue
        if (status.st_dev, status.st_ino) in seen:  # a link that leads back
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith((".", "VQVAE_", "mean_std")))
        for name in sorted(names):
            path = Path(at, name).relative_to(folder)
            above, place = [part.lower() for part in path.parts], path.as_posix()
            if name.startswith(".") or not (folder / path).is_file():
                continue
            is_list = any(part.startswith("split") for part in above)
            is_text = any(part.startswith("text") for part in above)
            if is_archive(path):
                (tree.lists if is_list else tree.texts if is_text else tree.archives).append(place)
            elif path.suffix == ".npy" and name.lower() not in ("mean.npy", "std.npy"):
                tree.motions.append(place)
            elif path.suffix == ".txt" and is_list:
                tree.lists.append(place)
            elif path.suffix == ".txt" and is_text:
                tree.texts.append(place)
    if not tree.motions and not tree.archives:
        raise InputError(folder, found="no .npy and no archive", expected=_EXPECTED, fix=_FIX)
    return tree


def read_texts(tree: Tree, texts: Texts, listed: set[str], met: LeftOut) -> None:
    """Put all captions, also those in archives, into `texts`.

    An archive may lack its top folder, as those of motions do: its captions are kept by their path in there, too.
    """
    for place in tree.texts:
        path = tree.folder / place
        if is_archive(path):
            above = _archive_place(path, place)
            for name, content in read_members(path, (".txt",), met.add):
                inside = PurePosixPath(name).with_suffix("").parts
                names = (clip_name(above, inside, listed), _plain(above + inside), _plain(inside))
                texts.add(dict.fromkeys(names), content if len(content) <= LARGEST_CAPTIONS else None)
        else:
            parts = PurePosixPath(place).with_suffix("").parts
            try:
                found = read_bytes(path, expected="captions", fix="Leave the file out.", most=LARGEST_CAPTIONS)
            except InputError:
                found = None
            texts.add(dict.fromkeys((clip_name([], parts, listed), _plain(parts))), found)


def read_lists(tree: Tree, met: LeftOut) -> tuple[dict[str, list[str]], str]:
    """The names of each split, and which list they are from; of several lists that for text to motion."""
    found: dict[str, dict[str, list[str]]] = {}
    for file in tree.lists:
        path = tree.folder / file
        members: Iterator[tuple[str, bytes]]
        if is_archive(path):
            members = read_members(path, (".txt",), met.add)
        else:
            content = read_bytes(path, expected="names of clips", fix="Leave the file out.", most=LARGEST_TEXT)
            members = iter([(file, content)])
        for name, content in members:
            place = PurePosixPath(name)
            if place.stem in LISTS:
                lines = content.decode("utf-8-sig", errors="replace").splitlines()
                rows = [line.strip().removesuffix(".npy") for line in lines if line.strip()]
                found.setdefault(place.parent.name or "split", {})[LISTS[place.stem]] = rows
    if not found:
        return {}, ""
    chosen = min(found, key=lambda name: (not name.startswith("t2m"), -sum(map(len, found[name].values())), name))
    return found[chosen], f"the split files of {chosen}"


def clip_name(place: Sequence[str], inside: Sequence[str], known: Mapping[str, object] | set[str]) -> str:
    """The name of a clip from where its file is: the one that texts or split files have, if any.

    Args:
        place: folders and stem of the archive that holds it; empty without one.
        inside: parts of its path in there, without suffix.
        known: the names that texts and split files have.

    >>> clip_name(["MotionGV", "folder5"], ["folder5", "a"], {"MotionGV/folder5/a"})
    'MotionGV/folder5/a'
    >>> clip_name(["MotionGV", "folder5"], ["MotionGV", "MotionGV", "folder5", "a"], {"MotionGV/folder5/a"})
    'MotionGV/folder5/a'
    >>> clip_name(["MotionGV", "folder5"], ["a"], set())
    'MotionGV/folder5/a'
    """
    whole, above = [*place, *inside], [*place[:-1], *inside]
    tries = [
        parts[start:]
        for parts in (list(inside), _once(inside), above, whole, _once(above), _once(whole))
        for start in range(len(parts))
    ]
    for parts in sorted(
        tries, key=len, reverse=True
    ):  # 000001 may be a clip of one subset, and BABEL/000001 of another
        name = "/".join(parts)
        if name in known:
            return name
    return _plain(_once([*place, *inside]) if not set(place) & set(inside[:-1]) else _once(inside))


def _once(parts: Sequence[str]) -> list[str]:
    """Without a folder that follows itself."""
    return [part for at, part in enumerate(parts) if at == 0 or part != parts[at - 1]]


def _plain(parts: Sequence[str]) -> str:
    """A name without the folders that every clip has above it."""
    kept = list(parts)
    tops = [at for at, part in enumerate(kept[:-1]) if part in _TOPS]
    return "/".join(_once(kept[tops[-1] + 1 :] if tops else kept))


def _clips(
    folder: Path, files: Sequence[str], known: set[str], texts: Texts, limits: Limits, left_out: LeftOut
) -> Iterator[Clip]:
    """The clips in an archive, or in some files."""
    for file in files:
        path = folder / file
        if is_archive(path):
            above = _archive_place(path, file)
            members = read_members(path, (".npy",), left_out.add)
            for inner, content in members:
                name = clip_name(above, PurePosixPath(inner).with_suffix("").parts, known)
                yield from _clip(name, content, texts, limits, left_out)
        else:
            name = clip_name([], PurePosixPath(file).with_suffix("").parts, known)
            try:
                content = read_bytes(path, expected="a motion", fix="Leave it out.")
            except InputError as error:
                left_out.add(name, f"not readable ({error.found})")
                continue
            yield from _clip(name, content, texts, limits, left_out)


def _clip(name: str, content: bytes, texts: Texts, limits: Limits, left_out: LeftOut) -> Iterator[Clip]:
    if PurePosixPath(name).name.lower() in ("mean", "std"):
        return
    try:
        values = parse_array(content)
    except Exception as error:  # whatever a parser meets in a damaged file
        left_out.add(name, f"not readable ({reason(error)})")
        return
    if values.ndim != 2 or values.shape[-1] != DIM or values.dtype.kind != "f" or not len(values):
        shape = [*("frames" if at == 0 else str(size) for at, size in enumerate(values.shape))]
        left_out.add(name, f"of shape [{', '.join(shape)}] and type {values.dtype}, not [frames, {DIM}]")
        return
    features, captions = torch.from_numpy(np.ascontiguousarray(values)).float(), texts.captions(name)
    if not bool(torch.isfinite(features).all()):  # float64 holds more than float32
        left_out.add(name, "with NaN or infinity")
    elif printable(name) != name:
        left_out.add(name, "with a name that is no text")
    elif captions is None:
        left_out.add(
            name, f"with captions that are no UTF-8, have wrong times, or more than {LARGEST_CAPTIONS:,} bytes"
        )
    else:
        yield from clips_of(name, take_of(name), Motion(features, name=name), captions, limits, left_out)


def _held_out(entries: Sequence[Entry], decision: Decision, shares: Shares) -> Decision:
    """The decision; clips for validation and test are taken from train where none of their lists is here.

    Part of a download may hold training clips only, and a training that is never tested on is worth little.
    """
    need = {split for split in (VALIDATION, TEST) if split not in decision.sides}
    train = [at for at, side in enumerate(decision.sides) if side == TRAIN]
    if not need or not train:
        return decision
    own = split_by_take(
        [entries[at] for at in train],
        validation_share=shares.validation if VALIDATION in need else 0.0,
        test_share=shares.test if TEST in need else 0.0,
        seed=shares.seed,
    )
    sides = list(decision.sides)
    for at, side in zip(train, own.sides, strict=True):
        sides[at] = side
    counts = " and ".join(f"{own.sides.count(split):,} for {split}" for split in SPLITS if split in need)
    told = [
        f"Of the published {' and '.join(sorted(need))} clips none is here, so takes of train serve: {counts} clips."
    ]
    return Decision(sides, [*decision.notes, *(own.notes if own.also else told)], own.also)


def _archive_place(path: Path, place: str) -> tuple[str, ...]:
    """Folders and stem of an archive."""
    return (*PurePosixPath(place).parts[:-1], path.name.split(".tar")[0].removesuffix(".tgz"))


@contextlib.contextmanager
def _scratch(cache: Path) -> Iterator[Path]:
    """A temporary folder in the cache: the system's own place may be small, and captions are some gigabytes."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        folder = tempfile.mkdtemp(prefix=temporary_prefix("texts"), dir=cache)
    except OSError as error:
        raise cannot_write(cache, error) from error
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write_resolved(target: Path) -> None:
    """The names that are really in each split, next to the packed motions."""
    for split in SPLITS:
        path = target / RESOLVED / f"{split}.txt"
        if not path.is_file():
            store = MotionStore.open(target / split)
            write_text(path, "".join(f"{store.name(i)}\n" for i in range(len(store))))
