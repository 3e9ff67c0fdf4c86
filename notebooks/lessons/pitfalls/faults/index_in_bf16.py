"""The index of a code is computed in bf16, which has no 1001: many codes share one index."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lessons.pitfalls.pitfall import Pitfall, Seen
from motionlab.quantizers.fsq import FSQ
from motionlab.quantizers.levels import levels_for

SIZES = (256, 1024, 4096, 16384, 65536)  # entries of the table of levels


def broken(steps: Tensor, levels: Tensor) -> Tensor:
    """Levels chosen in each dimension, `[n, d]` from 0, to an index `[n]`; autocast leaves the numbers in bf16."""
    basis = torch.cat([torch.ones(1), levels[:-1].float().cumprod(0)])
    return (steps.bfloat16() * basis.bfloat16()).sum(-1).long()


def fixed(steps: Tensor, levels: Tensor) -> Tensor:
    """Indices are int64, always."""
    return FSQ(levels.tolist(), dim=1).steps_to_indices(steps - levels // 2)


def _share(index: Callable[..., Tensor], size: int) -> float:
    """Different indices of all combinations of levels, in percent of the combinations."""
    levels = torch.tensor(levels_for(size))
    grid = torch.cartesian_prod(*(torch.arange(int(level)) for level in levels)).float()
    return 100 * len(index(grid, levels).unique()) / len(grid)


def symptom(index: Callable[..., Tensor]) -> Seen:
    shares = [_share(index, size) for size in SIZES]
    return Seen(shares[1], shares)  # 1,000 codes


def test(index: Callable[..., Tensor]) -> None:
    assert _share(index, 1024) == 100, "two codes have one index"


PITFALL = Pitfall(
    name="index_in_bf16",
    title="code indices in bf16",
    topic="precision",
    seen="vector-quantize-pytorch #114",
    lesson="03",
    fix="int64 for indices, float32 for rounding, autocast or not",
    measure="of 1,000 codes, told apart, %",
    height="codes told apart, %",
    axis="codes in the codebook",
    broken=broken,
    fixed=fixed,
    test=test,
    symptom=symptom,
    margin=20.0,
    at=("240", "1,000", "4,375", "15,360", "64,000"),
)
