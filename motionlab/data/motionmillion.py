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

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
import torch

from motionlab.data.captions_file import Caption, read_caption_lines
from motionlab.data.folder import Shares
from motionlab.data.packed import FORMAT, LeftOut, Limits, Unit, clips_of, packed_splits
from motionlab.data.splits import Splits
from motionlab.data.store import Clip, MotionStore
from motionlab.data.takes import SPLITS, Decision, Entry, split_by_list, split_by_take, take_of
from motionlab.data.tar_members import is_archive, read_members
from motionlab.errors import InputError
from motionlab.files import write_text
from motionlab.files.arrays import parse_array
from motionlab.files.litter import temporary_folder
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
                found = (self.folder / name).stat()
                digest.update(f"{name} {found.st_size} {found.st_mtime_ns}\n".encode(errors="surrogateescape"))
        return digest.hexdigest()


class Texts:
    """The captions of each clip, on disk; names and places are in memory."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "texts"
        self.places: dict[str, tuple[int, int]] = {}
        self._end = 0
        self._file = open(self.path, "wb+")  # noqa: SIM115 (closed by `close`)

    def add(self, name: str, content: bytes) -> None:
        if name not in self.places and content.strip():
            self._file.seek(self._end)
            self._file.write(content)
            self.places[name] = (self._end, len(content))
            self._end += len(content)

    def captions(self, name: str, left_out: LeftOut) -> list[Caption]:
        """The captions of a clip; unreadable ones count as none, with the reason."""
        place = self.places.get(name)
        if place is None:
            return []
        self._file.seek(place[0])
        try:
            return read_caption_lines(self._file.read(place[1]).decode("utf-8-sig"), f"texts of {name}")
        except (UnicodeDecodeError, InputError) as error:
            left_out.add(name, f"with captions that cannot be read ({str(error)[:80]})")
            return []

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
    with temporary_folder("texts") as scratch:
        texts = Texts(Path(scratch))
        listed: dict[str, list[str]] = {}
        met = LeftOut()
        if not (target / "data.json").is_file():
            read_texts(tree, texts, met)
            listed, chosen = read_lists(tree, met)
        known = {*texts.places, *(name for names in listed.values() for name in names)}
        parts = [[name] for name in tree.archives]
        parts += [tree.motions[at : at + AT_ONCE] for at in range(0, len(tree.motions), AT_ONCE)]
        units = [
            Unit(f"{number:05d}-{key[:8]}", partial(_clips, folder, names, known, texts, limits))
            for number, names in enumerate(parts)
        ]

        def decide(entries: Sequence[Entry], left_out: LeftOut) -> Decision:
            left_out.rows += met.rows
            if not listed:
                return split_by_take(
                    entries, validation_share=shares.validation, test_share=shares.test, seed=shares.seed
                )
            decision = split_by_list(entries, listed)
            here = {entry.name.partition("@")[0] for entry in entries} | {name for name, _ in left_out.rows}
            gone = sum(name not in here for names in listed.values() for name in names)
            total = sum(map(len, listed.values()))
            told = f"{gone:,} of the {total:,} names in {chosen} are not here." if gone else ""
            return Decision(decision.sides, [*decision.notes, told] if told else decision.notes, decision.also)

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
        status = os.stat(at)
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


def read_texts(tree: Tree, texts: Texts, met: LeftOut) -> None:
    """Put all captions, also those in archives, into `texts`."""
    for place in tree.texts:
        path = tree.folder / place
        if is_archive(path):
            for name, content in read_members(path, (".txt",), met.add):
                if len(content) <= LARGEST_CAPTIONS:
                    texts.add(_plain(PurePosixPath(name).with_suffix("").parts), content)
        else:
            content = read_bytes(path, expected="captions", fix="Leave the file out.", most=LARGEST_CAPTIONS)
            texts.add(_plain(PurePosixPath(place).with_suffix("").parts), content)


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
    for parts in (list(inside), _once(inside), above, whole, _once(above), _once(whole)):
        for start in range(len(parts)):
            name = "/".join(parts[start:])
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
        path, place = folder / file, PurePosixPath(file).parts
        if is_archive(path):
            stem = path.name.split(".tar")[0].removesuffix(".tgz")
            members = read_members(path, (".npy",), left_out.add)
            for inner, content in members:
                name = clip_name([*place[:-1], stem], PurePosixPath(inner).with_suffix("").parts, known)
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
        left_out.add(name, f"of shape {list(values.shape)} and type {values.dtype}, not [frames, {DIM}]")
    elif not np.isfinite(values).all():
        left_out.add(name, "with NaN or infinity")
    else:
        motion = Motion(torch.from_numpy(np.ascontiguousarray(values)).float(), name=name)
        yield from clips_of(name, take_of(name), motion, texts.captions(name, left_out), limits, left_out)


def _write_resolved(target: Path) -> None:
    """The names that are really in each split, next to the packed motions."""
    for split in SPLITS:
        path = target / RESOLVED / f"{split}.txt"
        if not path.is_file():
            store = MotionStore.open(target / split)
            write_text(path, "".join(f"{store.name(i)}\n" for i in range(len(store))))
