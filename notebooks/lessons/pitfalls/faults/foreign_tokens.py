"""The tokens that the decoder learns were made by another tokenizer than the one that turns them into motion."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import torch
from torch import Tensor

from lessons.pitfalls.pitfall import Pitfall, Seen

Kept = dict[str, Tensor]


def _encode(codebook: Tensor, motion: Tensor) -> Tensor:
    return torch.cdist(motion, codebook).argmin(1)


def broken(kept: Kept, codebook: Tensor, motion: Tensor) -> Tensor:
    """Tokens `[T]` of a motion `[T, D]`, made only once: they are there, so they are right."""
    if "tokens" not in kept:
        kept["tokens"] = _encode(codebook, motion)
    return kept["tokens"]


def fixed(kept: Kept, codebook: Tensor, motion: Tensor) -> Tensor:
    """The name of what is kept holds everything that it was made from. (A run keeps digests next to its tokens.)"""
    name = hashlib.sha256(codebook.numpy().tobytes() + motion.numpy().tobytes()).hexdigest()
    if name not in kept:
        kept[name] = _encode(codebook, motion)
    return kept[name]


def _bigram_loss(tokens: Tensor, codes: int) -> float:
    """Cross-entropy, in nats, of a decoder that has counted which token follows which."""
    pairs = torch.zeros(codes, codes)
    pairs.index_put_((tokens[:-1], tokens[1:]), torch.ones(len(tokens) - 1), accumulate=True)
    share = pairs / pairs.sum(1, keepdim=True).clamp(min=1)
    return float(-(share[tokens[:-1], tokens[1:]]).log().mean())


def _case(tokens_of: Callable[..., Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Tokens are made with an untrained tokenizer, then with the trained one: the motion, these, and its codebook."""
    random = torch.Generator().manual_seed(0)
    time = torch.arange(400) / 6
    motion = torch.stack([time.sin(), time.cos(), (2 * time).sin()], dim=1)
    untrained, kept = torch.randn(32, 3, generator=random), Kept()
    tokens_of(kept, untrained, motion)
    trained = motion[torch.randperm(400, generator=random)[:32]]
    return motion, tokens_of(kept, trained, motion), trained


def symptom(tokens_of: Callable[..., Tensor]) -> Seen:
    motion, tokens, codebook = _case(tokens_of)
    error = (codebook[tokens] - motion).norm(dim=1)
    loss = _bigram_loss(tokens, len(codebook))
    return Seen(float(error.mean()), error[:60].tolist(), train=loss, validation=loss)


def test(tokens_of: Callable[..., Tensor]) -> None:
    motion, tokens, codebook = _case(tokens_of)
    assert torch.equal(tokens, _encode(codebook, motion)), "these tokens are not of this tokenizer"


PITFALL = Pitfall(
    name="foreign_tokens",
    title="tokens of another tokenizer",
    topic="decoder",
    seen="MotionGPT #16 (tokens of untrained weights); axolotl #1265 (an old cache)",
    lesson="12",
    fix="keep, with the tokens, a digest of all that made them",
    measure="error of the motion that the tokens stand for",
    height="error of a frame",
    axis="frame",
    broken=broken,
    fixed=fixed,
    test=test,
    symptom=symptom,
    margin=0.5,
)
