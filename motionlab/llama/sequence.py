"""From codes and captions to the rectangular batches the decoder reads.

    tokens  [PAD PAD PAD][c0 c1 c2][END][PAD ...]      PAD under the text slots: they are replaced by text features
    labels  [ -   -  c0 ][c1 c2 END][ - ][ -  ...]      each position predicts the next token; `-` is IGNORE

The last text slot predicts the first code. END is predicted once. Motion follows its own text with no gap, so a row
reads the same alone and in a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.llama.null_text import drop_text
from motionlab.llama.row_draws import RowDraws, row_seeds
from motionlab.runtime import check_seed
from motionlab.text.caption_choice import choose_caption, choose_number
from motionlab.text.encoder import TextFeatures

_BLOCK = 2048  # clips whose captions are in memory at once, to count their slots
_LOADING, _STRATEGY, _STEP = range(3)  # purposes of the seeds of a row

IGNORE = -100
"""Label of a position without a target; it is also torch's own default for `ignore_index`."""


@dataclass(frozen=True)
class Sequences:
    """A batch: `tokens`, `labels` int64 `[B, S]`; `text` float32 `[B, W, text_dim]`; `text_mask` bool `[B, W]`.

    All that a training strategy draws comes from `seeds`, int64 `[B]`, one for each row, and from `step_seed`, which
    all rows of an optimizer step share. So a resumed run draws the same, and a row draws the same in every batch.
    """

    tokens: Tensor
    labels: Tensor
    text: Tensor
    text_mask: Tensor
    seeds: Tensor | None = None
    step_seed: int = 0

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def n_labels(self) -> int:
        """How many tokens are predicted; the weight of this batch when gradients are accumulated."""
        return int((self.labels != IGNORE).sum())

    @property
    def lengths(self) -> Tensor:
        """Positions of each row: text, codes and END, int64 `[B]`."""
        return _lengths(self.labels)

    def to(self, device: torch.device | str) -> Sequences:
        """The same batch on another device; the seeds stay on the CPU, where all draws are made."""
        parts = (self.tokens, self.labels, self.text, self.text_mask)
        tokens, labels, text, text_mask = (part.to(device, non_blocking=True) for part in parts)
        return Sequences(tokens, labels, text, text_mask, self.seeds, self.step_seed)

    def draws(self) -> RowDraws:
        """The random numbers of these rows, from the first one on. Rows without seeds count from 0."""
        return RowDraws(torch.arange(len(self)) if self.seeds is None else self.seeds, self.step_seed)

    def seeded(self, seed: int) -> Sequences:
        """The same batch with other random numbers: those of the rows 0, 1, ... of this seed."""
        seeds = row_seeds(seed, np.arange(len(self)), _STRATEGY)
        return replace(self, seeds=_signed(seeds), step_seed=int(row_seeds(seed, np.zeros(1), _STEP)[0]))

    def select(self, rows: Tensor) -> Sequences:
        """Some rows, int64 `[n]`, without the padding that only the others need."""
        labels, mask = self.labels[rows], self.text_mask[rows]
        width = int(mask.sum(1).max())
        length = int(_lengths(labels).max())
        return replace(
            self,
            tokens=self.tokens[rows, :length],
            labels=labels[:, :length],
            text=self.text[rows, :width],
            text_mask=mask[:, :width],
            seeds=None if self.seeds is None else self.seeds[rows.cpu()],
        )


