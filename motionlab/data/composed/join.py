"""Join clips into one continuous motion.

The technique is inertialization (Bollo, "Inertialization: High-Performance Animation Transitions in Gears of War",
GDC 2018): at the seam the new clip starts at once, and the difference between the old pose and the new one is added to
it as an offset that fades to nothing over `blend_frames`. It was chosen over the usual cross-fade because a
cross-fade plays both clips during the overlap: it would use up 20 of the 38 frames of a walking cycle, and no frame
would belong to one action. Here every frame of every clip is played and the seam is one exact frame.

How each part fades:

* joint angles: the offset (a rotation vector) goes from its value and velocity at the seam to zero along the quintic
  of least jerk, so pose and velocity are continuous;
* height: the height of the lowest joint fades, and the pelvis follows from the pose, so the floor is kept;
* travel and heading: their VELOCITY offset fades. Were the position offset faded, a runner who stops would glide
  forward and slide back again.

Positions never jump because they are integrated, exactly as in the 272 features.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.motion import features as f
from motionlab.motion.rotations import (
    axis_angle_to_matrix,
    heading_vector,
    matrix_from_6d,
    matrix_to_axis_angle,
    matrix_to_quaternion,
    quaternion_to_matrix,
    slerp,
    yaw_matrix,
    yaw_matrix_of,
)
from motionlab.motion.skeleton import JOINT_COUNT, canonical_skeleton, forward_kinematics

# Radians that a joint may turn within `blend_frames`; up to twice that turn takes proportionally longer.
_QUICK_TURN = math.pi / 2


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
    joined, starts = join_tracks([Track.of(clip) for clip in clips], blend_frames)
    return joined.features(), starts


def join_tracks(tracks: Sequence[Track], blend_frames: int) -> tuple[Track, list[int]]:
    """`join` for clips that are taken apart already."""
    for number, track in enumerate(tracks):
        if len(track) < 2:
            raise InputError(f"clip {number}", found="one frame", expected="two or more", fix="Use a longer clip.")
    joined, starts = tracks[0], [0]
    for track in tracks[1:]:
        starts.append(len(joined))
        joined = joined.followed_by(track, blend_frames)
    return joined, starts


@dataclass(frozen=True, eq=False)
class Track:
    """A motion taken apart: what continues by integration (steps, turns) and what is a state (heights, rotations).

    Args:
        steps: `[T, 2]` pelvis velocity (x, z) in the heading frame of the previous frame, metres per frame.
        turns: `[T]` heading change since the previous frame, radians.
        height: `[T]` of the pelvis, metres.
        low: `[T]` height of the lowest joint, metres.
        rotations: `[T, 22, 3, 3]` local, the root's without heading.
    """

    steps: Tensor
    turns: Tensor
    height: Tensor
    low: Tensor
    rotations: Tensor

    def __len__(self) -> int:
        return len(self.height)

    @classmethod
    def of(cls, features: Tensor) -> Track:
        """Take features `[T, 272]` (physical units) apart."""
        turns = torch.atan2(-features[:, f.HEADING.start + 2], features[:, f.HEADING.start])
        rotations = matrix_from_6d(features[:, f.ROTATIONS].unflatten(-1, (JOINT_COUNT, 6)))
        heights = features[:, f.POSITIONS.start + 1 : f.POSITIONS.stop : 3]  # [T, 22]
        return cls(features[:, f.ROOT_VELOCITY], turns, heights[:, 0], heights.amin(-1), rotations)

    def features(self) -> Tensor:
        """Put it together again: `[T, 272]`."""
        world, root = self.world
        joints = forward_kinematics(world, root, canonical_skeleton(root.dtype).offsets)
        return f.encode(joints, world, ground=False)

    def resampled(self, step: float) -> Track:
        """Like `transforms.resample`, but much cheaper when one track is resampled often."""
        root, last = self.world[1], len(self) - 1
        count = math.floor(last / step + 1e-6) + 1
        times = (torch.arange(count, dtype=root.dtype) * step).clamp(max=last)
        before = times.floor().long().clamp(max=max(last - 1, 0))
        after, t = (before + 1).clamp(max=last), times - before
        quaternions = self.quaternions
        turned = quaternion_to_matrix(slerp(quaternions[before], quaternions[after], t[:, None]))
        moved = torch.lerp(root[before], root[after], t[:, None])
        # The heading is measured again, not interpolated: where it jumps, only the world rotation is smooth.
        cosine, sine = heading_vector(turned[:, 0])
        unturn = yaw_matrix_of(cosine, -sine)
        free = torch.cat(((unturn @ turned[:, 0])[:, None], turned[:, 1:]), dim=1)
        turns = torch.atan2(
            sine[1:] * cosine[:-1] - cosine[1:] * sine[:-1], cosine[1:] * cosine[:-1] + sine[1:] * sine[:-1]
        )
        steps = (unturn[:-1] @ (moved[1:] - moved[:-1])[..., None])[:, [0, 2], 0]
        return Track(
            torch.cat((self.steps[:1], steps)),
            torch.cat((self.turns[:1], turns)),
            moved[:, 1],
            torch.lerp(self.low[before], self.low[after], t),
            free,
        )

    @functools.cached_property
    def world(self) -> tuple[Tensor, Tensor]:
        """Rotations `[T, 22, 3, 3]` with the heading put back, and the path of the pelvis `[T, 3]`."""
        turn = yaw_matrix(self.turns.cumsum(0))  # [T, 3, 3]
        step = torch.stack((self.steps[:, 0], torch.zeros_like(self.height), self.steps[:, 1]), -1)  # [T, 3]
        path = torch.cat((step[:1], (turn[:-1] @ step[1:, :, None])[..., 0])).cumsum(0)
        root = torch.stack((path[:, 0], self.height, path[:, 2]), -1)
        return torch.cat(((turn @ self.rotations[:, 0])[:, None], self.rotations[:, 1:]), dim=1), root

    @functools.cached_property
    def quaternions(self) -> Tensor:
        """Of `world`'s rotations, `[T, 22, 4]`."""
        return matrix_to_quaternion(self.world[0])

    def followed_by(self, new: Track, blend_frames: int) -> Track:
        """Append `new` without its first frame, which coincides with the last one here."""
        count = len(new.height) - 1
        offset = matrix_to_axis_angle(self.rotations[-1] @ new.rotations[0].mT)  # [22, 3], as seen by the parent
        width = blend_width(float(offset.norm(dim=-1).max()), blend_frames, count)
        t = torch.arange(1, count + 1, dtype=new.height.dtype) / max(width, 1)
        position, velocity = fade_position(t), fade_velocity(t) * width

        # Joint angles: offset and velocity offset at the seam, as rotation vectors.
        spins = torch.stack((self.rotations[-1] @ self.rotations[-2].mT, new.rotations[1] @ new.rotations[0].mT))
        spin_before, spin_after = matrix_to_axis_angle(spins)  # [22, 3] each, radians per frame
        fading = position[:width, None, None] * offset + velocity[:width, None, None] * (spin_before - spin_after)
        blended = axis_angle_to_matrix(fading) @ new.rotations[1 : width + 1]  # [width, 22, 3, 3]
        # Height: the lowest joint fades instead of the pelvis, so that mixed leg poses neither sink nor float.
        low = new.low[1:] + position * (self.low[-1] - new.low[0])
        low = torch.maximum(low, new.low[1:].clamp(max=0))
        height = new.height[1:].clone()
        height[:width] = low[:width] - lowest_below_pelvis(blended)
        # Travel and heading: only their velocities fade.
        steps = new.steps[1:] + position[:, None] * (self.steps[-1] - new.steps[1])
        turns = new.turns[1:] + position * (self.turns[-1] - new.turns[1])
        return Track(
            torch.cat((self.steps, steps)),
            torch.cat((self.turns, turns)),
            torch.cat((self.height, height)),
            torch.cat((self.low, low)),
            torch.cat((self.rotations, blended, new.rotations[width + 1 :])),
        )


def blend_width(angle: float, blend_frames: int, most: int) -> int:
    """Frames over which a seam fades whose largest turn of a joint is `angle` radians.

    A large difference takes longer, or an arm that swings round would be faster than any real one.
    """
    return min(round(blend_frames * min(max(angle / _QUICK_TURN, 1.0), 2.0)), most)


def lowest_below_pelvis(rotations: Tensor) -> Tensor:
    """Height of the lowest joint relative to the pelvis, `[T, 22, 3, 3] -> [T]`."""
    root = rotations.new_zeros(len(rotations), 3)
    offsets = canonical_skeleton(rotations.dtype).offsets
    return forward_kinematics(rotations, root, offsets)[..., 1].amin(-1)
