"""Text features on disk: the encoder is frozen, so each caption is encoded once and never again.

The published training runs a 1.2-billion-parameter encoder inside the data loader, one caption at a time, in every
epoch. Here training reads float16 rows from memory; three decimal digits are plenty for a caption.

On disk, in one folder for each encoder with its settings (`encoder.identity`), named by encoder and hash:
    features-<hash>.safetensors   "states" float16 [tokens of all captions, dim]
    index.json                    format, identity, name and sha256 of the file above, captions, lengths
A caption that was encoded together with others may differ in the last bit of float16: in padded blocks of another shape
sums are added in another order. (112 of 5,348 captions of preset tiny did.) So a training on a cache that was filled in
another order agrees closely with its twin, and not to the last digit.
Features from other weights, of another dtype or with another limit of tokens are in another folder, and never read.
A save writes a new features file first, then the index that points to it, then removes the old file. A crash at any
moment leaves an index whose file is whole. Processes save one after the other, each with what the others have added; a
reader whose file was removed meanwhile begins again with the new index.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from motionlab.errors import InputError
from motionlab.files import atomic_path
from motionlab.files.litter import sweep
from motionlab.files.lock import IN_USE, locked
from motionlab.files.reading import read_bytes, refusing
from motionlab.files.records import parse_record, write_record
from motionlab.files.tensors import require_finite
from motionlab.text.encoder import THREE_CHOICES, TextEncoder, TextFeatures, check_captions, check_finite, identity

FORMAT = 2
_AT_ONCE = 1024  # captions encoded at a time, so that the padded float32 block stays small
_LONGEST_SAVE = 120.0  # seconds that one save may take, and those before it
_MAKE_AGAIN = "Delete this folder; the features are made again when they are needed."


@dataclass(frozen=True)
class Index:
    """The content of `index.json`."""

    format: int
    identity: dict[str, Any]
    file: str
    sha256: str
    captions: list[str]
    lengths: list[int]


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
        self._identity = identity(encoder) if encoder is not None else _only_encoder(folder, name)
        self.name, self.dim = str(self._identity["encoder"]), int(str(self._identity["dim"]))
        self.identity = hashlib.sha256(json.dumps(self._identity, sort_keys=True).encode()).hexdigest()
        short = re.sub(r"[^\w.-]+", "_", self.name)
        self.folder = None if folder is None else Path(folder) / f"{short}-{self.identity[:8]}"
        self._row: dict[str, int] = {}
        self._rows: list[Tensor] = []  # float16 [l_i, dim] each
        self._file: str | None = None
        if self.folder is not None:
            self._take_in(self.folder)

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, caption: str) -> bool:
        return caption in self._row

    def features(self, captions: Sequence[str]) -> TextFeatures:
        """Padded features, one row per caption, in order; missing ones are encoded first and saved.

        Raises:
            InputError: an empty caption; a caption over the encoder's limit; no encoder for a new caption; or an
                encoder that gives NaN, infinity or more than float16 holds.
        """
        return TextFeatures.from_rows([self._rows[at] for at in self._find(captions)])

    def token_counts(self, captions: Sequence[str]) -> list[int]:
        """How many tokens each caption has; encodes what is missing, as `features` does."""
        return [len(self._rows[at]) for at in self._find(captions)]

    def add(self, captions: Sequence[str], features: TextFeatures) -> None:
        """Put in features that were made elsewhere (bundled with the samples, for example). Known captions stay.

        Raises:
            InputError: features of another width or number, or that float16 cannot hold.
        """
        self._insert(captions, features)
        self.save()

    def save(self) -> None:
        """Write everything to the folder, with what other processes have saved there meanwhile.

        Raises:
            InputError: the folder cannot be written, or another process does not end its save.
        """
        if self.folder is None or not self._rows:
            return
        with locked(self.folder / IN_USE, wait=_LONGEST_SAVE):
            sweep(self.folder, depth=1, strangers=_LONGEST_SAVE)
            self._take_in(self.folder)
            self._write(self.folder)

    def _write(self, folder: Path) -> None:
        """The old file stays valid until the new one is complete."""
        content = save({"states": torch.cat(self._rows)})  # [tokens of all captions, dim]
        digest = hashlib.sha256(content).hexdigest()
        file = f"features-{digest[:16]}.safetensors"
        if file == self._file:
            return
        with atomic_path(folder / file) as temporary:
            temporary.write_bytes(content)
        index = {
            "format": FORMAT,
            "identity": self._identity,
            "file": file,
            "sha256": digest,
            "captions": list(self._row),
            "lengths": [len(rows) for rows in self._rows],
        }
        write_record(folder / "index.json", index)
        if self._file is not None:
            (folder / self._file).unlink(missing_ok=True)
        self._file = file

    def _find(self, captions: Sequence[str]) -> list[int]:
        missing = self._missing(captions)
        if missing and self.folder is not None:
            self._take_in(self.folder)  # another process may have saved them
            missing = self._missing(captions)
        if missing:
            check_captions(missing)
            if self.encoder is None:
                raise InputError(
                    f"caption {missing[0][:60]!r}",
                    found=f"no features from {self.name} for it, and no text encoder",
                    expected="a caption in the cache, or an encoder",
                    fix=THREE_CHOICES,
                )
            for start in range(0, len(missing), _AT_ONCE):
                some = missing[start : start + _AT_ONCE]
                self._insert(some, self.encoder.encode(some))
            self.save()
        return [self._row[caption] for caption in captions]

    def _missing(self, captions: Sequence[str]) -> list[str]:
        return [caption for caption in dict.fromkeys(captions) if caption not in self._row]

    def _insert(self, captions: Sequence[str], features: TextFeatures) -> None:
        if features.dim != self.dim or len(features) != len(captions):
            raise InputError(
                f"text cache of {self.name}",
                found=f"{len(features)} features of width {features.dim}",
                expected=f"{len(captions)} of width {self.dim}",
                fix="Use the encoder that the cache is named after.",
            )
        check_finite(features.states.where(features.mask[..., None], 0.0), captions, self.name)
        for caption, states, mask in zip(captions, features.states, features.mask, strict=True):
            if caption not in self._row:
                self._row[caption] = len(self._rows)
                self._rows.append(states[mask].to("cpu", torch.float16))  # [l, dim]

    def _take_in(self, folder: Path) -> None:
        """Add what the folder holds and this cache does not; nothing, if it holds the file that was read last."""
        while (index := _bytes(folder / "index.json")) is not None:
            try:
                return self._load(folder, index)
            except InputError:
                if _bytes(folder / "index.json") == index:  # otherwise another process has saved, and removed the file
                    raise

    def _load(self, folder: Path, content: bytes) -> None:
        """Add what the index with this content names."""
        index_path = folder / "index.json"
        index = _parse_index(content, index_path)
        if index.format != FORMAT or index.identity != self._identity:
            raise InputError(
                index_path,
                found=f"format {index.format}, features of {index.identity}",
                expected=f"format {FORMAT}, {self._identity}",
                fix=_MAKE_AGAIN,
            )
        if index.file == self._file:
            return
        path = folder / Path(index.file).name
        with refusing(index_path, expected="an index", fix=_MAKE_AGAIN):  # a name may be longer than a system takes
            content = _bytes(path) or b""
        if hashlib.sha256(content).hexdigest() != index.sha256:
            raise InputError(
                path,
                found=f"{len(content):,} bytes that are not what was saved",
                expected=f"a file with sha256 {index.sha256[:12]}...",
                fix=_MAKE_AGAIN,
            )
        with refusing(path, expected="text features", fix=_MAKE_AGAIN):
            states = load(content)["states"]  # [tokens of all captions, dim]
        require_finite({"states": states}, path, _MAKE_AGAIN)
        captions, lengths = index.captions, index.lengths
        if len(captions) != len(lengths) or list(states.shape) != [sum(lengths), self.dim] or min(lengths) < 1:
            raise InputError(
                index_path,
                found=f"{len(captions)} captions with {sum(lengths)} tokens of width {self.dim}",
                expected=f"those of features of shape {list(states.shape)}",
                fix=_MAKE_AGAIN,
            )
        self._file = index.file
        for caption, rows in zip(captions, states.split(lengths), strict=True):
            if caption not in self._row:
                self._row[caption] = len(self._rows)
                self._rows.append(rows)


def _bytes(path: Path) -> bytes | None:
    """The content of a file, None without one."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _parse_index(content: bytes, path: Path) -> Index:
    with refusing(path, expected="an index", fix=_MAKE_AGAIN):
        text = content.decode("utf-8")
    return parse_record(text, Index, path, expected="an index", fix=_MAKE_AGAIN)


def _only_encoder(folder: str | Path | None, name: str | None) -> dict[str, Any]:
    """The identity of the one encoder, of this name if one is given, whose features are in `folder`."""
    found = []
    for path in sorted(Path(folder).glob("*/index.json")) if folder is not None else []:
        one = _parse_index(read_bytes(path, expected="an index", fix=_MAKE_AGAIN), path).identity
        if not isinstance(one.get("encoder"), str) or type(one.get("dim")) is not int:
            raise InputError(path, found=f"features of {one}", expected="a name and a width", fix=_MAKE_AGAIN)
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
