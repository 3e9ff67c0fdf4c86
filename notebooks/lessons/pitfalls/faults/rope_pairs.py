"""Weights for one pairing of RoPE's channels are loaded into a model with the other: right at position 0, then not."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lessons.pitfalls.pitfall import Pitfall, Seen
from motionlab.llama.rope import apply_rope, rope_table, to_half_split, to_interleaved

DIM = 32


def broken(weight: Tensor) -> Tensor:
    """A query or key weight `[hd, dim]` of Hugging Face, for a model that pairs neighbouring channels."""
    return weight.clone()


def fixed(weight: Tensor) -> Tensor:
    """Rows of a pair are put side by side."""
    return to_interleaved(weight, heads=1)


def _scores(load: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """Attention of the last position to each distance `[32]`: as loaded, and as it was trained."""
    random = torch.Generator().manual_seed(0)
    query, key = (torch.randn(DIM, DIM, generator=random) / DIM**0.5 for _ in range(2))
    theirs = to_half_split(query, 1), to_half_split(key, 1)  # what the file holds
    x = torch.randn(DIM, generator=random)
    turn = rope_table(32, DIM)

    def scores(wq: Tensor, wk: Tensor) -> Tensor:
        q, k = ((w @ x).expand(1, 32, 1, DIM) for w in (wq, wk))
        return (apply_rope(q, turn)[0, -1, 0] * apply_rope(k, turn)[0, :, 0]).sum(-1).flip(0)

    return scores(load(theirs[0]), load(theirs[1])), scores(query, key)


def symptom(load: Callable[[Tensor], Tensor]) -> Seen:
    found, right = _scores(load)
    error = (found - right).abs() / right.abs().max()
    return Seen(100 * float(error.mean()), (100 * error).tolist())


def test(load: Callable[[Tensor], Tensor]) -> None:
    found, right = _scores(load)
    assert torch.allclose(found, right, atol=1e-4), "attention over a distance is not that of the trained model"


PITFALL = Pitfall(
    name="rope_pairs",
    title="RoPE: neighbours or halves",
    topic="decoder",
    seen="transformers #25199; shainet PR 111 (right for a token or two, then garbage)",
    lesson="05",
    fix="reorder the rows (to_interleaved), compare logits at many positions",
    measure="error of the attention scores, % of the largest",
    height="error of the score, %",
    axis="distance between two tokens",
    broken=broken,
    fixed=fixed,
    test=test,
    symptom=symptom,
    margin=5.0,
)
