"""One file of text features: written once, read through a memory map, found by a hash of the caption.

    keys         int64 [N], sorted         64 bits of BLAKE2b of the caption
    rows         int64 [N]                 first row in `states`
    lengths      int32 [N]                 rows in `states`: tokens of the caption, 1 when pooled
    checks       int32 [N, 2]              CRC-32 of the record with its caption, and of its features
    text_starts  int64 [N + 1]             where a caption begins in `text`
    text         uint8 [bytes]             the captions in UTF-8, one after the other
    states       float16 [tokens, dim]     in any order

Opening reads a header. A look-up is a binary search in `keys`; the caption itself is compared as well, so that two
captions with one key are two captions. Each record is compared with its checks when it is first used: hashing a file of
some gigabytes at every start would take seconds.
"""

from __future__ import annotations

import hashlib
import struct
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.files.mapped import map_tensors
from motionlab.files.tensors import write_tensors

FORMAT = 3
_DELETE = "Delete this file; its features are made again when they are needed."
_EXPECTED = "text features as they were written"
_COLUMNS = {
    "keys": "i8",
    "rows": "i8",
    "lengths": "i4",
    "checks": "i4",
    "text_starts": "i8",
    "text": "u1",
    "states": "f2",
}


def encoded(caption: str) -> bytes:
    """A caption as bytes; halves of surrogate pairs, which UTF-8 does not have, stay what they are."""
    return caption.encode("utf-8", "surrogatepass")


def keys_of(texts: Sequence[bytes]) -> np.ndarray:
    """`[N]` int64: the key of each caption."""
    joined = b"".join([hashlib.blake2b(text, digest_size=8).digest() for text in texts])
    return np.frombuffer(joined, dtype="<i8")


class Shard:
    """Read access to a file. Make one with `write_shard`.

    Args:
        identity: hash of all that features of this encoder depend on.
        dim: width of a feature vector.

    Raises:
        InputError: a file that is damaged, of another format, or of another encoder.
    """

    def __init__(self, path: Path, identity: str, dim: int) -> None:
        arrays, description = map_tensors(path, _DELETE)
        self.path, self.identity = path, identity
        kinds = {name: array.dtype.str[1:] for name, array in arrays.items()}
        if description.get("format") != FORMAT or description.get("identity") != identity or kinds != _COLUMNS:
            raise InputError(
                path,
                found=f"format {description.get('format')}, features of {str(description.get('identity'))[:12]}",
                expected=f"format {FORMAT}, features of {identity[:12]}",
                fix=_DELETE,
            )
        self.keys, self.rows, self.lengths = arrays["keys"], arrays["rows"], arrays["lengths"]
        self.checks, self.text_starts, self.text = arrays["checks"], arrays["text_starts"], arrays["text"]
        self.states = arrays["states"]
        shapes = {name: array.shape for name, array in arrays.items() if name not in ("text", "states")}
        count = len(self.keys)
        expected = {"keys": (count,), "rows": (count,), "lengths": (count,), "checks": (count, 2)}
        expected["text_starts"] = (count + 1,)
        if shapes != expected or self.text.ndim != 1 or self.states.shape[1:] != (dim,):
            raise InputError(path, found="tables that do not fit together", expected=_EXPECTED, fix=_DELETE)
        # Pages of zeros take no memory until something is written: one bit of doubt a record, and one for its features.
        self._seen, self._read = np.zeros(count, bool), np.zeros(count, bool)

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def size(self) -> int:
        """Bytes of features."""
        return self.states.nbytes

    def find(self, keys: np.ndarray, texts: Sequence[bytes]) -> np.ndarray:
        """`[N]` int64: the record of each caption, -1 for those that are not here.

        Raises:
            InputError: a record that was found is damaged.
        """
        places = np.searchsorted(self.keys, keys)
        found = np.full(len(keys), -1, np.int64)
        near = np.flatnonzero(places < len(self))
        for at in near[self.keys[places[near]] == keys[near]].tolist():
            place = int(places[at])
            while place < len(self) and self.keys[place] == keys[at]:
                if self.caption(place) == texts[at]:
                    found[at] = place
                    break
                place += 1  # another caption with the same 64 bits
        return found

    def caption(self, place: int) -> bytes:
        """The caption of a record.

        Raises:
            InputError: the record is damaged.
        """
        start, stop = self.text_starts[place : place + 2].tolist()
        text = self.text[max(0, start) : max(0, stop)].tobytes()
        if not self._seen[place]:
            row, length = int(self.rows[place]), int(self.lengths[place])
            sound = _check_record(row, length, text) == int(self.checks[place, 0]) and length > 0
            if not sound or not 0 <= row <= len(self.states) - length:
                raise self._damaged(place)
            self._seen[place] = True
        return text

    def features(self, place: int) -> np.ndarray:
        """`[l, dim]` float16: the features of a record, in the map.

        Raises:
            InputError: they are damaged, or no numbers.
        """
        row, length = int(self.rows[place]), int(self.lengths[place])
        if not self._read[place]:
            self.caption(place)
            states = self.states[row : row + length]
            infinite = (states.view(np.uint16) & 0x7C00) == 0x7C00  # the exponent of NaN and infinity
            if _check_bytes(states) != int(self.checks[place, 1]) or bool(infinite.any()):
                raise self._damaged(place)
            self._read[place] = True
        return self.states[row : row + length]

    def _damaged(self, place: int) -> InputError:
        return InputError(f"{self.path}, caption {place}", found="changed content", expected=_EXPECTED, fix=_DELETE)


