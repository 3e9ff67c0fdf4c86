"""Validation is the mean of batch means: the short last batch counts as much as any other."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from lessons.pitfalls.pitfall import Pitfall, Seen

Mean = Callable[[Sequence[Tensor]], float]


def broken(batches: Sequence[Tensor]) -> float:
    """The loss of a validation set, from the losses `[n_i]` of its batches."""
    return float(torch.stack([batch.mean() for batch in batches]).mean())


def fixed(batches: Sequence[Tensor]) -> float:
    """Sum and count over everything."""
    return sum(float(batch.sum()) for batch in batches) / sum(len(batch) for batch in batches)


def symptom(mean: Mean) -> Seen:
    """65 clips, of which the last one is hard; the same model, other batch sizes."""
    losses = torch.cat([torch.full((64,), 0.5), torch.tensor([4.0])])
    means = [mean(losses.split(size)) for size in (1, 2, 4, 8, 16, 32, 64)]
    return Seen(means[-1], means, validation=means[-1])


def test(mean: Mean) -> None:
    losses = torch.arange(10.0)
    assert abs(mean(losses.split(4)) - mean(losses.split(5))) < 1e-6, "the batch size decides how good the model is"


PITFALL = Pitfall(
    name="mean_of_means",
    title="the mean of batch means",
    topic="evaluation",
    seen="the published code of AtlasVLA; nolearn #247",
    lesson="13",
    fix="add sums and counts, divide at the end",
    measure="validation loss in batches of 64",
    height="validation loss",
    axis="batch size",
    broken=broken,
    fixed=fixed,
    test=test,
    symptom=symptom,
    margin=0.5,
    at=("1", "2", "4", "8", "16", "32", "64"),
)
