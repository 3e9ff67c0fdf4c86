"""R-precision is asked in batches of 32: the fewer rivals, the better the model."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lessons.pitfalls.pitfall import Pitfall, Seen
from motionlab.evaluation.retrieval import r_precision

Score = Callable[[Tensor, Tensor, int], float]


def broken(text: Tensor, motion: Tensor, batch: int) -> float:
    """R@1 of `[N, D]` pairs, in the batches that the loader gives."""
    right = 0.0
    for x, y in zip(text.split(batch), motion.split(batch), strict=True):
        right += float((torch.cdist(x, y).argmin(1) == torch.arange(len(x))).sum())
    return right / len(text)


def fixed(text: Tensor, motion: Tensor, batch: int) -> float:
    """Every motion is a rival, whatever the loader does; the number of clips belongs next to the score."""
    return r_precision(text, motion, ks=(1,), batch=None)[1].value


def _pairs() -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    text = torch.randn(512, 16, generator=random)
    return text, text + 1.1 * torch.randn(512, 16, generator=random)


def symptom(score: Score) -> Seen:
    scores = [100 * score(*_pairs(), batch) for batch in (512, 256, 128, 64, 32, 16, 8)]
    return Seen(scores[4], scores, validation=100 - scores[4])


def test(score: Score) -> None:
    assert score(*_pairs(), 32) == score(*_pairs(), 128), "another batch size, another score of the same model"


PITFALL = Pitfall(
    name="r_precision_in_batches",
    title="R-precision in batches of 32",
    topic="evaluation",
    seen="motion-diffusion-model #231; motionfix #9",
    lesson="13",
    fix="ask against all clips, or name batch and shuffle with the score",
    measure="R@1, %",
    height="R@1, %",
    axis="batch size",
    broken=broken,
    fixed=fixed,
    test=test,
    symptom=symptom,
    margin=15.0,
    at=("512", "256", "128", "64", "32", "16", "8"),
)
