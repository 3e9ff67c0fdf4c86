"""The joins of many clips at once: the fast twin of `join_tracks`, one after the other.

A clip is a few hundred small operations on a hundred frames, of which most of the time is the way into torch and back.
Here the frames of several clips are in one tensor: all pieces are resampled together, then all first seams are made
together, all second ones, and so on. Formulas and their order are those of `join.py`, and the features are the same bit
for bit. For that, atan2 is taken over the same stretches: torch computes the last few numbers of a tensor, those that
do not fill a vector register, by another routine than the rest, and where 0 is expected even its sign would differ.

Notation: F frames of all samples, N of all resampled pieces, M of all finished clips; G clips at a seam, W blended
frames.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from motionlab.data.composed.join import Track, blend_width, fade_position, fade_velocity, lowest_below_pelvis
from motionlab.data.composed.plan import Plan
from motionlab.motion import features as f
from motionlab.motion.rotations import (
    axis_angle_to_matrix,
    heading_vector,
    matrix_to_quaternion,
    quaternion_to_axis_angle,
    quaternion_to_matrix,
    slerp,
    yaw_matrix,
    yaw_matrix_of,
)
from motionlab.motion.skeleton import canonical_skeleton, forward_kinematics


class Library:
    """Samples taken apart and laid one after the other, to read frames of several at once.

    Args:
        tracks: by name of the sample, float64.
    """

    def __init__(self, tracks: dict[str, Track]) -> None:
        parts, lengths = list(tracks.values()), [len(track) for track in tracks.values()]
        self.number = {name: number for number, name in enumerate(tracks)}
        self.lengths, self.begins = lengths, np.cumsum([0, *lengths[:-1]])
        self.quaternions = torch.cat([track.quaternions for track in parts])  # [F, 22, 4]
        self.root = torch.cat([track.world[1] for track in parts])  # [F, 3]
        self.low = torch.cat([track.low for track in parts])  # [F]
        self.first_step = torch.stack([track.steps[0] for track in parts])  # [S, 2]
        self.first_turn = torch.stack([track.turns[0] for track in parts])  # [S]


@dataclass(eq=False)
class _Pieces:
    """The frames of several tracks, one after the other; fields as in `Track`, changed in place."""

    steps: Tensor
    turns: Tensor
    height: Tensor
    low: Tensor
    rotations: Tensor

    def at(self, places: Tensor) -> _Pieces:
        """A copy of some frames."""
        parts = (self.steps, self.turns, self.height, self.low, self.rotations)
        return _Pieces(*(part[places] for part in parts))


def join_together(plans: Sequence[Plan], library: Library, blend_frames: int) -> list[tuple[Tensor, list[int]]]:
    """Resample, repeat and join the samples of each plan.

    Returns:
        for each plan, features `[T, 272]` as float64, before mirroring, and the frame at which each step begins.
    """
    wanted = [(library.number[step.sample.name], step.speed) for plan in plans for step in plan.steps]
    pieces, lengths = _resampled(library, wanted)
    begins = np.cumsum([0, *lengths[:-1]]).tolist()
    # The pieces of each clip as (first frame in `pieces`, frames), repeats one after the other.
    clips: list[list[tuple[int, int]]] = []
    firsts: list[list[int]] = []  # at which piece each step begins
    number = 0
    for plan in plans:
        clips.append([])
        firsts.append([])
        for step in plan.steps:
            firsts[-1].append(len(clips[-1]))
            clips[-1] += [(begins[number], lengths[number])] * step.repeats
            number += 1
    # A later piece comes without its first frame, which coincides with the last one before it.
    places = [np.arange(a + (at > 0), a + n) for clip in clips for at, (a, n) in enumerate(clip)]
    joined = pieces.at(torch.from_numpy(np.concatenate(places)))
    sizes = [1 + sum(n - 1 for _, n in clip) for clip in clips]
    starts = np.cumsum([0, *sizes[:-1]]).tolist()
    ends = [start + clip[0][1] for start, clip in zip(starts, clips, strict=True)]  # one past what is joined so far
    seams: list[list[int]] = [[0] for _ in clips]
    for seam in range(1, max(map(len, clips))):
        here = [g for g, clip in enumerate(clips) if len(clip) > seam]
        counts = [clips[g][seam][1] - 1 for g in here]
        _blend(joined, pieces, [ends[g] - 1 for g in here], [clips[g][seam][0] for g in here], counts, blend_frames)
        for g, count in zip(here, counts, strict=True):
            seams[g].append(ends[g] - starts[g])
            ends[g] += count
    values = _features(joined, starts, ends)
    return [
        (values[start:end], [where[first] for first in steps])
        for start, end, where, steps in zip(starts, ends, seams, firsts, strict=True)
    ]


def _resampled(library: Library, wanted: Sequence[tuple[int, float]]) -> tuple[_Pieces, list[int]]:
    """`Track.resampled` of each sample (by number) at its speed, and the frames of each."""
    lengths, befores, afters, weights = [], [], [], []
    for number, step in wanted:
        last, begin = library.lengths[number] - 1, library.begins[number]
        count = math.floor(last / step + 1e-6) + 1
        times = np.minimum(np.arange(count, dtype=np.float64) * step, last)
        floors = np.minimum(np.floor(times).astype(np.int64), max(last - 1, 0))
        lengths.append(count)
        befores.append(begin + floors)
        afters.append(begin + np.minimum(floors + 1, last))
        weights.append(times - floors)
    before, after, t = (torch.from_numpy(np.concatenate(parts)) for parts in (befores, afters, weights))  # [N]
    first = torch.from_numpy(np.cumsum([0, *lengths[:-1]]))
    numbers = torch.tensor([number for number, _ in wanted])
    turned = quaternion_to_matrix(slerp(library.quaternions[before], library.quaternions[after], t[:, None]))
    moved = torch.lerp(library.root[before], library.root[after], t[:, None])  # [N, 3]
    cosine, sine = heading_vector(turned[:, 0])
    unturn = yaw_matrix_of(cosine, -sine)
    turned[:, 0] = unturn @ turned[:, 0]
    turns, steps = torch.empty_like(cosine), moved.new_empty(len(moved), 2)
    across = sine[1:] * cosine[:-1] - cosine[1:] * sine[:-1]  # [N - 1]
    along = cosine[1:] * cosine[:-1] + sine[1:] * sine[:-1]
    for begin, count in zip(first.tolist(), lengths, strict=True):
        here = slice(begin, begin + count - 1)
        turns[begin + 1 : begin + count] = torch.atan2(across[here], along[here])
    steps[1:] = (unturn[:-1] @ (moved[1:] - moved[:-1])[..., None])[:, [0, 2], 0]
    turns[first], steps[first] = library.first_turn[numbers], library.first_step[numbers]
    low = torch.lerp(library.low[before], library.low[after], t)
    return _Pieces(steps, turns, moved[:, 1], low, turned), lengths


def _blend(
    joined: _Pieces, pieces: _Pieces, last: list[int], new: list[int], counts: list[int], blend_frames: int
) -> None:
    """`Track.followed_by` for one seam of G clips, in place.

    Args:
        last: the frame in `joined` after which each seam is.
        new: the first frame in `pieces` of what follows, itself not in `joined`.
        counts: frames that follow.
    """
    end, begin = torch.tensor(last), torch.tensor(new)
    before, before2 = joined.rotations[end], joined.rotations[end - 1]  # [G, 22, 3, 3]
    after, after2 = pieces.rotations[begin], pieces.rotations[begin + 1]
    differences = torch.stack((before @ after.mT, before @ before2.mT, after2 @ after.mT), dim=1)  # [G, 3, 22, 3, 3]
    quaternions = matrix_to_quaternion(differences)  # [G, 3, 22, 4]
    offset = torch.stack([quaternion_to_axis_angle(own[0]) for own in quaternions])  # [G, 22, 3]
    spins = torch.stack([quaternion_to_axis_angle(own[1:]) for own in quaternions])  # [G, 2, 22, 3]
    slower = spins[:, 0] - spins[:, 1]  # [G, 22, 3]
    largest = offset.norm(dim=-1).amax(-1).tolist()
    widths = [blend_width(angle, blend_frames, count) for angle, count in zip(largest, counts, strict=True)]
    if not any(widths):
        return
    seam = torch.arange(len(widths)).repeat_interleave(torch.tensor(widths))  # [W]
    frame = torch.cat([torch.arange(1, width + 1) for width in widths])
    width = torch.tensor(widths, dtype=offset.dtype)[seam]
    place, t = end[seam] + frame, frame / width
    position, velocity = fade_position(t), fade_velocity(t) * width
    fading = position[:, None, None] * offset[seam] + velocity[:, None, None] * slower[seam]
    blended = axis_angle_to_matrix(fading) @ joined.rotations[place]  # [W, 22, 3, 3]
    own = joined.low[place]
    low = torch.maximum(own + position * (joined.low[end] - pieces.low[begin])[seam], own.clamp(max=0))
    joined.steps[place] += position[:, None] * (joined.steps[end] - pieces.steps[begin + 1])[seam]
    joined.turns[place] += position * (joined.turns[end] - pieces.turns[begin + 1])[seam]
    joined.height[place] = low - lowest_below_pelvis(blended)
    joined.low[place], joined.rotations[place] = low, blended


def _features(joined: _Pieces, starts: list[int], ends: list[int]) -> Tensor:
    """`Track.features` of all clips, `[M, 272]`. Uses `joined` up."""
    first = torch.tensor(starts)
    spans = list(zip(starts, ends, strict=True))
    turn = yaw_matrix(torch.cat([joined.turns[a:b].cumsum(0) for a, b in spans]))  # [M, 3, 3]
    step = torch.stack((joined.steps[:, 0], torch.zeros_like(joined.height), joined.steps[:, 1]), -1)  # [M, 3]
    moved = torch.cat((step[:1], (turn[:-1] @ step[1:, :, None])[..., 0]))
    moved[first] = step[first]
    path = torch.cat([moved[a:b].cumsum(0) for a, b in spans])
    root = torch.stack((path[:, 0], joined.height, path[:, 2]), -1)
    world = joined.rotations
    world[:, 0] = turn @ world[:, 0]
    joints = forward_kinematics(world, root, canonical_skeleton(root.dtype).offsets)
    values = f.encode(joints, world, ground=False)
    for start in starts:  # no clip moves on from the one before it
        f.clear_first_row(values[start:])
    return values
