"""The stored features of one encoder: a folder of shards, to which any number of processes add at the same time.

    index.json                which encoder, and all else that its features depend on
    shard-<16 digits>.safetensors   some captions with their features; see `shard.py`

A shard appears whole (written under another name, then renamed) and never changes. So writers need no lock, and a kill
loses only what was not written yet. When many small shards have gathered, one process joins them to a larger one and
removes them; a reader that still has them open reads on, another one looks at the folder again. Shards are joined 16 at
a time with those of a like size, so that the features of a caption are copied two or three times, however many come.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from motionlab.errors import InputError
from motionlab.files.litter import sweep
from motionlab.files.lock import IN_USE, locked
from motionlab.files.records import read_record, write_record
from motionlab.text.shard import FORMAT, Shard, encoded, keys_of, merge_shards, write_shard

INDEX, SHARDS = "index.json", "shard-*.safetensors"
DELETE_FOLDER = "Delete this folder; the features are made again when they are needed."
MANY = 16  # shards of a like size that are joined
_SMALLEST, _LARGEST = 1 << 20, 1 << 32  # bytes: all below are alike, and those above are left as they are
_PLACE = 40  # bits of a number that say which record of a shard it is


@dataclass(frozen=True)
class Index:
    """The part of `index.json` that every format has."""

    format: int
    identity: dict[str, Any]


def read_index(folder: Path) -> Index:
    """The index of a folder.

    Raises:
        InputError: none, or one that is damaged.
    """
    return read_record(folder / INDEX, Index, expected="an index", fix=DELETE_FOLDER)


def digest_of(identity: Mapping[str, Any]) -> str:
    """The hash by which features of an encoder are told from those of others."""
    return hashlib.sha256(json.dumps(dict(identity), sort_keys=True).encode()).hexdigest()


def new_shard(folder: Path) -> Path:
    """A name that no other process gives."""
    return folder / SHARDS.replace("*", uuid.uuid4().hex[:16])


class FeatureFolder:
    """Read and add features of one encoder.

    A copy that is pickled, for another process, carries the name of the folder only.

    Args:
        folder: need not be there; it is made when something is added.
        identity: all that features of this encoder depend on; see `text.encoder.identity`.

    Raises:
        InputError: a folder of another encoder or format, or a damaged file.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        self.folder, self.identity, self.dim = folder, dict(identity), int(str(identity["dim"]))
        self._digest = digest_of(identity)
        self._shards: dict[int, Shard] = {}  # by a number that is given once
        self._given = 0
        self._swept = False
        self.refresh()

    def __reduce__(self) -> tuple[Any, ...]:
        return FeatureFolder, (self.folder, self.identity)

    def __len__(self) -> int:
        """Stored captions; one that two processes have added at the same time counts twice until shards are joined."""
        return sum(len(shard) for shard in self._shards.values())

    def captions(self) -> list[str]:
        """All stored captions."""
        shards = self._shards.values()
        found = (shard.caption(place) for shard in shards for place in range(len(shard)))
        return [text.decode("utf-8", "surrogatepass") for text in dict.fromkeys(found)]

    def refresh(self) -> None:
        """Open what other processes have added, and close what they have joined."""
        if (self.folder / INDEX).is_file():
            index = read_index(self.folder)
            if index.format != FORMAT or index.identity != self.identity:
                raise InputError(
                    self.folder / INDEX,
                    found=f"format {index.format}, features of {index.identity}",
                    expected=f"format {FORMAT}, {self.identity}",
                    fix=DELETE_FOLDER,
                )
        while not self._open_all():
            pass

    def _open_all(self) -> bool:
        """Whether all files that were listed could be opened: another process may have removed one."""
        listed = set(self.folder.glob(SHARDS))
        opened = {shard.path: number for number, shard in self._shards.items()}
        for path in sorted(listed - set(opened)):
            try:
                self._shards[self._given] = Shard(path, self._digest, self.dim)
            except InputError:
                if path.exists():
                    raise
                return False
            self._given += 1
        for path in set(opened) - listed:
            del self._shards[opened[path]]
        return True

    def find(self, captions: Sequence[str]) -> np.ndarray:
        """`[N]` int64: a number for each caption, -1 for one that is not here. Numbers hold until the next `refresh`.

        Raises:
            InputError: a damaged record.
        """
        texts = [encoded(caption) for caption in captions]
        keys = keys_of(texts)
        found = np.full(len(texts), -1, np.int64)
        open_ones = np.arange(len(texts))
        for number, shard in self._shards.items():
            if not len(open_ones):
                break
            places = shard.find(keys[open_ones], [texts[at] for at in open_ones.tolist()])
            here = places >= 0
            found[open_ones[here]] = places[here] | (number << _PLACE)
            open_ones = open_ones[~here]
        return found

    def lengths(self, numbers: np.ndarray) -> list[int]:
        """Tokens of captions that were found."""
        counts = np.zeros(len(numbers), np.int64)
        for which in np.unique(numbers >> _PLACE).tolist():
            here = numbers >> _PLACE == which
            counts[here] = self._shards[which].lengths[numbers[here] & ((1 << _PLACE) - 1)]
        return [int(count) for count in counts]

    def rows(self, numbers: np.ndarray) -> list[np.ndarray]:
        """Features of captions that were found, float16 `[l_i, dim]` each, in the map of their file.

        Raises:
            InputError: damaged features.
        """
        mask = (1 << _PLACE) - 1
        return [self._shards[number >> _PLACE].features(number & mask) for number in numbers.tolist()]

    def verify(self) -> None:
        """Read everything once.

        Raises:
            InputError: a damaged record, or damaged features.
        """
        for shard in self._shards.values():
            for place in range(len(shard)):
                shard.features(place)

    def add(self, captions: Sequence[str], rows: Sequence[Tensor]) -> None:
        """Write new captions, all different, with their features, float16 `[l_i, dim]` each.

        Raises:
            InputError: the folder cannot be written, or the disk is full.
        """
        if not (self.folder / INDEX).is_file():
            write_record(self.folder / INDEX, {"format": FORMAT, "identity": self.identity})
        if not self._swept:
            sweep(self.folder, depth=1)
            self._swept = True
        path = new_shard(self.folder)
        write_shard(path, self._digest, captions, rows)
        self._shards[self._given] = Shard(path, self._digest, self.dim)
        self._given += 1
        if self._alike():
            self._join()

    def _alike(self) -> list[Shard]:
        """`MANY` or more shards of a like size; an empty list when there are not so many."""
        sizes: dict[int, list[Shard]] = {}
        for shard in self._shards.values():
            if shard.size < _LARGEST:
                sizes.setdefault((max(shard.size, _SMALLEST) // _SMALLEST).bit_length() // 4, []).append(shard)
        return next((alike for alike in sizes.values() if len(alike) >= MANY), [])

    def _join(self) -> None:
        """Join shards of a like size, unless another process does."""
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(locked(self.folder / IN_USE))
            except InputError:
                return
            self.refresh()
            alike = self._alike()
            if not alike:  # another process has just joined them
                return
            merge_shards(new_shard(self.folder), alike)
            paths = [shard.path for shard in alike]
            self._shards = {number: shard for number, shard in self._shards.items() if shard not in alike}
            alike.clear()  # Windows removes no file that is open
            for path in paths:
                with contextlib.suppress(OSError):
                    path.unlink()
            self.refresh()
