"""Where a reconstruction error sits: in which joints, in which of the 272 features, and how it grows along a clip.

One number in millimetres says how bad a tokenizer is; these say what to do about it. An error that grows along the clip
is a sum of small errors of the heading or of the root velocity. An error that does not is in the pose itself.

Notation: T frames, 22 joints. A pair is a real clip and its reconstruction, `[T, 272]` both, in physical units.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.motion.features import DIM, FEATURE_SLICES, POSITIONS, decode_heading, decode_positions
from motionlab.motion.skeleton import JOINT_COUNT

METRES_TO_MM = 1000.0


class Pair(NamedTuple):
    """A clip and its reconstruction, features `[T, 272]` in physical units."""

    real: Tensor
    restored: Tensor


def pose_errors(pairs: Sequence[Pair]) -> Tensor:
    """Mean error of each joint in mm, `[22]`, over all frames of all clips, without root and heading.

    It looks only at the slice 8:74, in which the body stands over the origin and faces +z. So no error of the heading
    can be in it. The pelvis is subtracted, and its own entry is 0.
    """
    errors = torch.cat([_pose_error(pair) for pair in _checked(pairs)])  # [frames of all clips, 22]
    return errors.mean(0)


def border_errors(pairs: Sequence[Pair], frames: int) -> tuple[Tensor, Tensor]:
    """Pose error in mm of the first `frames` frames and of the last ones, each `[frames]`, averaged over the clips.

    Near its ends a convolution sees padding instead of motion. Clips shorter than `frames` are left out.
    """
    errors = [_pose_error(pair).mean(-1) for pair in _checked(pairs) if len(pair.real) >= frames]  # [T] each
    if not errors:
        longest = max(len(pair.real) for pair in pairs)
        raise InputError("frames", found=frames, expected=f"at most {longest}", fix="Ask for fewer frames.")
    return torch.stack([e[:frames] for e in errors]).mean(0), torch.stack([e[-frames:] for e in errors]).mean(0)


def explained(pairs: Sequence[Pair], mean: Tensor) -> Tensor:
    """Share of the variance of each feature that survives, `[272]`: 1 is perfect, 0 is no better than `mean`.

    1 - sum (restored - real)^2 / sum (mean - real)^2. Features that never change have no variance: nan.

    Args:
        mean: `[272]`, the means of the training split (`normalizer.mean`).
    """
    lost, spread = _lost_and_spread(pairs, mean)
    return torch.where(spread == 0, math.nan, 1 - lost / spread.clamp(min=1e-30))


def explained_by_slice(pairs: Sequence[Pair], mean: Tensor) -> dict[str, float]:
    """Share of the variance of each slice that survives: as `explained`, with both sums over all of its features.

    A mean of the shares of single features would follow those that hardly move: where almost nothing is to be lost, a
    small error is many times as much, and one such feature can have a share of -20.
    """
    lost, spread = _lost_and_spread(pairs, mean)
    return {name: float(1 - lost[columns].sum() / spread[columns].sum()) for name, columns in FEATURE_SLICES.items()}


def _lost_and_spread(pairs: Sequence[Pair], mean: Tensor) -> tuple[Tensor, Tensor]:
    """Of each feature the squared errors of the pairs and those of `mean`, `[272]` each; 0 where nothing changes."""
    real = torch.cat([pair.real for pair in _checked(pairs)]).double()
    restored = torch.cat([pair.restored for pair in pairs]).double()
    lost, spread = (restored - real).square().sum(0), (real - mean.double()).square().sum(0)
    moves = spread > 1e-8 * len(real)  # else constant up to rounding: a standard deviation below 0.1 mm
    return lost * moves, spread * moves


def explained_by_spread(pairs: Sequence[Pair], mean: Tensor, name: str, parts: int = 4) -> list[float]:
    """`explained` within one slice, for its features in `parts` groups: first those that vary least, last most.

    A normalizer that gives a whole slice one standard deviation makes features that vary little small, and a loss in
    these units hardly sees them. Then the first group keeps less than the last.
    """
    _known(name)
    share = explained(pairs, mean)[FEATURE_SLICES[name]]
    spread = torch.cat([pair.real for pair in pairs])[:, FEATURE_SLICES[name]].std(0)
    moving = (~share.isnan()).nonzero().squeeze(1)
    order = moving[spread[moving].argsort()]
    return [float(share[group].mean()) for group in order.chunk(parts)]


class AlongClip(NamedTuple):
    """How errors grow along a clip: means over clips, each `[frames]`.

    Fields:
        clips: how many clips are long enough to count. They are the same for every frame.
        pelvis_mm: joint error with the pelvis put in place. It contains the heading.
        pose_mm: joint error without the heading.
        heading_deg: how far the heading is off, as an angle without sign.
        travel_mm: how far the pelvis is from where it should be on the floor.
    """

    clips: int
    pelvis_mm: Tensor
    pose_mm: Tensor
    heading_deg: Tensor
    travel_mm: Tensor


def along_clip(pairs: Sequence[Pair], frames: int) -> AlongClip:
    """Errors of the first `frames` frames, averaged over the clips that have so many.

    Shorter clips are left out: otherwise the end of a curve would show other clips than its beginning.

    Raises:
        InputError: no clip is long enough.
    """
    long_enough = [Pair(a[:frames], b[:frames]) for a, b in _checked(pairs) if len(a) >= frames]
    if not long_enough:
        raise InputError(
            "frames",
            found=frames,
            expected=f"at most {max(len(pair.real) for pair in pairs)}, the longest clip",
            fix="Ask for fewer frames.",
        )
    real = torch.stack([pair.real for pair in long_enough])  # [clips, frames, 272]
    restored = torch.stack([pair.restored for pair in long_enough])
    a, b = decode_positions(restored), decode_positions(real)  # [clips, frames, 22, 3]
    pelvis = ((a - a[..., :1, :]) - (b - b[..., :1, :])).norm(dim=-1).mean(-1)  # [clips, frames]
    turn = decode_heading(restored) - decode_heading(real)  # [clips, frames]
    turn = torch.atan2(turn.sin(), turn.cos()).abs()  # a full turn too many is no error
    travel = (a - b)[..., 0, [0, 2]].norm(dim=-1)
    return AlongClip(
        clips=len(long_enough),
        pelvis_mm=pelvis.mean(0) * METRES_TO_MM,
        pose_mm=_pose_error(Pair(real, restored)).mean(-1).mean(0),
        heading_deg=turn.mean(0).rad2deg(),
        travel_mm=travel.mean(0) * METRES_TO_MM,
    )


def with_truth(pair: Pair, *slices: str) -> Pair:
    """The pair after the named slices of the reconstruction were replaced by the real ones.

    If the error falls when one slice is made true, the error was in that slice.

    >>> pair = Pair(torch.ones(4, 272), torch.zeros(4, 272))
    >>> with_truth(pair, "root_velocity", "heading").restored.sum().item()
    32.0
    """
    restored = pair.restored.clone()
    for name in slices:
        _known(name)
        restored[..., FEATURE_SLICES[name]] = pair.real[..., FEATURE_SLICES[name]]
    return Pair(pair.real, restored)


def _known(name: str) -> None:
    if name not in FEATURE_SLICES:
        raise InputError("slice", found=repr(name), expected=", ".join(FEATURE_SLICES), fix="Name one of these.")


def _pose_error(pair: Pair) -> Tensor:
    """`[..., 272]` each to `[..., 22]` mm."""
    a, b = (x[..., POSITIONS].unflatten(-1, (JOINT_COUNT, 3)) for x in (pair.restored, pair.real))
    metres: Tensor = ((a - a[..., :1, :]) - (b - b[..., :1, :])).norm(dim=-1)
    return metres * METRES_TO_MM


def _checked(pairs: Sequence[Pair]) -> Sequence[Pair]:
    bad = [pair for pair in pairs if pair.real.shape != pair.restored.shape or pair.real.shape[1:] != (DIM,)]
    if bad or not pairs:
        shapes = f"shapes {tuple(bad[0].real.shape)} and {tuple(bad[0].restored.shape)}" if bad else "no clip"
        raise InputError(
            "pairs",
            found=shapes,
            expected=f"two equal shapes (T, {DIM}) a clip",
            fix="Cut the reconstruction to the frames of the clip, and give features in physical units.",
        )
    return pairs
