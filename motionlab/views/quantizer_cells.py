"""A plane of two latent numbers, cut up by FSQ and by a learned codebook: what is a code, and which codes are used?

Everything here is a pure function of its arguments. The quantizers are the package's own; only the points are toys.
"""

from __future__ import annotations

import torch
from torch import Tensor

from motionlab.plots.quantizer_cells import REACH, Cells
from motionlab.quantizers.fsq import FSQ
from motionlab.quantizers.usage import CodeUsage
from motionlab.quantizers.vq_ema import VQEMA
from motionlab.runtime import random_generator, seeded


def toy_latents(spread: float, count: int = 512, seed: int = 0) -> Tensor:
    """[count, 2] points in five clumps of different size: poses are not evenly distributed either."""
    generator = random_generator(seed)
    centres = torch.tensor([[0.0, 0.0], [1.2, 0.4], [-0.8, 1.0], [-0.6, -1.1], [0.9, -0.9]], dtype=torch.float64)
    share = torch.tensor([0.4, 0.25, 0.15, 0.12, 0.08], dtype=torch.float64)
    clump = torch.multinomial(share, count, replacement=True, generator=generator)  # [count]
    noise = torch.randn(count, 2, generator=generator, dtype=torch.float64)
    return spread * (centres[clump] + 0.25 * noise)


def compute_cells(
    levels: int = 5, spread: float = 1.0, start: str = "far away", rescue: bool = False, steps: int = 60
) -> Cells:
    """Quantize the toy points with FSQ (levels x levels) and with a codebook of as many codes, trained for `steps`.

    Args:
        levels: levels of each of the two FSQ dimensions.
        spread: how far apart the points are, which an encoder would learn.
        start: where the learned codes begin, "far away" (drawn without looking at the data) or "on the data".
        rescue: move dead codes onto data points while training.
        steps: training steps of the learned codebook; FSQ has nothing to train.
    """
    points = toy_latents(spread)
    with seeded(0):  # new layers and the rescue draw numbers: leave the caller's generators as they are
        fsq, vq = _identity_fsq(levels), _trained_codebook(points, levels * levels, start, rescue, steps)
    axis = torch.linspace(-REACH, REACH, 200, dtype=torch.float64)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    plane = torch.stack([x, y], dim=-1)  # [200, 200, 2]
    with torch.no_grad():
        counts = []
        for quantizer in (fsq, vq):
            usage = CodeUsage(quantizer.codebook_size)
            usage.update(quantizer(points).indices)
            counts.append(usage.summary())
        return Cells(points, counts[0], counts[1], vq.codebook.clone(), fsq(plane).indices, vq(plane).indices)


def _identity_fsq(levels: int) -> FSQ:
    """An FSQ whose linear maps do nothing, so that the plane drawn is the plane that is rounded."""
    fsq = FSQ((levels, levels), dim=2).double().eval()
    with torch.no_grad():
        for layer in (fsq.project_in, fsq.project_out):
            layer.weight.copy_(torch.eye(2))
            layer.bias.zero_()
    return fsq


def _trained_codebook(points: Tensor, size: int, start: str, rescue: bool, steps: int) -> VQEMA:
    vq = VQEMA(size, dim=2, decay=0.9, reset=rescue).double().train()
    if start == "far away":
        vq.codebook.copy_(torch.rand(size, 2, dtype=torch.float64) * 2 * REACH - REACH)
        vq.cluster_sum.copy_(vq.codebook)
        vq.initialised.fill_(True)
    with torch.no_grad():
        for _ in range(steps):
            vq(points)
    return vq.eval()
