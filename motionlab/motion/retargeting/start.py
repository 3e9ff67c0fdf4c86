"""Frames before the motion: a T-pose that was exported with it, or a rest pose in frame 0."""

from __future__ import annotations

import torch
from torch import Tensor

from motionlab.motion.retargeting.frames import Places
from motionlab.motion.retargeting.standing import t_pose

JUMP = 0.15  # metres that a joint moves between two frames
SHARP = 4.0  # times as much as in the frames after it
LONG = 0.5  # seconds of T-pose that nobody performs


def first_frame(places: Places, times: Tensor, scale: float) -> tuple[int, str | None]:
    """The frame with which the motion begins, and a note when it is not the first.

    Args:
        places: over time, `[T, 3]` each, in the unit of the source.
        times: `[T]` seconds.
        scale: metres in a unit.
    """
    frames = len(times)
    if frames < 3:
        return 0, None
    joints = torch.stack([value for name, value in places.items() if name not in ("middle", "top")], dim=1)
    steps = scale * joints.diff(dim=0).norm(dim=-1).amax(-1)  # [T - 1]
    posed = t_pose(places)  # [T]
    leading = int((~posed).int().argmax()) if not bool(posed.all()) else frames
    if leading == frames:
        return 0, "The whole motion is a T-pose."
    for start in (leading, leading + 1, 1) if leading else (1,):
        if start < frames - 1 and _jumps(steps, start - 1):
            what = "a T-pose" if leading else "a pose that does not belong to the motion"
            return (
                start,
                f"The first {_frames(start)}, {what} with a jump of {100 * float(steps[start - 1]):.0f} cm, left out.",
            )
    if leading and float(times[leading] - times[0]) >= LONG:
        return leading, f"The first {float(times[leading] - times[0]):.1f} s, a T-pose, left out."
    return 0, None


def _jumps(steps: Tensor, at: int) -> bool:
    return float(steps[at]) > JUMP and float(steps[at]) > SHARP * float(steps[at + 1 : at + 6].max())


def _frames(count: int) -> str:
    return "frame" if count == 1 else f"{count} frames"
