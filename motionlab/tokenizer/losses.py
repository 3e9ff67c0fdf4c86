"""The losses that the tokenizer is trained on.

    total = smooth_l1(all 272 dims) + sum of weight * term + the quantizer's own loss

| term         | smooth_l1 of                                                                 | unit: std of |
|--------------|------------------------------------------------------------------------------|--------------|
| velocity     | joint velocities, 74:140 (or the published block, see below)                 | its block    |
| root         | root velocity and heading, 0:8, where errors add up over a clip              | its blocks   |
| acceleration | second difference of the joint positions 8:74 over time                      | velocities   |
| joint        | joint positions by forward kinematics from the rotations, seen from the pelvis | positions  |
| foot         | movement per frame of ankles and toes that stand on the floor in the real motion | 0.1 m/s    |

smooth_l1 (Girshick 2015, arXiv 1504.08083) is quadratic for errors below 1 and linear above. The last three terms need
metres, and so a `Body`.

The published option is called "velocity loss", but the block that it weights, 8:74, holds positions. Velocities are
74:140. Both are offered by name; see `LossWeights.velocity_loss`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from motionlab.errors import InputError
from motionlab.motion.contacts import FASTEST
from motionlab.motion.features import POSITIONS, VELOCITIES
from motionlab.motion.motion import Motion
from motionlab.tokenizer.kinematics import Body
from motionlab.tokenizer.model import TokenizerOutput

ROOT = slice(0, 8)
FOOT_UNIT = 0.1 / Motion.fps  # metres a frame; a foot that slides visibly moves by three of them
VELOCITY_BLOCKS = {"true": VELOCITIES, "published": POSITIONS}


@dataclass(frozen=True)
class LossWeights:
    """Weights of the parts; 0 leaves a part out.

    Fields:
        velocity: of the velocity term.
        velocity_loss: which block it looks at. "true": joint velocities (74:140). "published": what the published
            training does, joint positions (8:74).
        root: of the root term.
        acceleration: of the acceleration term.
        joint: of the joint term.
        foot: of the foot term.
    """

    velocity: float = 0.5
    velocity_loss: str = "true"
    root: float = 0.0
    acceleration: float = 0.0
    joint: float = 0.0
    foot: float = 0.0

    def __post_init__(self) -> None:
        if self.velocity_loss not in VELOCITY_BLOCKS:
            raise InputError(
                "velocity_loss",
                found=repr(self.velocity_loss),
                expected=" or ".join(VELOCITY_BLOCKS),
                fix="Choose one of these.",
            )


def tokenizer_losses(
    output: TokenizerOutput,
    target: Tensor,
    weights: LossWeights,
    mask: Tensor | None = None,
    body: Body | None = None,
) -> dict[str, Tensor]:
    """All terms, each a scalar: "total" (weighted, train on this), "reconstruction", "velocity", "root", "quantizer".

    "acceleration", "joint" and "foot" are computed, and in the result, only when they have a weight.

    Args:
        output: what the tokenizer returned for `target`.
        target: `[B, T, 272]`, normalised.
        mask: `[B, T]`, true where a frame is real; padding then counts for nothing.
        body: the way to metres, for the acceleration, the joint and the foot term.

    Raises:
        InputError: a term with a weight needs the body and there is none.
    """
    made, wanted = output.reconstruction.float(), target.float()
    if mask is not None:
        # Padding may hold NaN, and 0 times NaN is NaN in a backward pass too: replace it, do not multiply it.
        made, wanted = (torch.where(mask.unsqueeze(2), x, 0.0) for x in (made, wanted))
    error = F.smooth_l1_loss(made, wanted, reduction="none")  # [B, T, 272]
    # One mean over the frames, then slices of 272 numbers: each slice of the large tensor would cost a large tensor of
    # zeros in the backward pass. So would picking the real frames; in the padding the error is 0.
    frames = error.flatten(0, 1)  # [B * T, 272]
    by_dim = frames.mean(0) if mask is None else frames.sum(0) / mask.sum()  # [272]
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
    if weights.acceleration:
        terms["acceleration"] = _acceleration(made, wanted, mask, _needed(body, "acceleration"))
        total = total + weights.acceleration * terms["acceleration"]
    if weights.joint:
        terms["joint"] = _joint(made, wanted, mask, _needed(body, "joint"))
        total = total + weights.joint * terms["joint"]
    if weights.foot:
        terms["foot"] = _foot(made, wanted, mask, _needed(body, "foot"))
        total = total + weights.foot * terms["foot"]
    return {"total": total, **terms}


def _acceleration(made: Tensor, wanted: Tensor, mask: Tensor | None, body: Body) -> Tensor:
    """x[t+1] - 2 x[t] + x[t-1] is linear, so that of the error is the error of it. 0 for clips under three frames."""
    error = body.positions(made - wanted)  # [B, T, 66] metres
    second = (error[:, 2:] - 2 * error[:, 1:-1] + error[:, :-2]) / body.velocity_scale.to(error)  # [B, T - 2, 66]
    if mask is not None:
        second = second[mask[:, 2:]]  # real frames come first, so the two before are real
    if second.numel() == 0:
        return error.new_zeros(())
    return F.smooth_l1_loss(second, torch.zeros_like(second))


def _joint(made: Tensor, wanted: Tensor, mask: Tensor | None, body: Body) -> Tensor:
    with torch.no_grad():
        truth = body.joints(wanted)  # [B, T, 22, 3] metres
    error = (body.joints(made) - truth) / body.position_scale.to(truth)
    if mask is not None:
        error = error[mask]  # [frames, 22, 3]
    return F.smooth_l1_loss(error, torch.zeros_like(error))


def _foot(made: Tensor, wanted: Tensor, mask: Tensor | None, body: Body) -> Tensor:
    """Only where the real foot stands: a foot in the air has no floor to slide on, and its errors are far larger."""
    with torch.no_grad():
        truth, low = body.foot_steps(wanted), body.low_feet(wanted)  # [B, T - 1, 4, 3] metres a frame; [B, T, 4]
        stands = low[:, 1:] & low[:, :-1] & (truth.norm(dim=-1) < FASTEST / Motion.fps)  # [B, T - 1, 4]
        if mask is not None:
            stands &= mask[:, 1:, None]
    error = (body.foot_steps(made) - truth)[stands] / FOOT_UNIT  # [standing feet, 3]
    if error.numel() == 0:
        return made.new_zeros(())
    return F.smooth_l1_loss(error, torch.zeros_like(error))


def _needed(body: Body | None, term: str) -> Body:
    if body is None:
        raise InputError(
            f"{term} loss",
            found="no body",
            expected="the normalizer and the bones",
            fix="Give tokenizer_losses(..., body=Body(normalizer)), or set the weight of this term to 0.",
        )
    return body
