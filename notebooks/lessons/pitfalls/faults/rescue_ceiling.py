"""A code is alive when it has one hit a batch: a batch of n tokens can keep n codes alive, and no more."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lessons.pitfalls.pitfall import Pitfall, Seen
from motionlab.quantizers.vq_ema import VQEMA

CODES, TOKENS, DIM = 256, 32, 8  # codes, tokens in a batch, width
Step = Callable[[Tensor], Tensor]  # a batch [n, D] -> the codebook after it [K, D]


def broken(codes: int, dim: int) -> Step:
    """Averages of hits and vectors; a code below ONE hit a batch is put onto a vector of the batch."""
    count, total = torch.ones(codes), torch.randn(codes, dim, generator=torch.Generator().manual_seed(1))
    book = total.clone()

    def step(vectors: Tensor) -> Tensor:
        nearest = torch.cdist(vectors, book).argmin(1)
        count.lerp_(torch.bincount(nearest, minlength=codes).float(), 0.01)
        total.lerp_(torch.zeros_like(total).index_add_(0, nearest, vectors), 0.01)
        fresh = vectors.repeat(codes // len(vectors) + 1, 1)[:codes]
        book.copy_(torch.where((count >= 1)[:, None], total / count[:, None], fresh))
        return book

    return step


def fixed(codes: int, dim: int) -> Step:
    """The package measures against a fair share, n / K hits a batch."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        quantizer = VQEMA(codes, dim).train()

    def step(vectors: Tensor) -> Tensor:
        quantizer(vectors)
        return quantizer.codebook

    return step


def _kept(make: Callable[..., Step]) -> tuple[list[float], float]:
    """The share of codes, in percent, that stay where they are from one step to the next; and the last error."""
    random = torch.Generator().manual_seed(0)
    places, step, shares, before = torch.randn(CODES, DIM, generator=random), make(CODES, DIM), [], None
    error = 0.0
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for _ in range(150):
            near = places[torch.randint(CODES, (TOKENS,), generator=random)]
            vectors = near + 0.05 * torch.randn(TOKENS, DIM, generator=random)
            if before is not None:
                error = float(torch.cdist(vectors, before).amin(1).square().mean())
            now = step(vectors).clone()
            if before is not None:
                shares.append(100 * float(((now - before).norm(dim=1) < 0.2).float().mean()))
            before = now
    return shares, error


def symptom(make: Callable[..., Step]) -> Seen:
    shares, error = _kept(make)
    return Seen(sum(shares[-20:]) / 20, shares, train=error)


def test(make: Callable[..., Step]) -> None:
    assert _kept(make)[0][-1] > 100 * 2 * TOKENS / CODES, "no more codes live than a batch has tokens"


PITFALL = Pitfall(
    name="rescue_ceiling",
    title="dead means: less than one hit a batch",
    topic="tokenizer",
    seen="ema_reset of T2M-GPT, MotionMillion-Codes",
    lesson="02",
    fix="measure against the fair share, tokens / codes",
    measure="codes that stay in place at a step, %",
    height="codes that stay in place, %",
    axis="step",
    broken=broken,
    fixed=fixed,
    test=test,
    symptom=symptom,
    margin=30.0,
)