def _lengths(labels: Tensor) -> Tensor:
    """Positions of each row of labels `[B, S]`. The last label stands one place before END."""
    places = torch.arange(1, labels.shape[1] + 1, device=labels.device)  # [S]
    return ((labels != IGNORE) * places).amax(1) + 1


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
    """Micro-batch `i` of an endless training: a pure function of `(seed, i)`, so a run can resume at a number.

    Every epoch visits every clip once, in a new order, with a newly drawn caption. Epochs follow each other without a
    gap, so the clips are an endless sequence of rows, and row n has its own clip, caption, dropped edge, dropped text
    and seed. Optimizer step s sees the rows `s * E` to `(s + 1) * E - 1`, where E is the effective batch: the same ones
    for 32 x 1, 8 x 4 and 2 x 16, in one process or in several. Only within a step may rows be sorted: they
    are, by length, before they are cut into micro-batches, which saves padding and changes nothing that the step sees.

    Args:
        codes: the codes of each clip.
        captions: the captions of each clip; one is drawn at each access. They are read when they are needed: a sequence
            that reads them from a file, such as `data.splits.CaptionsOf`, need not fit into the memory.
        texts: gives the features of captions.
        batch_size: rows of a micro-batch.
        per_step: micro-batches of an optimizer step: accumulated ones times processes.
        max_length: longest allowed text + codes + END.
        edge_drop: probability that a clip loses one code at its head or tail (published: 1/3).
        text_drop: probability that a clip loses its text, for classifier-free guidance; see `null_text.py`.

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
        per_step: int = 1,
        max_length: int = 301,
        edge_drop: float = 0.0,
        text_drop: float = 0.0,
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
        self.seed, self.per_step = check_seed(seed), per_step
        self.edge_drop, self.text_drop = edge_drop, text_drop
        self._orders: dict[int, np.ndarray] = {}
        self._known: tuple[int, _Rows] | None = None  # the last step
        self._pass: _Rows | None = None
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

    def widths(self, clip: int) -> np.ndarray:
        """Text slots of each caption of a clip."""
        return self._widths[self._first_widths[clip] : self._first_widths[clip + 1]]

    def __call__(self, i: int) -> Sequences:
        step, part = divmod(i, self.per_step)
        size = self.per_step * self.batch_size  # E
        if self._known is None or self._known[0] != step:
            self._known = step, self._draw(step * size + np.arange(size))
        return self._batch(self._known[1], part, step)

    @property
    def batches_in_pass(self) -> int:
        """Batches of `of_pass` that hold every clip once."""
        return -(-len(self.codes) // self.batch_size)

    def of_pass(self, i: int) -> Sequences:
        """Batch `i` of one pass over the clips: each once, sorted by length; the last batch may be short."""
        if self._pass is None:
            self._pass = self._draw(np.arange(len(self.codes)))
        return self._batch(self._pass, i, 0)

    def _batch(self, rows: _Rows, part: int, step: int) -> Sequences:
        """Rows `part * batch_size` and so on, counted by length."""
        chosen = rows.order[part * self.batch_size : (part + 1) * self.batch_size]
        visits = list(zip(rows.clips[chosen].tolist(), rows.epochs[chosen].tolist(), strict=True))
        edges = rows.edges[chosen].tolist()  # codes to leave out at the head, and at the tail
        codes = [
            self.codes[clip][head : int(self._lengths[clip]) - tail].long().cpu()
            for (clip, _), (head, tail) in zip(visits, edges, strict=True)
        ]
        text = self.texts.features([choose_caption(self.captions[clip], self.seed, clip, at) for clip, at in visits])
        if self.text_drop > 0:
            text = drop_text(text, torch.from_numpy(rows.without_text[chosen]))
        seeds = row_seeds(self.seed, rows.numbers[chosen], _STRATEGY)
        step_seed = int(row_seeds(self.seed, np.array([step]), _STEP)[0])
        batch = build_sequences(codes, text, self.codebook_size, self.max_length)
        return replace(batch, seeds=_signed(seeds), step_seed=step_seed)

    def _draw(self, numbers: np.ndarray) -> _Rows:
        """All that is drawn for these rows of the endless sequence, int64 `[n]`."""
        epochs, places = np.divmod(numbers, len(self.codes))
        clips = np.array([self._order(epoch)[place] for epoch, place in zip(epochs.tolist(), places, strict=True)])
        draws = RowDraws(_signed(row_seeds(self.seed, numbers, _LOADING))).uniform(3).numpy()  # [n, 3]
        drops = (draws[:, 0] < self.edge_drop) & (self._lengths[clips] > 1)
        head = draws[:, 1] < 0.5
        edges = np.stack([drops & head, drops & ~head], axis=1).astype(np.int64)  # [n, 2]
        without_text = draws[:, 2] < self.text_drop
        widths = [self._width(clip, epoch) for clip, epoch in zip(clips.tolist(), epochs.tolist(), strict=True)]
        lengths = np.where(without_text, 1, widths) + self._lengths[clips] - drops
        return _Rows(numbers, clips, epochs, edges, without_text, np.argsort(lengths, kind="stable"))

    def _width(self, clip: int, epoch: int) -> int:
        """Text slots of the caption that is drawn, which is not read for it."""
        widths = self.widths(clip)
        return int(widths[choose_number(len(widths), self.seed, clip, epoch)])

    def _order(self, epoch: int) -> np.ndarray:
        """The clips in the order of an epoch. Kept for the last two epochs."""
        if epoch not in self._orders:
            if len(self._orders) >= 2:
                self._orders.pop(min(self._orders))
            self._orders[epoch] = np.random.default_rng((self.seed, epoch, 0)).permutation(len(self.codes))
        return self._orders[epoch]


class _Rows(NamedTuple):
    """The draws for n rows of the endless sequence; every field but the last is in the order of the rows."""

    numbers: np.ndarray  # [n] of the rows
    clips: np.ndarray  # [n]
    epochs: np.ndarray  # [n]
    edges: np.ndarray  # [n, 2] codes left out at the head and at the tail
    without_text: np.ndarray  # [n] bool
    order: np.ndarray  # [n] places in the fields above, the shortest row first


def _signed(seeds: np.ndarray) -> Tensor:
    """uint64 as the int64 tensor with the same bits: torch cannot do much with unsigned ones."""
    return torch.from_numpy(seeds.view(np.int64))


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
