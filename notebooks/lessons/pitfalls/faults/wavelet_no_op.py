"""A wavelet with patches of one frame has log2(1) = 0 levels: it is in every drawing and does nothing."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from lessons.pitfalls.pitfall import Pitfall, Seen
from motionlab.tokenizer.patcher import HaarPatch, check_patcher


def broken(frames: Tensor, patch_size: int = 1) -> Tensor:
    """`[B, T, F]` -> patches; 1 is what the training script asks for."""
    for _ in range(int(math.log2(patch_size))):
        a, b = frames[:, 0::2], frames[:, 1::2]
        frames = torch.cat([a + b, a - b], dim=2) * math.sqrt(0.125)
    return frames


def fixed(frames: Tensor, patch_size: int = 2) -> Tensor:
    """A size that does nothing is refused; `[B, T, F] -> [B, T / p, p F]`."""
    check_patcher("wavelet", patch_size)
    return HaarPatch(patch_size)(frames)  # type: ignore[no-any-return]


def _still_and_trembling() -> Tensor:
    time = torch.arange(64)
    return torch.stack([0.0 * time, (-1.0) ** time], dim=1)[None]  # [1, 64, 2]


def symptom(patch: Callable[..., Tensor]) -> Seen:
    patches = patch(_still_and_trembling())
    steps = [64 / patches.shape[1] * (i + 1) for i in range(patches.shape[1])]  # frames that i + 1 patches hold
    return Seen(64 / patches.shape[1], steps)


def test(patch: Callable[..., Tensor]) -> None:
    frames = _still_and_trembling()
    assert patch(frames).shape != frames.shape, "what should put frames together returned them as they were"


PITFALL = Pitfall(
    name="wavelet_no_op",
    title="a wavelet of patch size 1",
    topic="tokenizer",
    seen="MotionMillion-Codes, training script of the tokenizer; asked for in #19",
    lesson="11",
    fix="refuse a setting that does nothing",
    measure="frames in a patch",
    height="frames that the patches so far hold",
    axis="patch",
    broken=broken,
    fixed=fixed,
    test=test,
    symptom=symptom,
    margin=0.9,
)
