"""From codes and captions to the rectangular batches the decoder reads.

    tokens  [PAD PAD PAD][c0 c1 c2][END][PAD ...]      PAD under the text slots: they are replaced by text features
    labels  [ -   -  c0 ][c1 c2 END][ - ][ -  ...]      each position predicts the next token; `-` is IGNORE

The last text slot predicts the first code. END is predicted once. Motion follows its own text with no gap, so a row
reads the same alone and in a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.llama.null_text import drop_text
from motionlab.runtime import check_seed, random_generator
from motionlab.text.caption_choice import choose_caption, choose_number
from motionlab.text.encoder import TextFeatures

_BLOCK = 2048  # clips whose captions are in memory at once, to count their slots

IGNORE = -100
"""Label of a position without a target; it is also torch's own default for `ignore_index`."""


@dataclass(frozen=True)
class Sequences:
    """A batch: `tokens`, `labels` int64 `[B, S]`; `text` float32 `[B, W, text_dim]`; `text_mask` bool `[B, W]`.

    `seed` is the seed of all that a training strategy draws for this batch; with it a resumed run draws the same.
    """

    tokens: Tensor
    labels: Tensor
    text: Tensor
    text_mask: Tensor
    seed: int = 0

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def n_labels(self) -> int:
        """How many tokens are predicted; the weight of this batch when gradients are accumulated."""
        return int((self.labels != IGNORE).sum())

    def to(self, device: torch.device | str) -> Sequences:
        """The same batch on another device."""
        parts = (self.tokens, self.labels, self.text, self.text_mask)
        tokens, labels, text, text_mask = (part.to(device, non_blocking=True) for part in parts)
        return Sequences(tokens, labels, text, text_mask, self.seed)

    def generator(self) -> torch.Generator:
        """A fresh random generator (on the CPU) that starts at `seed`."""
        return random_generator(self.seed)


class TextSource(Protocol):
    """A source of features for captions; `text.cache.TextCache` is one."""

    def features(self, captions: Sequence[str]) -> TextFeatures:
        """Padded features, one row per caption."""
        ...

    def token_counts(self, captions: Sequence[str]) -> list[int]:
        """Text slots that each caption takes."""
        ...


def build_sequences(
    codes: Sequence[Tensor], text: TextFeatures, codebook_size: int, max_length: int = 301
) -> Sequences:
    """Lay out one batch.

    Args:
        codes: one int tensor `[m]` per row.
        text: features of one caption per row, in use from slot 0.
        max_length: longest allowed text + codes + END.

    Raises:
        InputError: no rows, a row is too long, or a code is outside the codebook.

    >>> text = TextFeatures(torch.zeros(1, 2, 4), torch.ones(1, 2, dtype=torch.bool))
    >>> batch = build_sequences([torch.tensor([5, 6])], text, codebook_size=10)
    >>> batch.tokens.tolist(), batch.labels.tolist()
    ([[11, 11, 5, 6, 10]], [[-100, 5, 6, 10, -100]])
    """
    if len(codes) == 0:
        raise InputError("sequences", found="an empty batch", expected="at least one motion", fix="Give its codes.")
    end, pad = codebook_size, codebook_size + 1
    widths = text.mask.sum(1).tolist()
    length = max(width + len(row) + 1 for width, row in zip(widths, codes, strict=True))
    if length > max_length:
        raise InputError(
            "sequence",
            found=f"{length} positions (text + codes + END)",
            expected=f"at most {max_length}",
            fix="Cut the motion, shorten the caption, or raise max_length.",
        )
    tokens = torch.full((len(codes), length), pad)
    labels = torch.full((len(codes), length), IGNORE)
    for row, (width, code) in enumerate(zip(widths, codes, strict=True)):
        if len(code) and not 0 <= int(code.min()) <= int(code.max()) < codebook_size:
            raise InputError(
                f"codes of row {row}",
                found=f"values {int(code.min())} to {int(code.max())}",
                expected=f"0 to {codebook_size - 1}",
                fix="Use the tokenizer that the codes were made with.",
            )
        stop = width + len(code)
        tokens[row, width:stop] = code
        tokens[row, stop] = end
        labels[row, width - 1 : stop] = tokens[row, width : stop + 1]  # shifted by one
    return Sequences(tokens, labels, text.states, text.mask)


