"""Text features, kept: the encoder is frozen, so each caption is encoded once and never again.

The published training runs a 1.2-billion-parameter encoder inside the data loader, one caption at a time, in every
epoch. Here training reads float16 rows from a memory map; three decimal digits are plenty for a caption.

Each encoder with its settings (`encoder.identity`) has a folder of its own, named by encoder and hash; see
`feature_folder.py` for the files in it. Features from other weights, of another dtype or with another limit of tokens
are in another folder, and never read. Those of earlier versions are taken over (`format_2.py`).

The features of a caption do not depend on the captions that it was encoded with (see `encode_blocks`), as far as one
machine and one version of torch go. So it does not matter which process encoded what, and in which order.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.text.encoder import THREE_CHOICES, TextEncoder, TextFeatures, check_captions, check_finite, identity
from motionlab.text.feature_folder import DELETE_FOLDER, INDEX, FeatureFolder, digest_of, read_index
from motionlab.text.format_2 import take_over

_AT_ONCE = 1 << 20  # numbers of features of one token each: captions that are encoded in one call, times their width
_LARGEST_WRITE = 1 << 26  # bytes of new features after which they are written
_LONGEST_UNWRITTEN = 30.0  # seconds after which they are written; a kill loses no more


class MemoryFeatures:
    """The same as a `FeatureFolder`, without files."""

    def __init__(self) -> None:
        self._number: dict[str, int] = {}
        self._rows: list[np.ndarray] = []

    def __len__(self) -> int:
        return len(self._rows)

    def captions(self) -> list[str]:
        """All captions."""
        return list(self._number)

    def refresh(self) -> None:
        """Nobody else adds anything."""

    def find(self, captions: Sequence[str]) -> np.ndarray:
        """`[N]` int64: a number for each caption, -1 for one that is not here."""
        return np.array([self._number.get(caption, -1) for caption in captions], np.int64)

    def lengths(self, numbers: np.ndarray) -> list[int]:
        """Tokens of captions that were found."""
        return [len(self._rows[number]) for number in numbers.tolist()]

    def rows(self, numbers: np.ndarray) -> list[np.ndarray]:
        """Features of captions that were found, float16 `[l_i, dim]` each."""
        return [self._rows[number] for number in numbers.tolist()]

    def add(self, captions: Sequence[str], rows: Sequence[Tensor]) -> None:
        """Keep new captions, all different."""
        for caption, row in zip(captions, rows, strict=True):
            self._number[caption] = len(self._rows)
            self._rows.append(row.numpy())


class TextCache:
    """Features of captions, from memory, from disk, or from the encoder.

    Args:
        folder: holds one sub-folder per encoder. None keeps everything in memory.
        encoder: encodes missing captions. None: only stored ones can be read.
        name: the encoder to read when there is no `encoder`; may be left out when the folder knows only one.

    Raises:
        InputError: a damaged cache, or a folder that holds features of no encoder or of several.
    """

    def __init__(
        self, folder: str | Path | None, encoder: TextEncoder | None = None, *, name: str | None = None
    ) -> None:
        self.encoder = encoder
        facts = identity(encoder) if encoder is not None else _only_encoder(folder, name)
        self.name, self.dim = str(facts["encoder"]), int(str(facts["dim"]))
        self.identity = digest_of(facts)
        # A file system takes names of 255 bytes.
        short = re.sub(r"[^\w.-]+", "_", self.name).encode()[:200].decode(errors="ignore")
        self.folder = None if folder is None else Path(folder) / f"{short}-{self.identity[:8]}"
        self._store: FeatureFolder | MemoryFeatures = MemoryFeatures()
        if self.folder is not None:
            take_over(self.folder)
            self._store = FeatureFolder(self.folder, facts)

    def __len__(self) -> int:
        return len(self._store)

    def __contains__(self, caption: str) -> bool:
        return int(self._store.find([caption])[0]) >= 0

    def captions(self) -> list[str]:
        """All captions whose features are kept."""
        return self._store.captions()

    def missing(self, captions: Sequence[str]) -> list[str]:
        """Those whose features are not kept yet, each once, in their order; what other processes have added counts."""
        different = list(dict.fromkeys(captions))
        found = self._store.find(different)
        if (found < 0).any():
            self._store.refresh()
            found = self._store.find(different)
        return [caption for caption, number in zip(different, found.tolist(), strict=True) if number < 0]

    def features(self, captions: Sequence[str]) -> TextFeatures:
        """Padded features, one row per caption, in order; missing ones are encoded first and kept.

        Raises:
            InputError: an empty caption; a caption over the encoder's limit; no encoder for a new caption; or an
                encoder that gives NaN, infinity or more than float16 holds.
        """
        rows = self._store.rows(self._find(captions))
        lengths = torch.tensor([len(row) for row in rows])
        width = int(lengths.max()) if rows else 0
        block = torch.zeros(len(rows), width, self.dim, dtype=torch.float16)  # [B, L, dim]
        numbers = block.numpy()
        for at, row in enumerate(rows):
            numbers[at, : len(row)] = row
        return TextFeatures(block.float(), torch.arange(width) < lengths[:, None])

    def token_counts(self, captions: Sequence[str]) -> list[int]:
        """How many tokens each caption has; encodes what is missing, as `features` does."""
        return self._store.lengths(self._find(captions))

    def add(self, captions: Sequence[str], features: TextFeatures) -> None:
        """Put in features that were made elsewhere (bundled with the samples, for example). Known captions stay.

        Raises:
            InputError: features of another width or number, or that float16 cannot hold; or the folder cannot be
                written.
        """
        rows = dict(zip(captions, self._rows(captions, features), strict=True))
        new = self.missing(captions)
        if new:
            self._store.add(new, [rows[caption] for caption in new])

    def encode(self, captions: Sequence[str]) -> None:
        """Encode captions, all different and none of them kept, and keep their features; some at a time.

        After a kill, those that were written are kept.

        Raises:
            InputError: as `features`.
        """
        check_captions(captions)
        if self.encoder is None:
            raise InputError(
                f"caption {captions[0][:60]!r}",
                found=f"no features from {self.name} for it, and no text encoder",
                expected="a caption in the cache, or an encoder",
                fix=THREE_CHOICES,
            )
        captions = sorted(captions, key=len)  # of like length: what is encoded in one call is padded to the longest
        at_once, began = max(64, min(2048, _AT_ONCE // self.dim)), time.monotonic()
        done: dict[str, Tensor] = {}
        size = 0
        try:
            for start in range(0, len(captions), at_once):
                some = captions[start : start + at_once]
                rows = self._rows(some, self.encoder.encode(some))
                done |= zip(some, rows, strict=True)
                size += sum(row.nbytes for row in rows)
                if size >= _LARGEST_WRITE or time.monotonic() - began >= _LONGEST_UNWRITTEN:
                    self._store.add(list(done), list(done.values()))
                    done, size, began = {}, 0, time.monotonic()
        finally:  # a caption that cannot be read, or Ctrl-C: what was encoded is kept
            if done:
                self._store.add(list(done), list(done.values()))

    def _find(self, captions: Sequence[str]) -> np.ndarray:
        """The number of each caption in the store; missing ones are encoded first."""
        found = self._store.find(captions)
        if (found < 0).any():
            missing = self.missing([caption for caption, at in zip(captions, found.tolist(), strict=True) if at < 0])
            if missing:
                self.encode(missing)
            found = self._store.find(captions)
        return found

    def _rows(self, captions: Sequence[str], features: TextFeatures) -> list[Tensor]:
        """The features of each caption as they are kept: float16 `[l_i, dim]` on the CPU."""
        if features.dim != self.dim or len(features) != len(captions):
            raise InputError(
                f"text cache of {self.name}",
                found=f"{len(features)} features of width {features.dim}",
                expected=f"{len(captions)} of width {self.dim}",
                fix="Use the encoder that the cache is named after.",
            )
        check_finite(features.states.where(features.mask[..., None], 0.0), captions, self.name)
        rows = zip(features.states, features.mask, strict=True)
        return [states[mask].to("cpu", torch.float16) for states, mask in rows]


def _only_encoder(folder: str | Path | None, name: str | None) -> dict[str, Any]:
    """The identity of the one encoder, of this name if one is given, whose features are in `folder`."""
    found = []
    for path in sorted(Path(folder).glob(f"*/{INDEX}")) if folder is not None else []:
        one = read_index(path.parent).identity
        if not isinstance(one.get("encoder"), str) or type(one.get("dim")) is not int:
            raise InputError(path, found=f"features of {one}", expected="a name and a width", fix=DELETE_FOLDER)
        found.append(one)
    chosen = [one for one in found if name in (None, one["encoder"])]
    if len(chosen) != 1:
        names = [f"{one.get('encoder')} ({one.get('dtype')}, {one.get('max_tokens')} tokens at most)" for one in chosen]
        raise InputError(
            folder or "text cache",
            found="features of " + (" and ".join(names) if names else "no encoder"),
            expected="features of one encoder",
            fix="Name the encoder to read, or give it." if names else THREE_CHOICES,
        )
    return chosen[0]
