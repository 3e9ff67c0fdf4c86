"""From normalised features to metres, differentiable: what the losses on acceleration, joints and feet look at.

The network sees features in standard deviations, block by block, and a bone has no length there. So these losses need
the normalizer, and forward kinematics needs bone lengths. Both are here, apart from the tokenizer, which knows
neither.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from motionlab.motion.contacts import FEET, HIGHEST
from motionlab.motion.features import HEADING, POSITIONS, ROOT_VELOCITY, VELOCITIES, decode_rotations
from motionlab.motion.normalizer import Normalizer
from motionlab.motion.rotations import yaw_matrix_of
from motionlab.motion.skeleton import JOINT_NAMES, Skeleton, canonical_skeleton, forward_kinematics
from motionlab.quantizers.base import full_precision

_COSINE_AND_SINE = [HEADING.start, HEADING.start + 2]
_FEET = [POSITIONS.start + 3 * JOINT_NAMES.index(name) + axis for name in FEET for axis in range(3)]


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

    def foot_steps(self, x: Tensor) -> Tensor:
        """How far ankles and toes move over the floor from each frame to the next, in the heading frame of the first.

        With p the place of a joint seen from the body (slice 8:74), s the step of the pelvis and D the turn,
        the joint moves by `D[t] p[t] - p[t-1] + s[t]`. A foot stands when these three cancel, and each of them is small
        in an error that counts every feature alone.

        Args:
            x: `[B, T, 272]`, normalised.

        Returns:
            `[B, T - 1, 4, 3]` metres a frame, in the order of `FEET`.
        """
        with full_precision(x):
            places = self._physical(x, _FEET).unflatten(-1, (len(FEET), 3))  # [B, T, 4, 3]
            step = self._physical(x, list(range(ROOT_VELOCITY.start, ROOT_VELOCITY.stop)))[:, 1:]  # [B, T - 1, 2]
            # The features hold the turn that takes the heading away: its transpose is the turn of the body.
            away = F.normalize(self._physical(x, _COSINE_AND_SINE)[:, 1:], dim=-1)  # [B, T - 1, 2]
            turn = yaw_matrix_of(away[..., 0], -away[..., 1])  # [B, T - 1, 3, 3]
            moved = places[:, 1:] @ turn.mT - places[:, :-1]  # [B, T - 1, 4, 3]
            steps: Tensor = moved + F.pad(step, (0, 1))[..., None, [0, 2, 1]]  # (x, z) -> (x, 0, z)
            return steps

    def low_feet(self, x: Tensor) -> Tensor:
        """Which ankles and toes are as low as one that stands: `[B, T, 272]` -> `[B, T, 4]` bool."""
        heights = self._physical(x, _FEET[1::3])  # [B, T, 4]
        return heights < heights.new_tensor(HIGHEST)

    def _physical(self, x: Tensor, dims: list[int]) -> Tensor:
        """Some of the features in their units: `[..., 272] -> [..., len(dims)]`."""
        return x[..., dims].float() * self.normalizer.std[dims].to(x) + self.normalizer.mean[dims].to(x)
