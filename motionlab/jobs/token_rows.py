"""Rows of tokens, packed one after the other: in a file that is written as they come, and as the list that they are.

A hundred thousand clips are a hundred thousand small tensors, of which the objects alone would take 80 MB. So the
numbers stay in one array, usually a memory map, and a row becomes a tensor when it is asked for.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from motionlab.data.building import building
from motionlab.errors import InputError
from motionlab.files.reading import refusing
from motionlab.jobs.artefacts import read_record, write_record

_NUMBERS = "codes.i32"
_NOT_YET = -1  # no code is negative
_BLOCK = 1 << 20  # numbers written at once
_FIX = "Remove the folder; the tokens are made again."


class TokenRows(Sequence[Tensor]):
    """Packed rows as a sequence of int64 tensors, `[n]` each (`[n, Q]` of a quantizer with Q codebooks).

    Args:
        numbers: all rows one after the other, `[sum of lengths]` or `[sum of lengths, Q]`, of any kind of integer.
        lengths: `[N]` tokens of each row.

    >>> rows = TokenRows(torch.tensor([5, 6, 7], dtype=torch.int32), np.array([2, 1]))
    >>> len(rows), rows[0], rows[-1]
    (2, tensor([5, 6]), tensor([7]))
    """

    def __init__(self, numbers: Tensor, lengths: np.ndarray) -> None:
        self.numbers, self.lengths = numbers, lengths
        self._offsets = np.concatenate(([0], np.cumsum(lengths)))  # [N + 1]

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: Any) -> Any:
        """Row number `index`, a copy; a slice gives a list."""
        if isinstance(index, slice):
            return [self[row] for row in range(*index.indices(len(self)))]
        row = index + len(self) if index < 0 else index
        if not 0 <= row < len(self):
            raise IndexError(f"row {index} of {len(self)}")
        return self.numbers[int(self._offsets[row]) : int(self._offsets[row + 1])].long()


class TokenFile:
    """Tokens that are on their way: a folder with a file in which every clip has its place, -1 until it is filled.

    A process that is killed leaves in it whatever it had made, and several processes may fill different clips at once.

    Args:
        folder: of an existing file; `create` makes one.
        lengths: `[N]` tokens of each clip.
        n_codebooks: Q, numbers of one token.

    Raises:
        InputError: the file is not of this size, or cannot be opened.
    """

    def __init__(self, folder: Path, lengths: np.ndarray, n_codebooks: int = 1) -> None:
        self.folder, self.lengths = folder, lengths
        self._offsets = np.concatenate(([0], np.cumsum(lengths)))  # [N + 1]
        path, total = folder / _NUMBERS, int(self._offsets[-1])
        shape = (total,) if n_codebooks == 1 else (total, n_codebooks)
        with refusing(path, expected=f"the tokens of {len(lengths)} clips", fix=_FIX):
            size, expected = path.stat().st_size, 4 * total * n_codebooks
            if size != expected:
                raise InputError(path, found=f"{size} bytes", expected=f"{expected}", fix=_FIX)
            self.numbers = np.memmap(path, dtype="<i4", mode="r+", shape=shape) if total else np.empty(shape, "<i4")

    @classmethod
    def create(cls, folder: Path, made_from: Mapping[str, str], lengths: np.ndarray, n_codebooks: int = 1) -> TokenFile:
        """The file in this folder if it was made from the same, with what it holds already; else a new one.

        Raises:
            InputError: the folder cannot be written, or the disk is full.
        """
        if folder.is_dir() and read_record(folder) == dict(made_from):
            return cls(folder, lengths, n_codebooks)
        left = int(lengths.sum()) * n_codebooks
        with building(folder) as temporary:
            with open(temporary / _NUMBERS, "wb") as file:
                while left:
                    count = min(left, _BLOCK)
                    file.write(np.full(count, _NOT_YET, dtype="<i4").tobytes())
                    left -= count
                file.flush()
                os.fsync(file.fileno())  # zeros, which a loss of power may leave instead, would be codes
            write_record(temporary, made_from)
        return cls(folder, lengths, n_codebooks)

    def has(self, clips: Sequence[int], codebook_size: int) -> bool:
        """Whether the tokens of all these clips are there; other numbers than codes, after damage, count as none."""
        return all(bool(((row >= 0) & (row < codebook_size)).all()) for row in map(self.row, clips))

    def put(self, clip: int, tokens: Tensor) -> None:
        """Write the tokens of a clip to their place."""
        self.row(clip)[...] = tokens.numpy()

    def rows(self, start: int, stop: int) -> tuple[Tensor, np.ndarray]:
        """The numbers of the clips from `start` to `stop` (excluded), still in the file, and the length of each."""
        part = self.numbers[int(self._offsets[start]) : int(self._offsets[stop])]
        return torch.from_numpy(part), self.lengths[start:stop]

    def remove(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def row(self, clip: int) -> np.ndarray:
        """The numbers of a clip, still in the file."""
        return self.numbers[int(self._offsets[clip]) : int(self._offsets[clip + 1])]
