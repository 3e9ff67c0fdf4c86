"""Actions in units that a loss can compare, and back.

In LIBERO the parts of a translation vary ten times as much as those of a rotation: without normalising, a loss hardly
sees rotations. The numbers are taken from training episodes alone and travel in the checkpoint with the name of their
kind: the same weights with another kind of normalising fail in every episode.

    zscore     (x - mean) / sd
    minmax     2 (x - min) / (max - min) - 1
    q01_q99    2 (x - q01) / (q99 - q01) - 1, clipped to [-1, 1]
    none       x

The gripper is a switch, -1 or +1, and passes untouched.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from motionlab.errors import InputError
from motionlab.vla.observation import POSE_DIMS

KINDS = ("none", "zscore", "minmax", "q01_q99")
_LEAST = 1e-6  # a dimension that varies less is constant


class ActionNormalizer(nn.Module):
    """`(x - offset) / scale` for the pose of an action. Dimensions that were constant in training become 0.

    Make one with `fit`; `ActionNormalizer(kind)` alone is an empty one to load a state dict into.

    Args:
        kind: one of `KINDS`.

    Raises:
        InputError: no such kind; a state dict of another kind.

    >>> moves = torch.tensor([[0.0, 0, 0, 0, 0, 0], [2.0, 0, 0, 0, 0, 4]])
    >>> ActionNormalizer.fit(moves, "minmax").normalize(moves[1])
    tensor([1., 0., 0., 0., 0., 1.])
    """

    offset: Tensor
    scale: Tensor
    constant: Tensor
    kind_number: Tensor

    def __init__(self, kind: str = "zscore") -> None:
        super().__init__()
        if kind not in KINDS:
            raise InputError("normalizer kind", found=repr(kind), expected=" or ".join(KINDS), fix="Choose one.")
        self.kind = kind
        self.register_buffer("offset", torch.zeros(POSE_DIMS))
        self.register_buffer("scale", torch.ones(POSE_DIMS))
        self.register_buffer("constant", torch.zeros(POSE_DIMS, dtype=torch.bool))
        self.register_buffer("kind_number", torch.tensor(KINDS.index(kind)))

    @classmethod
    def fit(cls, actions: Tensor | np.ndarray, kind: str = "zscore") -> ActionNormalizer:
        """The normaliser of some actions.

        Args:
            actions: `[N, 6]` or `[N, 7]`, of training episodes only.

        Raises:
            InputError: another shape, no row, or numbers that are not finite.
        """
        result = cls(kind)
        values = np.asarray(actions, dtype=np.float64)
        if values.ndim != 2 or values.shape[1] not in (6, 7) or len(values) == 0 or not np.isfinite(values).all():
            found = f"shape {values.shape}" + ("" if np.isfinite(values).all() else " with NaN or infinity")
            raise InputError("actions", found=found, expected="finite [N, 6] or [N, 7]", fix="Give actions of a split.")
        if kind == "none":
            return result
        values = values[:, :POSE_DIMS]
        if kind == "zscore":
            offset, scale = values.mean(axis=0), values.std(axis=0)
        else:
            low, high = np.quantile(values, (0.01, 0.99) if kind == "q01_q99" else (0.0, 1.0), axis=0)
            offset, scale = (low + high) / 2, (high - low) / 2
        constant = scale < _LEAST
        result.offset.copy_(torch.from_numpy(offset))
        result.scale.copy_(torch.from_numpy(np.where(constant, 1.0, scale)))
        result.constant.copy_(torch.from_numpy(constant))
        return result

    def normalize(self, actions: Tensor) -> Tensor:
        """`[..., 6]` or `[..., 7]` in units of the controller -> the same shape, normalised."""
        pose = (actions[..., :POSE_DIMS] - self.offset) / self.scale
        pose = torch.where(self.constant, torch.zeros_like(pose), pose)
        if self.kind == "q01_q99":
            pose = pose.clamp(-1.0, 1.0)
        return torch.cat([pose, actions[..., POSE_DIMS:]], dim=-1)

    def denormalize(self, actions: Tensor) -> Tensor:
        """The way back; a constant dimension gets its constant, whatever was predicted for it."""
        pose = torch.where(self.constant, torch.zeros_like(actions[..., :POSE_DIMS]), actions[..., :POSE_DIMS])
        return torch.cat([pose * self.scale + self.offset, actions[..., POSE_DIMS:]], dim=-1)

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        stored = state_dict.get(f"{prefix}kind_number")
        if stored is not None and int(stored) != KINDS.index(self.kind):
            found = KINDS[int(stored)] if 0 <= int(stored) < len(KINDS) else f"kind {int(stored)}"
            fix = f"Build the policy with the normaliser {found}."
            raise InputError(f"{prefix}kind_number", found=found, expected=self.kind, fix=fix)
        super()._load_from_state_dict(state_dict, prefix, *rest)
