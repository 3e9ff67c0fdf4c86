"""Join clips into one continuous motion.

The technique is inertialization (Bollo, "Inertialization: High-Performance Animation Transitions in Gears of War",
GDC 2018): at the seam the new clip starts at once, and the difference between the old pose and the new one is added to
it as an offset that fades to nothing over `blend_frames`. It was chosen over the usual cross-fade because a
cross-fade plays both clips during the overlap: it would use up 20 of the 38 frames of a walking cycle, and no frame
would belong to one action. Here every frame of every clip is played and the seam is one exact frame.

What fades how:

* joint angles and pelvis height: the offset (as a rotation vector) goes from its value and velocity at the seam to
  zero along the quintic of least jerk, so pose and velocity are continuous;
* travel and heading: their VELOCITY offset fades. Were the position offset faded, a runner who stops would glide
  forward and slide back again.

Positions never jump because they are integrated, exactly as in the 272 features.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.motion import features as f
from motionlab.motion.rotations import axis_angle_to_matrix, matrix_from_6d, matrix_to_axis_angle, yaw_matrix
from motionlab.motion.skeleton import JOINT_COUNT, canonical_skeleton, forward_kinematics


def fade_position(t: Tensor) -> Tensor:
    """From 1 to 0 with zero velocity and acceleration at both ends: the curve of least jerk (Flash & Hogan, 1985).

    >>> fade_position(torch.tensor([0.0, 0.5, 1.0, 2.0]))
    tensor([1.0000, 0.5000, 0.0000, 0.0000])
    """
    t = t.clamp(0, 1)
    return 1 - t**3 * (10 - 15 * t + 6 * t**2)


def fade_velocity(t: Tensor) -> Tensor:
    """From 0 to 0 with velocity 1 at the start and rest at the end: carries the velocity difference at a seam.

    >>> fade_velocity(torch.tensor([0.0, 1.0]))
    tensor([0., 0.])
    """
    t = t.clamp(0, 1)
    return t - t**3 * (6 - 8 * t + 3 * t**2)


def join(clips: Sequence[Tensor], blend_frames: int) -> tuple[Tensor, list[int]]:
    """Play clips one after the other, each continuing the position, heading, pose and velocity of the one before.

    The first frame of a clip coincides with the last frame of the one before, so a joined clip adds one frame less
    than it has. All clips must stand on the floor y = 0 and belong to the canonical skeleton.

    Args:
        clips: features `[T_i, 272]` in physical units, at least two frames each.
        blend_frames: frames over which the difference at a seam fades (at most the clip's own length is used).

    Returns:
        features `[1 + sum(T_i - 1), 272]` and the frame at which each clip's own frames begin (0 for the first).
    """
    for number, clip in enumerate(clips):
        if len(clip) < 2:
            raise InputError(f"clip {number}", found="one frame", expected="two or more", fix="Use a longer clip.")
    parts = [_Parts.of(clip) for clip in clips]
    joined, starts = parts[0], [0]
    for part in parts[1:]:
        starts.append(len(joined.height))
        joined = joined.followed_by(part, blend_frames)
    return joined.features(), starts


class _Parts:
    """A motion taken apart: what continues by integration (steps, turns) and what is a state (height, rotations)."""

    def __init__(self, steps: Tensor, turns: Tensor, height: Tensor, low: Tensor, rotations: Tensor) -> None:
        self.steps = steps  # [T, 2] pelvis x, z velocity in the heading frame of the previous frame
        self.turns = turns  # [T] heading change since the previous frame, radians
        self.height = height  # [T] pelvis, metres
        self.low = low  # [T] height of the lowest joint, metres
        self.rotations = rotations  # [T, 22, 3, 3] local, the root's without heading

    @classmethod
    def of(cls, features: Tensor) -> _Parts:
        turns = torch.atan2(-features[:, f.HEADING.start + 2], features[:, f.HEADING.start])
        rotations = matrix_from_6d(features[:, f.ROTATIONS].unflatten(-1, (JOINT_COUNT, 6)))
        heights = features[:, f.POSITIONS.start + 1 : f.POSITIONS.stop : 3]  # [T, 22]
        return cls(features[:, f.ROOT_VELOCITY], turns, heights[:, 0], heights.amin(-1), rotations)

    def followed_by(self, new: _Parts, blend_frames: int) -> _Parts:
        count = len(new.height) - 1
        width = min(blend_frames, count)
        t = torch.arange(1, count + 1, dtype=new.height.dtype) / max(width, 1)
        position, velocity = fade_position(t), fade_velocity(t) * width

        def velocity_at(values: Tensor) -> Tensor:
            return values[-1] - values[-2]

        # States: offset and velocity offset at the seam.
        offset = matrix_to_axis_angle(self.rotations[-1] @ new.rotations[0].mT)  # [22, 3]
        spin = matrix_to_axis_angle(
            torch.stack(
                (self.rotations[-1] @ self.rotations[-2].mT, new.rotations[1] @ new.rotations[0].mT),
            )
        )  # [2, 22, 3], radians a frame
        fading = position[:, None, None] * offset + velocity[:, None, None] * (spin[0] - spin[1])  # [count, 22, 3]
        rotations = new.rotations[1:].clone()
        rotations[:width] = axis_angle_to_matrix(fading[:width]) @ rotations[:width]
        low = new.low[1:] + position * (self.low[-1] - new.low[0])
        height = (
            new.height[1:]
            + position * (self.height[-1] - new.height[0])
            + velocity * (velocity_at(self.height) - (new.height[1] - new.height[0]))
        )
        # Velocities: their own offset.
        steps = new.steps[1:] + position[:, None] * (self.steps[-1] - new.steps[1])
        turns = new.turns[1:] + position * (self.turns[-1] - new.turns[1])
        return _Parts(
            torch.cat((self.steps, steps)),
            torch.cat((self.turns, turns)),
            torch.cat((self.height, height)),
            torch.cat((self.low, low)),
            torch.cat((self.rotations, rotations)),
        )

    def features(self) -> Tensor:
        turn = yaw_matrix(self.turns.cumsum(0))  # [T, 3, 3]
        step = torch.stack((self.steps[:, 0], torch.zeros_like(self.height), self.steps[:, 1]), -1)  # [T, 3]
        root = torch.cat((step[:1], (turn[:-1] @ step[1:, :, None])[..., 0])).cumsum(0)
        root[:, 1] = self.height
        rotations = self.rotations.clone()
        rotations[:, 0] = turn @ rotations[:, 0]
        joints = forward_kinematics(rotations, root, canonical_skeleton(root.dtype).offsets)
        return f.encode(joints, rotations, ground=False)