class SequenceBatches:
    """Batch number `i` of an endless training: a pure function of `(seed, i)`, so a run can resume at a number.

    Every epoch visits every clip once, in a new order, with a newly drawn caption. Clips of similar length share a
    batch, so little is spent on padding: the shuffled clips are cut into pools of `pool` batches, each pool is
    sorted by length and cut into batches, and the batches are shuffled. The last batch of an epoch may be short.

    Args:
        codes: the codes of each clip.
        captions: the captions of each clip; one is drawn at each access. They are read when they are needed: a sequence
            that reads them from a file, such as `data.splits.CaptionsOf`, need not fit into the memory.
        texts: gives the features of captions.
        max_length: longest allowed text + codes + END.
        edge_drop: probability that a clip loses one code at its head or tail (published: 1/3).
        text_drop: probability that a clip loses its text, for classifier-free guidance; see `null_text.py`.
        pool: batches sorted together. 1 switches bucketing off; larger saves more padding and mixes less.

    Raises:
        InputError: not one list of captions per clip, a caption that the encoder cannot read, or a clip that does not
            fit in `max_length`; it is named by its number.
    """

    def __init__(
        self,
        codes: Sequence[Tensor],
        captions: Sequence[Sequence[str]],
        texts: TextSource,
        *,
        codebook_size: int,
        batch_size: int,
        seed: int,
        max_length: int = 301,
        edge_drop: float = 0.0,
        text_drop: float = 0.0,
        pool: int = 16,
    ) -> None:
        if len(codes) != len(captions) or len(codes) == 0:
            raise InputError(
                "sequence batches",
                found=f"codes of {len(codes)} clips and captions of {len(captions)}",
                expected="the same number, at least one",
                fix="Prepare the corpus again.",
            )
        self.codes, self.captions, self.texts = codes, captions, texts
        self._lengths = np.array([len(row) for row in codes])
        self.codebook_size, self.batch_size, self.max_length = codebook_size, batch_size, max_length
        self.seed = check_seed(seed)
        self.edge_drop, self.text_drop, self.pool = edge_drop, text_drop, pool
        self._epoch: tuple[int, list[np.ndarray]] = (-1, [])
        # Every caption is encoded here, once and sorted by length. Left to the epochs, each would find new captions.
        self._widths, counts = _count_slots(captions, texts)
        self._first_widths = np.concatenate(([0], np.cumsum(counts)))  # [N + 1]: where those of each clip begin
        for row, count in enumerate(self._lengths.tolist()):
            width = int(self.widths(row).max(initial=0))
            if width + count + 1 > max_length:
                raise InputError(
                    f"clip {row}",
                    found=f"{width + count + 1} positions ({width} text, {count} codes, END)",
                    expected=f"at most {max_length}",
                    fix=f"Cut the motion, shorten its captions, or raise max_length to {width + count + 1}.",
                )

    def widths(self, row: int) -> np.ndarray:
        """Text slots of each caption of a clip."""
        return self._widths[self._first_widths[row] : self._first_widths[row + 1]]

    @property
    def batches_per_epoch(self) -> int:
        """Calls that visit every clip once."""
        return -(-len(self.codes) // self.batch_size)

    def __call__(self, i: int) -> Sequences:
        epoch, place = divmod(i, self.batches_per_epoch)
        rows = self._order(epoch)[place].tolist()
        random = np.random.default_rng((self.seed, i, 1))
        codes = [self._drop_edge(self.codes[row].long().cpu(), random) for row in rows]
        text = self.texts.features([self._caption(row, epoch) for row in rows])
        seed = int(random.integers(2**62))
        if self.text_drop > 0:
            text = drop_text(text, torch.from_numpy(random.random(len(rows)) < self.text_drop))
        return replace(build_sequences(codes, text, self.codebook_size, self.max_length), seed=seed)

    def _caption(self, row: int, epoch: int) -> str:
        return choose_caption(self.captions[row], self.seed, row, epoch)

    def _width(self, row: int, epoch: int) -> int:
        """Text slots of `_caption`, which is not read for it."""
        widths = self.widths(row)
        return int(widths[choose_number(len(widths), self.seed, row, epoch)])

    def _drop_edge(self, codes: Tensor, random: np.random.Generator) -> Tensor:
        drop, head = random.random(2)
        if drop >= self.edge_drop or len(codes) < 2:
            return codes
        return codes[1:] if head < 0.5 else codes[:-1]

    def _order(self, epoch: int) -> list[np.ndarray]:
        """The rows of every batch of an epoch. The last requested epoch is kept."""
        if self._epoch[0] != epoch:
            random = np.random.default_rng((self.seed, epoch, 0))
            count = len(self.codes)
            lengths = self._lengths + [self._width(row, epoch) for row in range(count)]
            shuffled, size, batches = random.permutation(count), self.pool * self.batch_size, []
            for start in range(0, count, size):
                rows = shuffled[start : start + size]
                rows = rows[np.argsort(lengths[rows], kind="stable")]
                batches += [rows[at : at + self.batch_size] for at in range(0, len(rows), self.batch_size)]
            self._epoch = (epoch, [batches[at] for at in random.permutation(len(batches))])
        return self._epoch[1]


def _count_slots(captions: Sequence[Sequence[str]], texts: TextSource) -> tuple[np.ndarray, np.ndarray]:
    """Text slots of every caption, int32, those of the first clip first; and how many captions each clip has, `[N]`."""
    widths, counts = [], []
    for start in range(0, len(captions), _BLOCK):
        block = captions[start : start + _BLOCK]
        counts += [len(some) for some in block]
        every = [caption for some in block for caption in some]
        different = list(dict.fromkeys(every))
        known = dict(zip(different, texts.token_counts(different), strict=True))
        widths.append(np.array([known[caption] for caption in every], dtype=np.int32))
    return np.concatenate(widths), np.array(counts)
