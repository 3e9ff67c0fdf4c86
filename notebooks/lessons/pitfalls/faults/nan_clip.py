"""One clip of NaN is in the data, and the mean and deviation of all clips are NaN from then on."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from lessons.pitfalls.pitfall import Pitfall, Seen

Statistics = tuple[Tensor, Tensor]


def broken(clips: Sequence[Tensor]) -> Statistics:
    """Mean and deviation of each feature over `[T_i, D]`."""
    frames = torch.cat(list(clips))
    return frames.mean(0), frames.std(0)


def fixed(clips: Sequence[Tensor]) -> Statistics:
    """The same over clips that are whole. (A package should also say which it left out.)"""
    return broken([clip for clip in clips if bool(clip.isfinite().all())])


def _clips() -> list[Tensor]:
    random = torch.Generator().manual_seed(0)
    clips = [torch.randn(20, 4, generator=random) for _ in range(30)]
    clips[7] = torch.full_like(clips[7], math.nan)
    return clips


def symptom(fit: Callable[..., Statistics]) -> Seen:
    clips = _clips()
    mean, std = fit(clips)
    usable = [100.0 * bool(((clip - mean) / std).isfinite().all()) for clip in clips]
    x = torch.cat([(clip - mean) / std for i, clip in enumerate(clips) if i != 7])
    return Seen(sum(usable) / len(usable), usable, train=float((x[:, 0] - x[:, 1:].mean(1)).square().mean()))


def test(fit: Callable[..., Statistics]) -> None:
    assert all(bool(part.isfinite().all()) for part in fit(_clips())), "one bad clip spoils the statistics of all"


PITFALL = Pitfall(
    name="nan_clip",
    title="one clip of NaN in the statistics",
    topic="data",
    seen="HumanML3D #118; motion-diffusion-model #33",
    lesson="01",
    fix="check every clip; leave a broken one out, by name",
    measure="clips that can be used, %",
    height="frames that can be used, %",
    axis="clip",
    broken=broken,
    fixed=fixed,
    test=test,
    symptom=symptom,
    margin=50.0,
)
