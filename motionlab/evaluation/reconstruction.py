"""How far a reconstructed motion is from the real one, in millimetres.

Three numbers, because each hides something: the pelvis-centred error contains the heading, which is a sum over frames
and so drifts; the heading-aligned error does not; neither sees trembling, which the acceleration error does.

Notation: T frames, 22 joints; Y points up. Leading dimensions `[...]` are a batch of clips.
"""

from __future__ import annotations

import torch
from torch import Tensor

from motionlab.errors import InputError

ALIGNMENTS = ("pelvis", "heading", "none")
METRES_TO_MM = 1000.0


def mpjpe(a: Tensor, b: Tensor, align: str = "pelvis", lengths: Tensor | None = None) -> Tensor:
    """Mean per-joint position error in mm, one number per clip.

    Args:
        a, b: joints `[..., T, 22, 3]` in metres.
        align: what is forgiven in each frame. "pelvis": the position of joint 0, as published. "heading": also the turn
            about Y, by the angle that fits the frame best. "none": nothing.
        lengths: `[...]`, real frames of each clip; later ones are padding and do not count.

    Returns:
        `[...]`: the mean over joints, then over the clip's frames.

    >>> a = torch.zeros(10, 22, 3); b = a.clone(); b[:, 1:, 1] = 0.022
    >>> round(float(mpjpe(a, b)), 3)  # 21 of 22 joints are 22 mm off
    21.0
    """
    a, b = _checked(a, b)
    if align not in ALIGNMENTS:
        raise InputError("align", found=repr(align), expected=" or ".join(ALIGNMENTS), fix="Choose one of these.")
    if align != "none":
        a, b = a - a[..., :1, :], b - b[..., :1, :]
    if align == "heading":
        b = _turn_onto(b, a)
    error = (a - b).norm(dim=-1).mean(-1) * METRES_TO_MM  # [..., T, 22, 3] -> [..., T]
    return _mean_over_time(error, lengths)


def acceleration_error(a: Tensor, b: Tensor, lengths: Tensor | None = None) -> Tensor:
    """Mean length of the difference of joint accelerations, in mm per frame squared, one number per clip.

    Acceleration is the second difference of the positions, x[t+1] - 2 x[t] + x[t-1], as the field counts it. For
    mm/s^2 multiply by fps squared. Nothing is aligned.

    Args:
        a, b: joints `[..., T, 22, 3]` in metres, T >= 3.
        lengths: `[...]`, real frames of each clip, each >= 3.
    """
    a, b = _checked(a, b)
    shortest = a.shape[-3] if lengths is None else int(lengths.min())
    if shortest < 3:
        raise InputError("motion", found=f"{shortest} frames", expected="3 or more", fix="Leave such clips out.")
    difference = a - b
    second = difference[..., 2:, :, :] - 2 * difference[..., 1:-1, :, :] + difference[..., :-2, :, :]  # T - 2 frames
    error = second.norm(dim=-1).mean(-1) * METRES_TO_MM  # [..., T - 2]
    return _mean_over_time(error, None if lengths is None else lengths - 2)


def _turn_onto(b: Tensor, a: Tensor) -> Tensor:
    """Turn each frame of `b` about Y by the angle that brings it closest to `a` (least squares).

    With u = (z, x) in the ground plane, the best angle is atan2(sum b x a, sum b . a): the two-dimensional case of the
    Procrustes problem.
    """
    bx, bz, ax, az = b[..., 0], b[..., 2], a[..., 0], a[..., 2]
    angle = torch.atan2((bz * ax - bx * az).sum(-1, keepdim=True), (bx * ax + bz * az).sum(-1, keepdim=True))
    cos, sin = angle.cos(), angle.sin()  # [..., T, 1]
    return torch.stack([cos * bx + sin * bz, b[..., 1], cos * bz - sin * bx], dim=-1)


def _mean_over_time(error: Tensor, lengths: Tensor | None) -> Tensor:
    """`[..., T]` -> `[...]`."""
    if lengths is None:
        return error.mean(-1)
    lengths = lengths.to(error.device)
    frames = error.shape[-1]
    if int(lengths.min()) < 1 or int(lengths.max()) > frames:
        raise InputError(
            "lengths",
            found=f"{int(lengths.min())}..{int(lengths.max())}",
            expected=f"1..{frames} usable frames",
            fix="Give the real number of frames of each clip.",
        )
    real = torch.arange(frames, device=error.device) < lengths.unsqueeze(-1)  # [..., T]
    return torch.where(real, error, 0.0).sum(-1) / lengths  # where, not a product: padding may hold NaN


def _checked(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    if a.shape != b.shape or a.ndim < 3 or a.shape[-1] != 3 or a.shape[-3] == 0:
        raise InputError(
            "joints",
            found=f"shapes {tuple(a.shape)} and {tuple(b.shape)}",
            expected="two equal shapes (..., T, joints, 3) with T >= 1",
            fix="Cut both motions to the same frames; for features use Motion.joints() first.",
        )
    return torch.as_tensor(a), torch.as_tensor(b)
