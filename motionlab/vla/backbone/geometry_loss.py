"""The pretraining loss of the backbone: cameras, depth and points that admit how sure they are, and patch colours.

Depth and points (VGGT, arXiv:2503.11651, equation 2, without its gradient term; Kendall and Gal, arXiv:1703.04977):

    c |error| - 0.2 log c  +  |error|

The first two terms let the network be unsure at borders of objects, at a price; the third keeps a gradient where it is.
Cameras: L1 on translation, quaternion and field of view (weight 0.5 for the last), each refinement 0.6 times as much as
the next. Colours: squared error. Geometry does not need them, but an instruction names things by their colour. L1 gives
every cell the same pull, and its best answer is the median: a network that is not yet sure paints a cube, one cell in a
hundred, in the colour of the table, and loses next to nothing. Squares pull hardest where a cube is missing.
Every mean is over valid pixels or real views of the whole batch; `count` says how many views that are.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from motionlab.errors import InputError
from motionlab.vla.backbone.output import CONTRAST, GeometryOutput
from motionlab.vla.backbone.targets import GeometryTargets

REFINEMENT = 0.6
SURENESS = 0.2


@dataclass(frozen=True)
class GeometryWeights:
    """The weight of each part. 0 leaves it out."""

    camera: float = 5.0
    depth: float = 1.0
    points: float = 1.0
    colours: float = 10.0


@dataclass(frozen=True)
class GeometryLosses:
    """`total` is what is minimised; `parts` are measures without confidence, for the log and the validation.

    Parts: `pose_l1` (mean over the nine numbers), `depth_rel` (|error| / depth), `points` (mean distance, of a scene
    whose mean distance is 1), `rgb_l1`.
    """

    total: Tensor
    parts: dict[str, Tensor]


def geometry_loss(
    output: GeometryOutput,
    targets: GeometryTargets,
    images: Tensor,
    weights: GeometryWeights = GeometryWeights(),  # noqa: B008 (frozen)
) -> GeometryLosses:
    """Compare the output of a backbone with exact geometry.

    Args:
        images: `[B, S, 3, H, W]` in [0, 1], for the colours.

    Raises:
        InputError: outputs of another size than the targets, or colours are wanted and the backbone has none.
    """
    depth, points = output["depth"][..., 0].float(), output["world_points"].float()
    if depth.shape != targets.depth.shape:
        raise InputError(
            "depth", found=f"targets {list(targets.depth.shape)}", expected=str(list(depth.shape)),
            fix="Use depth maps of the size of the images.",
        )  # fmt: skip
    depth_error = (depth - targets.depth).abs()  # [B, S, H, W]
    point_error = (points - targets.world_points).norm(dim=-1)  # [B, S, H, W]
    pose_error = (output["pose_enc"] - targets.pose_enc).abs().mean(-1)  # [B, S]
    valid, real = targets.valid, targets.view_mask
    parts = {
        "pose_l1": masked_mean(pose_error, real),
        "depth_rel": masked_mean(depth_error / targets.depth, valid),
        "points": masked_mean(point_error, valid),
    }
    total = weights.camera * camera_loss(output["pose_enc_list"], targets)
    total = total + weights.depth * unsure(depth_error, output["depth_conf"], valid)
    total = total + weights.points * unsure(point_error, output["world_points_conf"], valid)
    if weights.colours:
        error = colour_error(output, images)  # [B, S, y, x, 3]
        parts["rgb_l1"] = masked_mean(error.abs().mean((2, 3, 4)), real)
        total = total + weights.colours * masked_mean((error / CONTRAST).square().mean((2, 3, 4)), real)
    return GeometryLosses(total, {name: part.detach() for name, part in parts.items()})


def camera_loss(poses: list[Tensor], targets: GeometryTargets) -> Tensor:
    """L1 of every refinement, the later ones counting more; scalar."""
    total = targets.pose_enc.new_zeros(())
    for number, pose in enumerate(poses):
        error = (pose.float() - targets.pose_enc).abs()  # [B, S, 9]
        translation = error[..., :3].mean(-1).clamp(max=100)  # one absurd camera must not drown a batch
        each = translation + error[..., 3:7].mean(-1) + 0.5 * error[..., 7:].mean(-1)  # [B, S]
        total = total + REFINEMENT ** (len(poses) - 1 - number) * masked_mean(each, targets.view_mask)
    return total / len(poses)


def unsure(error: Tensor, confidence: Tensor, valid: Tensor) -> Tensor:
    """`c e - 0.2 log c + e`, mean over valid pixels; `error` and `confidence` `[B, S, H, W]`.

    For a fixed error the best confidence is 0.2 / e: small errors may claim much, and a wrong claim costs.
    """
    confidence = confidence.float()
    return masked_mean(error * confidence - SURENESS * confidence.log() + error, valid)


def colour_error(output: GeometryOutput, images: Tensor) -> Tensor:
    """Predicted colours minus images shrunk to their size, `[B, S, y, x, 3]`."""
    if "patch_rgb" not in output:
        raise InputError(
            "geometry_loss", found="a backbone without patch_rgb", expected="TinyVGGT, or colours=0",
            fix="Set the weight of the colours to 0.",
        )  # fmt: skip
    predicted = output["patch_rgb"].float()  # [B, S, y, x, 3]
    small = F.adaptive_avg_pool2d(images.flatten(0, 1), (predicted.shape[2], predicted.shape[3]))  # [B*S, 3, y, x]
    target: Tensor = small.unflatten(0, images.shape[:2]).movedim(2, -1)  # [B, S, y, x, 3]
    return predicted - target


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """The mean of the values where the mask is True; 0 where it is nowhere True.

    >>> masked_mean(torch.tensor([1.0, 3.0, float("nan")]), torch.tensor([True, True, False]))
    tensor(2.)
    """
    kept = torch.where(mask, values, torch.zeros_like(values))
    return kept.sum() / mask.sum().clamp(min=1)
