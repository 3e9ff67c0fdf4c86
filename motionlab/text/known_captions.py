"""The captions that a model learned from, as vectors: which of them is nearest to a sentence, and is that near enough?

    vectors      float16 [N, dim]     unit vectors: the mean over the tokens of a sentence, scaled to length 1
    text         uint8 [bytes]        the sentences in UTF-8, one after the other
    text_starts  int64 [N + 1]        where a sentence begins in `text`

The first `n_parts` rows are parts of captions with one subject (`caption_parts.py`), the others whole captions. A
sentence is compared part by part; the part that is least known decides. Cosines of mean-pooled states as similarities
of sentences: Reimers and Gurevych, "Sentence-BERT", arXiv:1908.10084. The file is read through a memory map, a block
at a time, so it may be larger than the memory.

The threshold lies halfway between two measured numbers, because a cosine means something else in each encoder:

* low: 95 % of the sentences in `OTHER_THINGS`, which name no movement, are less similar than this to every part;
* high: 95 % of the parts are more similar than this to a part in other words (left and right count as one word).

With fewer parts than 20, or parts that are all unlike each other, `high` says nothing. So it is at least halfway from
`low` to 1.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from motionlab.errors import InputError
from motionlab.files.litter import temporary_folder
from motionlab.files.mapped import map_tensors
from motionlab.files.tensors import check_digest, write_tensors
from motionlab.text.caption_parts import action_parts, as_sentence
from motionlab.text.shard import encoded, unwritten_tensor

FORMAT = 1
_BLOCK = 1 << 14  # rows that are compared at once
_SHARE = 0.95
_CALIBRATED = 1024  # parts that are compared with the others for the threshold, at most
_FEWEST = 20
_SIDES = re.compile(r"\b(?:left|right)\b")
_TYPES = {"vectors": "f2", "text": "u1", "text_starts": "i8"}

OTHER_THINGS = (
    "is thirty years old", "owns two houses", "believes the story", "has a cold", "likes music",
    "hopes for better weather", "forgets the name of the street", "knows the answer", "is called Maria",
    "remembers the summer of last year", "lives in a small town", "has brown eyes", "is a doctor",
    "speaks three languages", "owes the bank some money", "misses an old friend", "is proud of the result",
    "wants a cheaper ticket", "thinks about the future", "needs a new passport", "feels tired after work",
    "is allergic to nuts", "trusts the government", "works for a newspaper", "inherits a farm", "studies chemistry",
    "agrees with the plan", "is late for an appointment", "prefers tea to coffee", "regrets the decision",
    "wins the lottery", "is the youngest of five children", "the bridge is made of steel",
    "rain is expected in the north", "the shop closes at six", "this soup needs more salt",
    "the train from the south is late", "a blue vase is on the shelf", "the number seven is odd",
    "our roof is leaking", "gold is heavier than iron", "the film lasts two hours", "most birds have light bones",
    "the meeting is on Thursday", "a long novel in three volumes", "the river is deep here",
    "tax rates will rise again", "the moon has no air", "the garden is full of roses", "an empty bottle of wine",
    "the password is too short", "bread, butter and cheese",
)  # fmt: skip
"""Sentences, without the subject, in which nobody moves."""

Vectors = Callable[[Sequence[str]], np.ndarray]
"""Sentences to unit vectors, float32 `[N, dim]`."""


@dataclass(frozen=True)
class Near:
    """A sentence or part, and the known ones that are nearest to it, with their cosines, the nearest first."""

    text: str
    nearest: tuple[tuple[str, float], ...]

    @property
    def similarity(self) -> float:
        """The cosine of the nearest, -1 to 1."""
        return self.nearest[0][1]

    @property
    def distance(self) -> float:
        """1 minus the cosine."""
        return 1.0 - self.similarity


@dataclass(frozen=True)
class Comparison:
    """How a caption stands to the known ones: as a whole, and each of its parts; `threshold` is for the parts."""

    whole: Near
    parts: tuple[Near, ...]
    threshold: float

    @property
    def unknown(self) -> tuple[Near, ...]:
        """The parts that no training caption is like."""
        return tuple(part for part in self.parts if part.similarity < self.threshold)


class KnownCaptions:
    """Read access to a file that `write_known_captions` made.

    Args:
        path: of the file.
        fix: what to do about a damaged one.

    Raises:
        InputError: no such file, or one that is damaged or of another format.
    """

    def __init__(self, path: Path, fix: str) -> None:
        check_digest(path)
        arrays, self.description = map_tensors(path, fix)
        kinds = {name: array.dtype.str[1:] for name, array in arrays.items()}
        n_parts, threshold = self.description.get("n_parts"), self.description.get("threshold")
        whole = (
            kinds == _TYPES
            and self.description.get("format") == FORMAT
            and type(n_parts) is int
            and type(threshold) is float
            and arrays["vectors"].ndim == 2
            and arrays["text_starts"].shape == (len(arrays["vectors"]) + 1,)
            and 0 < n_parts < len(arrays["vectors"])
        )
        if not whole:
            raise InputError(path, found="other tables", expected=f"known captions, format {FORMAT}", fix=fix)
        self.vectors, self.n_parts, self.threshold = arrays["vectors"], int(str(n_parts)), float(str(threshold))
        self._text, self._starts = arrays["text"], arrays["text_starts"]

    def __len__(self) -> int:
        return len(self.vectors)

    def sentence(self, row: int) -> str:
        """The sentence of a row."""
        start, stop = self._starts[row : row + 2].tolist()
        return self._text[start:stop].tobytes().decode("utf-8", "surrogatepass")

    def compare(self, captions: Sequence[str], vectors: Vectors, count: int = 3) -> list[Comparison]:
        """Compare captions with the known ones.

        Args:
            vectors: the encoder that the file was made with.
            count: how many of the nearest are named.

        Raises:
            InputError: a part that the encoder cannot read.
        """
        parts = [action_parts(caption) for caption in captions]
        sentences = [as_sentence(part) for some in parts for part in some]
        found = vectors([*captions, *sentences])  # [captions + parts, dim]
        wholes = self._nearest(found[: len(captions)], self.n_parts, len(self), 1)
        # A short caption of one action is a part of its own, so parts are also compared with whole captions.
        near = iter(self._nearest(found[len(captions) :], 0, len(self), count))
        return [
            Comparison(Near(caption, whole), tuple(Near(part, next(near)) for part in some), self.threshold)
            for caption, whole, some in zip(captions, wholes, parts, strict=True)
        ]

    def _nearest(self, queries: np.ndarray, start: int, stop: int, count: int) -> list[tuple[tuple[str, float], ...]]:
        """The `count` nearest rows among `start` to `stop` for each of `[Q, dim]`."""
        best, rows = nearest_rows(queries, self.vectors[start:stop], count)  # [Q, count] both
        return [
            tuple((self.sentence(start + row), round(cosine, 6)) for cosine, row in zip(some, places, strict=True))
            for some, places in zip(best.tolist(), rows.tolist(), strict=True)
        ]


def nearest_rows(queries: np.ndarray, vectors: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The most similar rows for each query; `vectors` are read a block at a time, the queries are in memory.

    Args:
        queries: unit vectors float32 `[Q, dim]`.
        vectors: unit vectors `[N, dim]`, of any floating type, N at least 1.

    Returns:
        cosines and rows, `[Q, min(count, N)]` each, the nearest first.

    >>> cosines, rows = nearest_rows(np.eye(2, dtype=np.float32), np.array([[0.0, 1.0], [1.0, 0.0]]), 1)
    >>> cosines.ravel().tolist(), rows.ravel().tolist()
    ([1.0, 1.0], [1, 0])
    """
    best = np.empty((len(queries), 0), np.float32)
    rows = np.empty((len(queries), 0), np.int64)
    for start in range(0, len(vectors), _BLOCK):
        block = np.asarray(vectors[start : start + _BLOCK], np.float32)  # [b, dim]
        cosines = np.concatenate([best, queries @ block.T], axis=1)  # [Q, count + b]
        places = np.concatenate([rows, np.tile(np.arange(start, start + len(block)), (len(queries), 1))], axis=1)
        order = np.argsort(-cosines, axis=1, kind="stable")[:, :count]
        best, rows = np.take_along_axis(cosines, order, 1), np.take_along_axis(places, order, 1)
    return best, rows


