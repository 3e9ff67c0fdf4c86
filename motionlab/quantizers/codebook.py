"""Shared by the quantizers with a table of vectors: the nearest code, sums over a batch, and a start from the data.

Notation: n vectors in the batch, K = `codebook_size`, D = `dim`. `kept [n]` is true where a vector may teach.

Nothing here asks the GPU for an answer in mid-step: a vector that may not teach is not cut out (its place would have to
be known first), it is sent to a slot never read. For the same reason several processes always call each other in
the same order: one whose batch is all padding adds zeros instead of staying away, which would leave the others waiting.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import Tensor

from motionlab.errors import InputError
from motionlab.quantizers.base import Quantizer

Start = Literal["batch", "kmeans", "random"]

SCORES_AT_ONCE = 1 << 20  # numbers in one block of the score matrix: 4 MiB in float32, about what a cache holds
CODES_AT_ONCE = 1024  # of them, so that a block has enough rows for a fast product


def nearest_codes(z: Tensor, codebook: Tensor) -> Tensor:
    """Index of the nearest code for each vector: `z [n, D]`, `codebook [K, D]` -> `[n]` int64.

    |z - c|^2 = |z|^2 - 2 (z.c - |c|^2 / 2), so the nearest code has the largest z.c - |c|^2 / 2. That is one matrix
    product; it runs in blocks of vectors and codes so that the `[n, K]` matrix never exists as a whole. Of two codes at
    the same distance the first one wins.

    >>> nearest_codes(torch.tensor([[0.9], [-3.0]]), torch.tensor([[-1.0], [0.0], [1.0]])).tolist()
    [2, 0]
    """
    penalty = codebook.square().sum(1).mul_(-0.5)  # [K]
    transposed = codebook.t()  # [D, K]
    rows = SCORES_AT_ONCE // min(CODES_AT_ONCE, len(codebook))
    found = []
    for block in z.split(rows):
        best, index = torch.addmm(penalty[:CODES_AT_ONCE], block, transposed[:, :CODES_AT_ONCE]).max(1)
        for first in range(CODES_AT_ONCE, len(codebook), CODES_AT_ONCE):
            codes = slice(first, first + CODES_AT_ONCE)
            score, place = torch.addmm(penalty[codes], block, transposed[:, codes]).max(1)
            index = torch.where(score > best, place + first, index)
            best = torch.maximum(score, best)
        found.append(index)
    return torch.cat(found)


def teaching_rows(vectors: Tensor, mask: Tensor | None) -> Tensor:
    """Which of `vectors [n, D]` may teach, `[n]`: real ones (`mask`, any shape) that hold neither NaN nor infinity.

    One NaN in a moving average stays there forever. Such a vector still makes the loss NaN, so that it is seen.
    """
    finite = vectors.sum(1).isfinite()  # a sum is finite only when all its terms are
    return finite if mask is None else finite & mask.reshape(-1)


def tally(vectors: Tensor, indices: Tensor, kept: Tensor, codebook_size: int) -> tuple[Tensor, Tensor]:
    """How many vectors hit each code, `[K]`, and their sum, `[K, D]`, over all processes.

    Adding each vector to its code's row gives what a product with a one-hot matrix `[n, K]` gives, without the matrix.
    """
    slots = torch.where(kept, indices, codebook_size)  # [n]; slot K takes what may not teach
    count = vectors.new_zeros(codebook_size + 1).index_add_(0, slots, vectors.new_ones(()).expand(len(vectors)))
    total = vectors.new_zeros(codebook_size + 1, vectors.shape[1]).index_add_(0, slots, vectors)
    return sum_over_processes(count[:-1]), sum_over_processes(total[:-1])


def draw_rows(vectors: Tensor, kept: Tensor, count: int) -> Tensor:
    """`count` different rows of `vectors [n, D]` in random order, `[count, D]`; the same ones in every process.

    Each process gives a share in proportion to its rows. When there are fewer rows than `count`, the repeated ones
    get a little noise so that they differ (T2M-GPT's scale). When there is none at all, the result is zeros.
    """
    if len(vectors) == 0:
        vectors, kept = vectors.new_zeros(1, vectors.shape[1]), kept.new_zeros(1)
    order = torch.rand(len(vectors), device=vectors.device).masked_fill(~kept, 2.0).argsort()  # [n]; kept ones first
    first, last, total = _span_of_this_process(kept.sum())
    place = torch.arange(count, device=vectors.device) * total // count  # [count] in 0..total-1
    rows = order[(place - first).clamp(0, len(vectors) - 1)]
    chosen = vectors.index_select(0, rows)  # [n, D] -> [count, D]
    repeated = place == place.roll(1)
    repeated[0] = False
    chosen = chosen + torch.randn_like(chosen) * (repeated.unsqueeze(1) * (0.01 / vectors.shape[1] ** 0.5))
    mine = (place >= first) & (place < last)
    return sum_over_processes(torch.where(mine.unsqueeze(1), chosen, 0.0))


def kmeans(vectors: Tensor, kept: Tensor, codebook_size: int, iterations: int = 10) -> Tensor:
    """`codebook_size` centres of `vectors [n, D]` by Lloyd's algorithm, `[K, D]`, over all processes.

    Each round gives every vector to its nearest centre and moves each centre to the mean of its vectors (Lloyd 1982).
    """
    centres = draw_rows(vectors, kept, codebook_size)
    for _ in range(iterations):
        count, total = tally(vectors, nearest_codes(vectors, centres), kept, codebook_size)
        means = total / count.clamp(min=1).unsqueeze(1)
        centres = torch.where((count > 0).unsqueeze(1), means, centres)
    return centres


def sum_over_processes(value: Tensor) -> Tensor:
    """Add `value` over all processes, in place; does nothing when there is only one."""
    if _several_processes():
        dist.all_reduce(value)
    return value


class CodebookQuantizer(Quantizer):
    """A quantizer with a table of K vectors, which can begin with the first training batch.

    Args:
        codebook_size: K.
        dim: D.
        start: the first codebook. "batch": K vectors of the first training batch; "kmeans": the centres of that batch;
            "random": random numbers, drawn without looking at the data, as VQ-VAE was published.
    """

    initialised: Tensor

    def __init__(self, codebook_size: int, dim: int, start: Start) -> None:
        super().__init__()
        if codebook_size < 2:
            raise InputError("codebook_size", found=codebook_size, expected="2 or more", fix="Choose a larger size.")
        if start not in ("batch", "kmeans", "random"):
            raise InputError("start", found=repr(start), expected="batch, kmeans or random", fix="Choose one of these.")
        self.codebook_size, self.dim, self.start = codebook_size, dim, start
        self.register_buffer("initialised", torch.tensor(start == "random"))
        # Reading the flag waits for the GPU, so it is read once and again only after load_state_dict.
        self._begun = False
        self.register_load_state_dict_post_hook(_forget_flag)

    @abstractmethod
    def set_codebook(self, vectors: Tensor, hits: Tensor) -> None:
        """Take `vectors [K, D]` as the codebook; `hits` is how many vectors a batch has, over all processes."""

    @torch.no_grad()
    def _begin(self, vectors: Tensor, kept: Tensor) -> None:
        """Make the first training batch that has a real vector the codebook."""
        if self._begun:
            return
        if not self.initialised:
            first = (kmeans if self.start == "kmeans" else draw_rows)(vectors, kept, self.codebook_size)
            hits = sum_over_processes(kept.sum())
            if hits == 0:
                return
            self.set_codebook(first, hits)
            self.initialised.fill_(True)
        self._begun = True


def _several_processes() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def _span_of_this_process(count: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The position of this process's `count` rows among all rows: first, one past the last, and how many in all."""
    if not _several_processes():
        return torch.zeros_like(count), count, count
    counts = count.new_zeros(dist.get_world_size())
    counts[dist.get_rank()] = count
    ends = sum_over_processes(counts).cumsum(0)  # [processes]
    last = ends[dist.get_rank()]
    return last - count, last, ends[-1]


def _forget_flag(module: CodebookQuantizer, incompatible_keys: Any) -> None:
    module._begun = False
