"""A sentence is averaged over its padding too, so what it means depends on the longest sentence of its batch."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lessons.pitfalls.pitfall import Pitfall, Seen


def broken(states: Tensor, mask: Tensor) -> Tensor:
    """`[B, L, D]` -> `[B, D]`; the mask `[B, L]` is at hand and not used."""
    return states.mean(1)


def fixed(states: Tensor, mask: Tensor) -> Tensor:
    """The mean over real tokens."""
    return (states * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim=True)


def _moved(pool: Callable[..., Tensor], padding: int) -> float:
    """How far a sentence of six tokens moves when `padding` more are put behind it, in percent of its length."""
    random = torch.Generator().manual_seed(0)
    states = torch.randn(1, 6, 16, generator=random)
    pad = 0.5 * torch.randn(1, 1, 16, generator=random).expand(1, padding, 16)  # the state that PAD has
    alone = pool(states, torch.ones(1, 6))
    mask = torch.cat([torch.ones(1, 6), torch.zeros(1, padding)], dim=1)
    together = pool(torch.cat([states, pad], dim=1), mask)
    return 100 * float((together - alone).norm() / alone.norm())


def symptom(pool: Callable[..., Tensor]) -> Seen:
    moved = [_moved(pool, padding) for padding in range(0, 21, 2)]
    return Seen(moved[-1], moved)


def test(pool: Callable[..., Tensor]) -> None:
    assert _moved(pool, 20) < 1e-3, "the same sentence, another meaning in a batch of longer ones"


PITFALL = Pitfall(
    name="padding_in_mean",
    title="padding is in the mean of a sentence",
    topic="decoder",
    seen="motion-diffusion-model #182; the published code of AtlasVLA",
    lesson="07",
    fix="divide the sum of real tokens by their number",
    measure="a sentence moves by, % of its length",
    height="the sentence moves by, %",
    axis="tokens of padding behind it",
    broken=broken,
    fixed=fixed,
    test=test,
    symptom=symptom,
    margin=30.0,
    at=range(0, 21, 2),
)