def calibrate(parts: Sequence[str], known: np.ndarray, others: np.ndarray) -> dict[str, float]:
    """The threshold, and the two numbers that it lies between.

    Args:
        parts: the known parts as sentences.
        known: their unit vectors, float32 `[N, dim]`.
        others: those of `OTHER_THINGS`, float32 `[M, dim]`.

    Returns:
        `low`, `high` and `threshold`, as the head of this file says.
    """
    low = float(np.quantile(nearest_rows(others, known, 1)[0][:, 0], _SHARE))
    high = (1 + low) / 2
    if len(parts) >= _FEWEST:
        names: dict[str, int] = {}
        words = np.array([names.setdefault(_SIDES.sub("side", part), len(names)) for part in parts])  # [N]
        some = np.arange(min(len(parts), _CALIBRATED))
        cosines = np.where(words[some, None] == words[None], -1.0, known[some] @ known.T)  # [n, N]
        high = max(high, float(np.quantile(cosines.max(1), 1 - _SHARE)))
    return {"low": round(low, 6), "high": round(high, 6), "threshold": round((low + high) / 2, 6)}


def write_known_captions(
    path: Path,
    parts: Sequence[str],
    captions: Iterable[Sequence[str]],
    vectors: Vectors,
    description: Mapping[str, Any],
) -> None:
    """Write the file, whole or not at all. Vectors go through a temporary file, so few are in memory.

    Args:
        parts: parts of captions, all different, as `action_parts` gives them; one or more.
        captions: blocks of whole captions, all different; one or more.
        vectors: the encoder.
        description: what else a reader should find in `KnownCaptions.description`.

    Raises:
        InputError: a caption that the encoder cannot read, or the folder cannot be written.
    """
    sentences = [as_sentence(part) for part in parts]
    known = vectors(sentences)  # [n_parts, dim]
    measured = calibrate(sentences, known, vectors([as_sentence(text) for text in OTHER_THINGS]))
    texts = [encoded(part) for part in parts]
    with temporary_folder("known_captions") as folder:
        raw = Path(folder) / "vectors.f16"
        with open(raw, "wb") as file:
            file.write(known.astype(np.float16).tobytes())
            for block in captions:
                file.write(vectors(block).astype(np.float16).tobytes())
                texts += [encoded(caption) for caption in block]
        shape = (len(texts), known.shape[1])
        rows = np.memmap(raw, np.float16, "r", shape=shape)
        starts = np.cumsum([0, *(len(text) for text in texts)], dtype=np.int64)  # [N + 1]
        tensors = {
            "vectors": unwritten_tensor(rows),
            "text": torch.from_numpy(np.frombuffer(bytearray(b"".join(texts)), np.uint8)),
            "text_starts": torch.from_numpy(starts),
        }
        write_tensors(path, tensors, {**description, "format": FORMAT, "n_parts": len(parts), **measured})
        del rows, tensors  # Windows removes no file that is open


def thin_known_captions(source: Path, target: Path, most: int) -> None:
    """Copy such a file with all parts, and of its whole captions at most `most`, at even distances.

    Parts decide what is known, and the threshold stays that of all; only "nearest training caption" has fewer to name.

    Raises:
        InputError: the file is damaged, or the folder cannot be written.
    """
    known = KnownCaptions(source, "Make the file again.")
    captions = np.linspace(known.n_parts, len(known) - 1, min(most, len(known) - known.n_parts)).astype(int)
    rows = [*range(known.n_parts), *captions.tolist()]
    texts = [encoded(known.sentence(row)) for row in rows]
    tensors = {
        "vectors": torch.from_numpy(np.array(known.vectors[rows])),
        "text": torch.from_numpy(np.frombuffer(bytearray(b"".join(texts)), np.uint8)),
        "text_starts": torch.from_numpy(np.cumsum([0, *(len(text) for text in texts)], dtype=np.int64)),
    }
    write_tensors(target, tensors, known.description)


def blocks_of(items: Iterable[str], size: int) -> Iterator[list[str]]:
    """Lists of `size` items, the last one shorter."""
    block: list[str] = []
    for item in items:
        block.append(item)
        if len(block) == size:
            yield block
            block = []
    if block:
        yield block