def write_shard(path: Path, identity: str, captions: Sequence[str], rows: Sequence[Tensor]) -> None:
    """Write the features of some captions, which are all different, float16 `[l_i, dim]` each; whole or not at all.

    Raises:
        InputError: the folder cannot be written, or the disk is full.
    """
    texts = [encoded(caption) for caption in captions]
    lengths = np.array([len(row) for row in rows], np.int32)
    starts = np.cumsum(lengths, dtype=np.int64) - lengths
    checks = np.array(
        [
            (_check_record(start, len(row), text), _check_bytes(row.numpy()))
            for start, row, text in zip(starts.tolist(), rows, texts, strict=True)
        ],
        np.int32,
    ).reshape(-1, 2)
    _write(path, identity, texts, starts, lengths, checks, rows)


def merge_shards(path: Path, shards: Sequence[Shard]) -> None:
    """Write one file with all that some files of one encoder hold. Features go from disk to disk, in large blocks.

    Of a caption that is in several, the first stays.

    Raises:
        InputError: a record of one of them is damaged, or as `write_shard`.
    """
    texts: list[bytes] = []
    known: set[bytes] = set()
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    base = 0
    for shard in shards:
        here = [shard.caption(place) for place in range(len(shard))]
        kept = np.array([place for place, text in enumerate(here) if text not in known], np.int64)
        texts += [here[place] for place in kept.tolist()]
        known.update(here)
        starts, lengths, checks = shard.rows[kept] + base, shard.lengths[kept], shard.checks[kept]
        checks[:, 0] = [
            _check_record(start, length, here[place])
            for start, length, place in zip(starts.tolist(), lengths.tolist(), kept.tolist(), strict=True)
        ]
        parts.append((starts, lengths, checks))
        base += len(shard.states)
    starts, lengths, checks = (np.concatenate(column) for column in zip(*parts, strict=True))
    _write(
        path, shards[0].identity, texts, starts, lengths, checks, [unwritten_tensor(shard.states) for shard in shards]
    )


def _write(
    path: Path,
    identity: str,
    texts: Sequence[bytes],
    starts: np.ndarray,
    lengths: np.ndarray,
    checks: np.ndarray,
    states: Sequence[Tensor],
) -> None:
    keys = keys_of(texts)
    order = np.argsort(keys, kind="stable")
    texts = [texts[place] for place in order.tolist()]
    ends = np.cumsum([0, *(len(text) for text in texts)], dtype=np.int64)
    columns = {
        "keys": keys[order], "rows": starts[order], "lengths": lengths[order], "checks": checks[order],
        "text_starts": ends, "text": np.frombuffer(bytearray(b"".join(texts)), np.uint8),
    }  # fmt: skip
    tensors = {name: torch.from_numpy(np.ascontiguousarray(column)) for name, column in columns.items()}
    write_tensors(path, {**tensors, "states": states}, {"format": FORMAT, "identity": identity})


def _check_record(row: int, length: int, text: bytes) -> int:
    return _signed(zlib.crc32(struct.pack("<qi", row, length) + text))


def _check_bytes(states: np.ndarray) -> int:
    return _signed(zlib.crc32(np.ascontiguousarray(states).view(np.uint8).reshape(-1).data))


def _signed(number: int) -> int:
    """32 bits as the int32 that a tensor can hold."""
    return number - (1 << 32) if number >= 1 << 31 else number


def unwritten_tensor(array: np.ndarray) -> Tensor:
    """A map as a tensor that is only read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of arrays that cannot be written to
        return torch.from_numpy(array)
