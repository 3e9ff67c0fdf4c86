"""Changes of motions for the training: harmless ones, which keep the meaning, and ones that spoil a motion.

Contrastive training alone asks which caption fits. A motion that trembles, stutters or slides still fits its caption
best, so its embedding may stay where it was, and a score made of embeddings does not see quality. Here each caption has
to prefer its motion to spoiled copies, of all degrees, of the motions of its batch. So the motion encoder must look at
trembling, stuttering and sliding as well.

All functions take joints `[B, T, 22, 3]` in metres, padded with the last frame, and `lengths` `[B]`. They return new
tensors.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

KINDS = ("tremble", "stutter", "slide")
TREMBLE = (0.01, 0.06)  # metres: standard deviation of each coordinate, independent in each frame
HELD = (2, 6)  # frames for which one pose is held
SLIDE = (0.004, 0.03)  # metres a frame, in one direction over the ground
CUT = 7  # frames
SPEED = (0.9, 1.1)
SIZE = (0.95, 1.05)


def harmless(joints: Tensor, lengths: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """The same motions a little faster or slower, of a somewhat larger or smaller body, without their first and last
    few frames; and their lengths."""
    count, frames = joints.shape[:2]
    spare = torch.clamp((lengths - 1) // 10, max=CUT)  # a short clip loses a tenth at each end
    begin, end = ((torch.rand(count, generator=generator) * (spare + 1)).long() for _ in range(2))
    lengths = lengths - begin - end
    speed = _between(SPEED, count, generator)  # [B]
    size = _between(SIZE, count, generator)
    new_lengths = ((lengths - 1) / speed).long() + 1
    times = torch.arange(int(new_lengths.max()))  # [T']
    times = torch.minimum(times, (new_lengths - 1)[:, None])  # [B, T'], the last frame again as padding
    times = begin[:, None] + times * speed[:, None]  # in old frames
    before = times.long().clamp(max=frames - 1)
    after = (before + 1).clamp(max=frames - 1)
    share = (times - before)[..., None]
    flat = joints.flatten(2)  # [B, T, 66]
    rows = torch.arange(count)[:, None]
    moved = torch.lerp(flat[rows, before], flat[rows, after], share) * size[:, None, None]
    return moved.unflatten(2, joints.shape[2:]), new_lengths


def spoil(joints: Tensor, lengths: Tensor, generator: torch.Generator) -> Tensor:
    """Each motion spoiled in one of the ways of `KINDS`, by a random degree."""
    kinds = torch.randint(len(KINDS), (len(joints),), generator=generator)
    result = joints.clone()
    ways = (tremble, stutter, slide)
    for number, way in enumerate(ways):
        rows = (kinds == number).nonzero()[:, 0]
        if len(rows):
            result[rows] = way(joints[rows], lengths[rows], generator)
    return result


def tremble(joints: Tensor, lengths: Tensor, generator: torch.Generator) -> Tensor:
    """Noise on every joint, another in every frame."""
    sigma = _between(TREMBLE, len(joints), generator, even_in_log=True)
    noise = torch.randn(joints.shape, generator=generator)
    return joints + noise * sigma[:, None, None, None]


def stutter(joints: Tensor, lengths: Tensor, generator: torch.Generator) -> Tensor:
    """Each pose is held for some frames, then the motion jumps to where it would be."""
    held = torch.randint(HELD[0], HELD[1] + 1, (len(joints), 1), generator=generator)
    times = torch.arange(joints.shape[1])[None]
    return joints[torch.arange(len(joints))[:, None], times - times % held]


def slide(joints: Tensor, lengths: Tensor, generator: torch.Generator) -> Tensor:
    """The body glides over the ground, in one direction and at one speed on top of its own way."""
    speed = _between(SLIDE, len(joints), generator, even_in_log=True)
    angle = torch.rand(len(joints), generator=generator) * 2 * math.pi
    drift = torch.stack((angle.cos(), torch.zeros_like(angle), angle.sin()), dim=-1) * speed[:, None]  # [B, 3]
    times = torch.minimum(torch.arange(joints.shape[1])[None], (lengths - 1)[:, None])  # [B, T]
    return joints + (times[..., None] * drift[:, None])[:, :, None]


def _between(limits: tuple[float, float], count: int, generator: torch.Generator, even_in_log: bool = False) -> Tensor:
    share = torch.rand(count, generator=generator)
    if even_in_log:
        low, high = map(math.log, limits)
        return (low + (high - low) * share).exp()
    return limits[0] + (limits[1] - limits[0]) * share
