"""Actions as tensors: what a head predicts and what it is compared with; losses and metrics over real steps only.

A chunk of T actions that reaches beyond the end of an episode is padded. Padded steps are in no loss: every mean is a
sum over the valid steps of the batch divided by their number, which `count_valid` gives. A training that accumulates
has to weight each micro-batch by this number; then any cut of a batch gives the same gradient.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from motionlab.errors import InputError
from motionlab.vla.backbone.geometry_loss import masked_mean

GripperLoss = Literal["l1", "bce"]


class Actions(NamedTuple):
    """`pose [B, T, 6]`, normalised, and `gripper [B, T, 1]`: above 0 is close, whatever its scale."""

    pose: Tensor
    gripper: Tensor

    def closes(self) -> Tensor:
        """The gripper as it is sent: -1 open, +1 close, `[B, T, 1]`. A number between them would do neither."""
        return torch.where(self.gripper > 0, 1.0, -1.0)


@dataclass(frozen=True)
class ActionTargets:
    """`pose [B, T, 6]` normalised, `gripper [B, T, 1]` in {-1, +1}, `action_is_pad [B, T]` bool.

    Raises:
        InputError: shapes that do not belong together.
    """

    pose: Tensor
    gripper: Tensor
    action_is_pad: Tensor

    def __post_init__(self) -> None:
        steps = self.pose.shape[:2]
        good = self.pose.dim() == 3 and self.gripper.shape == (*steps, 1) and self.pose.shape[2] == 6
        if not good or self.action_is_pad.shape != steps or self.action_is_pad.dtype != torch.bool:
            raise InputError(
                "actions",
                found=f"pose {list(self.pose.shape)}, gripper {list(self.gripper.shape)}, "
                f"action_is_pad {self.action_is_pad.dtype} {list(self.action_is_pad.shape)}",
                expected="[B, T, 6], [B, T, 1] and bool [B, T]",
                fix="Give one mark for each step of a chunk.",
            )


class ActionLosses(NamedTuple):
    """Scalars, means over valid steps: `total` is minimised."""

    total: Tensor
    pose: Tensor
    gripper: Tensor


def count_valid(action_is_pad: Tensor) -> int:
    """Steps that the mean of a loss is a mean over.

    >>> count_valid(torch.tensor([[False, False, True]]))
    2
    """
    return int((~action_is_pad).sum())


def action_losses(
    predicted: Actions,
    targets: ActionTargets,
    *,
    pose_weight: float = 1.0,
    gripper_weight: float = 0.5,
    gripper_loss: GripperLoss = "l1",
) -> ActionLosses:
    """SmoothL1 on the normalised pose and L1 (or binary cross-entropy) on the gripper.

    L1 wants a prediction in [-1, 1] (tanh), cross-entropy a logit. A sigmoid under L1 could never reach -1.

    Raises:
        InputError: predictions of another length than the targets.
    """
    if predicted.pose.shape != targets.pose.shape:
        raise InputError(
            "actions", found=f"targets {list(targets.pose.shape)}", expected=str(list(predicted.pose.shape)),
            fix="Use the horizon that the policy was made with.",
        )  # fmt: skip
    real = ~targets.action_is_pad  # [B, T]
    pose_error = F.smooth_l1_loss(predicted.pose.float(), targets.pose, reduction="none").mean(-1)  # [B, T]
    score = predicted.gripper.float()
    if gripper_loss == "bce":
        each = F.binary_cross_entropy_with_logits(score, (targets.gripper + 1) / 2, reduction="none")
    else:
        each = (score - targets.gripper).abs()
    pose, gripper = masked_mean(pose_error, real), masked_mean(each[..., 0], real)
    return ActionLosses(pose_weight * pose + gripper_weight * gripper, pose, gripper)


class ActionUnits(NamedTuple):
    """How far one unit of the controller moves.

    LIBERO's controller is declared as 0.05 m and 0.5 rad; the distance that is really covered is less.
    """

    metres: float = 0.05
    radians: float = 0.5


@torch.no_grad()
def action_metrics(
    pose: Tensor,
    gripper: Tensor,
    targets: ActionTargets,
    units: ActionUnits = ActionUnits(),  # noqa: B008 (a tuple)
) -> dict[str, float]:
    """Errors in physical units over valid steps.

    Args:
        pose: predicted `[B, T, 6]` in units of the controller, not normalised.
        gripper: predicted `[B, T, 1]`, above 0 is close.
        targets: with a pose in units of the controller as well.

    Returns:
        `pose_mm` and `pose_rad` (mean distance of translations, mean angle between rotations), `gripper_accuracy`, and
        `steps`, by which means of several batches have to be weighted.
    """
    real = ~targets.action_is_pad
    distance = (pose[..., :3] - targets.pose[..., :3]).norm(dim=-1) * units.metres * 1000
    angle = angle_between(pose[..., 3:] * units.radians, targets.pose[..., 3:] * units.radians)
    right = ((gripper > 0) == (targets.gripper > 0))[..., 0].float()
    means = {"pose_mm": distance, "pose_rad": angle, "gripper_accuracy": right}
    return {name: float(masked_mean(each, real)) for name, each in means.items()} | {"steps": float(real.sum())}


def angle_between(first: Tensor, second: Tensor) -> Tensor:
    """The angle between two rotations given as axis times angle, `[..., 3]` radians to `[...]`, from 0 to pi.

    The length of the difference would be right for small rotations about one axis only.

    >>> angle_between(torch.tensor([0.0, 0.0, 3.1]), torch.tensor([0.0, 0.0, -3.1])).round(decimals=3)
    tensor(0.0830)
    """
    a, b = _quaternion(first), _quaternion(second)
    cross = torch.linalg.cross(a[..., :3], b[..., :3])
    vector = a[..., 3:] * b[..., :3] - b[..., 3:] * a[..., :3] - cross  # of conj(a) b
    real = (a * b).sum(-1)
    return 2 * torch.atan2(vector.norm(dim=-1), real.abs())


def _quaternion(rotation: Tensor) -> Tensor:
    angle = rotation.norm(dim=-1, keepdim=True)
    half = angle / 2
    # sin(x) / x of torch is that of pi x; near 0 it needs no case of its own.
    return torch.cat([rotation / 2 * torch.sinc(half / torch.pi), half.cos()], -1)
