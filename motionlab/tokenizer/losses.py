"""What the tokenizer is trained on.

    total = smooth_l1(all 272 dims) + velocity * smooth_l1(one block) + the quantizer's own loss

smooth_l1 (Girshick 2015, arXiv 1504.08083) is quadratic for errors below 1 (in standard deviations) and linear above.

The published option is called "velocity loss", but the block that it weights, 8:74, holds positions. Velocities are
74:140. Both are offered by name; see `LossWeights.velocity_loss`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from motionlab.errors import InputError
from motionlab.motion.features import POSITIONS, VELOCITIES
from motionlab.tokenizer.model import TokenizerOutput

VELOCITY_BLOCKS = {"true": VELOCITIES, "published": POSITIONS}


@dataclass(frozen=True)
class LossWeights:
    """Weights of the parts.

    Fields:
        velocity: weight of the second term; 0 leaves it out.
        velocity_loss: which block it looks at. "true": joint velocities (74:140). "published": what the published
            training does, joint positions (8:74).
        root: weight of a third term on the root and heading dims (0:8), where errors add up over a clip.
    """

    velocity: float = 0.5
    velocity_loss: str = "true"
    root: float = 0.0

    def __post_init__(self) -> None:
        if self.velocity_loss not in VELOCITY_BLOCKS:
            raise InputError(
                "velocity_loss",
                found=repr(self.velocity_loss),
                expected=" or ".join(VELOCITY_BLOCKS),
                fix="Choose one of these.",
            )


ROOT = slice(0, 8)


def tokenizer_losses(
    output: TokenizerOutput, target: Tensor, weights: LossWeights, mask: Tensor | None = None
) -> dict[str, Tensor]:
    """All terms, each a scalar: "total" (weighted, train on this), "reconstruction", "velocity", "root", "quantizer".

    Args:
        output: what the tokenizer returned for `target`.
        target: `[B, T, 272]`, normalised.
        mask: `[B, T]`, true where a frame is real; padding then counts for nothing.
    """
    error = F.smooth_l1_loss(output.reconstruction.float(), target.float(), reduction="none")  # [B, T, 272]
    error = error.flatten(0, 1) if mask is None else error[mask]  # [frames, 272]
    # One mean over the frames, then slices of 272 numbers: each slice of the large tensor would cost a large tensor of
    # zeros in the backward pass.
    by_dim = error.mean(0)  # [272]
    terms = {
        "reconstruction": by_dim.mean(),
        "velocity": by_dim[VELOCITY_BLOCKS[weights.velocity_loss]].mean(),
        "root": by_dim[ROOT].mean(),
        "quantizer": output.quantized.loss,
    }
    total = terms["reconstruction"] + terms["quantizer"]
    if weights.velocity:
        total = total + weights.velocity * terms["velocity"]
    if weights.root:
        total = total + weights.root * terms["root"]
    return {"total": total, **terms}
