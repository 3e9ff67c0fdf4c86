"""From normalised features to metres, differentiable: what the losses on acceleration and on joints look at.

The network sees features in standard deviations, block by block, and a bone has no length there. So these losses need
the normalizer, and forward kinematics needs bone lengths. Both are here, apart from the tokenizer, which knows
neither.
"""

from __future__ import annotations

import torch
from torch import Tensor

from motionlab.motion.features import POSITIONS, VELOCITIES, decode_rotations
from motionlab.motion.normalizer import Normalizer
from motionlab.motion.skeleton import Skeleton, canonical_skeleton, forward_kinematics
from motionlab.quantizers.base import full_precision


class Body:
    """The statistics of a corpus and the bones of its body.

    Args:
        normalizer: the one that the features were normalised with, best on their device.
        skeleton: bone lengths; the bundled corpus has the canonical ones.

    Attributes:
        position_scale, velocity_scale: standard deviation of the position block (metres) and of the velocity block
            (metres per frame), averaged per block. Errors are divided by them, so all losses count in the same unit.
    """

    def __init__(self, normalizer: Normalizer, skeleton: Skeleton | None = None) -> None:
        self.normalizer = normalizer
        self.offsets = (skeleton or canonical_skeleton()).offsets.to(normalizer.std)
        self.position_scale = normalizer.std[POSITIONS].mean()
        self.velocity_scale = normalizer.std[VELOCITIES].mean()

    def positions(self, x: Tensor) -> Tensor:
        """The position block in metres, less its mean: `[..., 272]` -> `[..., 66]`."""
        return x[..., POSITIONS] * self.normalizer.std[POSITIONS].to(x)

    def joints(self, x: Tensor) -> Tensor:
        """Joint positions by forward kinematics from the rotation block, seen from the pelvis.

        A turn of the root moves every joint, and a wrong heading counts, as in the pelvis-centred MPJPE.

        Args:
            x: `[..., T, 272]`, normalised.

        Returns:
            `[..., T, 22, 3]` metres.
        """
        with full_precision(x):  # under autocast the products of rotations would have three digits
            rotations, root = decode_rotations(self.normalizer.denormalize(x))
            return forward_kinematics(rotations, torch.zeros_like(root), self.offsets)
