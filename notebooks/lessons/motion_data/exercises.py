"""Exercises of lesson 01, "What is a motion, exactly?": references, and checks that name the mistake."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from motionlab.motion.rotations import matrix_from_6d, slerp
from motionlab.motion.skeleton import MIRROR
from motionlab.teaching.exercise import Exercise, register


# ---- 1. six numbers to a rotation ------------------------------------------------------------------------------------
def rows_to_matrix(six: Tensor) -> Tensor:
    """Two rows, perhaps neither of length 1 nor at right angles, to the rotation matrix `[3, 3]` (Gram-Schmidt)."""
    first = six[:3] / six[:3].norm()
    second = six[3:] - (first @ six[3:]) * first
    second = second / second.norm()
    return torch.stack((first, second, torch.linalg.cross(first, second)))


def _diagnose_matrix(function: Callable[..., Any]) -> str | None:
    six = torch.tensor([2.0, 0.5, -1.0, 0.3, 1.5, 0.4])
    result = function(six.clone())
    if not isinstance(result, Tensor) or result.shape != (3, 3):
        return "the result should be a tensor of shape (3, 3)."
    right = matrix_from_6d(six)
    if torch.allclose(result, right, atol=1e-5):
        other = torch.tensor([0.0, 1.0, 0.0, 0.0, 0.0, 3.0])
        if not torch.allclose(function(other), matrix_from_6d(other), atol=1e-5):
            return "right for one input only: use the argument."
        return None
    if torch.allclose(result, right.T, atol=1e-5):
        return (
            "these are the columns: the matrix of the INVERSE rotation. Here the six numbers are the first two ROWS "
            "(HumanML3D uses columns, and a file read the other way looks almost right)."
        )
    lengths = result.norm(dim=1)
    if not torch.allclose(lengths, torch.ones(3), atol=1e-4):
        return f"each row of a rotation has length 1; yours have {', '.join(f'{x:.2f}' for x in lengths.tolist())}."
    if abs(float(result[0] @ result[1])) > 1e-4:
        return "the first two rows are not at right angles: take from the second what it has of the first."
    if not torch.allclose(result[0], right[0], atol=1e-4):
        return "the first row keeps its direction; only the second one is corrected."
    if torch.allclose(result[2], -right[2], atol=1e-4):
        return "the third row points the wrong way: it is first x second. (Yours is a mirror: its determinant is -1.)"
    return f"the second row should be {[round(x, 3) for x in right[1].tolist()]}."


# ---- 2. the path from velocities -------------------------------------------------------------------------------------
def walk_path(velocity: Tensor, turn: Tensor) -> Tensor:
    """Places on the floor `[T, 2]` (x, z) from velocities `[T, 2]` and heading changes `[T]` in radians.

    Row t of `velocity` is in the heading of frame t - 1; row 0 is zero.
    """
    heading = turn.cumsum(0)  # [T]
    before = torch.cat((torch.zeros(1), heading[:-1]))  # [T]: the heading of the frame before
    x, z = velocity.unbind(-1)
    steps = torch.stack((before.cos() * x + before.sin() * z, -before.sin() * x + before.cos() * z), dim=-1)
    return steps.cumsum(0)


def _diagnose_path(function: Callable[..., Any]) -> str | None:
    turn = torch.tensor([0.0, math.pi / 2, 0.0, math.pi / 2, 0.3])
    velocity = torch.tensor([[0.0, 0.0], [0.0, 1.0], [0.0, 2.0], [0.5, 1.0], [0.0, 1.0]])
    result = function(velocity.clone(), turn.clone())
    if not isinstance(result, Tensor) or result.shape != velocity.shape:
        return f"the result should be a tensor of shape {tuple(velocity.shape)}: one place (x, z) for each frame."
    right = walk_path(velocity, turn)
    if torch.allclose(result, right, atol=1e-4):
        return None
    if torch.allclose(result, velocity.cumsum(0), atol=1e-4):
        return "the velocities were added without being turned: each is in the heading of its own frame."
    same = turn.cumsum(0)
    x, z = velocity.unbind(-1)
    late = torch.stack((same.cos() * x + same.sin() * z, -same.sin() * x + same.cos() * z), dim=-1).cumsum(0)
    if torch.allclose(result, late, atol=1e-4):
        return "each step was turned by the heading of its own frame; it is stored in that of the frame BEFORE."
    mirrored = walk_path(velocity, -turn)
    if torch.allclose(result, mirrored, atol=1e-4):
        return "the turns go the wrong way round: a heading of 90 degrees faces +x, so (0, 1) becomes (+1, 0)."
    if torch.allclose(result, right.diff(dim=0, prepend=torch.zeros(1, 2)), atol=1e-4):
        return "these are the steps; the place is the sum of all steps so far."
    return f"frame 2 should be at ({right[2, 0]:.1f}, {right[2, 1]:.1f}), got ({result[2, 0]:.1f}, {result[2, 1]:.1f})."


# ---- 3. the mirror image ---------------------------------------------------------------------------------------------
def mirror_pose(joints: Tensor) -> Tensor:
    """The mirror image of a pose `[22, 3]`: x changes sign, and left and right joints change places."""
    return joints[list(MIRROR)] * torch.tensor([-1.0, 1.0, 1.0])


def _diagnose_mirror(function: Callable[..., Any]) -> str | None:
    joints = torch.arange(66.0).view(22, 3) / 10 + 1
    result = function(joints.clone())
    if not isinstance(result, Tensor) or result.shape != (22, 3):
        return "the result should be a tensor of shape (22, 3)."
    right = mirror_pose(joints)
    if torch.allclose(result, right):
        return None
    flip = torch.tensor([-1.0, 1.0, 1.0])
    if torch.allclose(result, joints * flip):
        return (
            "x has another sign, but the joint called left_wrist is still the one that was left: "
            "in a mirror it plays the right one."
        )
    if torch.allclose(result, joints[list(MIRROR)]):
        return "left and right changed places without a change of sign: the legs are crossed now."
    for axis, name in ((1, "y, which stands the body on its head"), (2, "z, which lets it walk backwards")):
        other = torch.ones(3)
        other[axis] = -1.0
        if torch.allclose(result, joints[list(MIRROR)] * other):
            return f"the sign of {name}: left is +x, so x it is."
    return "joints 0, 3, 6, 9, 12 and 15 are in the middle and stay; the pairs are in ml.JOINT_NAMES."


# ---- 4. a rotation at a time between two frames ----------------------------------------------------------------------
def rotation_at(rotations: Tensor, fps: float, seconds: float) -> Tensor:
    """The rotation `[4]` at a time, from unit quaternions `[T, 4]` (w, x, y, z) at `fps` frames a second."""
    place = min(max(seconds * fps, 0.0), len(rotations) - 1.0)
    before = min(int(place), len(rotations) - 2)
    return slerp(rotations[before], rotations[before + 1], torch.tensor(place - before))


def _diagnose_slerp(function: Callable[..., Any]) -> str | None:
    def about_y(degrees: float) -> Tensor:
        half = math.radians(degrees) / 2
        return torch.tensor([math.cos(half), 0.0, math.sin(half), 0.0])

    def degrees_of(quaternion: Tensor) -> float:
        return math.degrees(2 * math.atan2(float(quaternion[2]), float(quaternion[0])))

    turning = torch.stack([about_y(0), about_y(120), about_y(170)])
    result = function(turning.clone(), 20.0, 0.0125)  # a quarter of the way from frame 0 to frame 1
    if not isinstance(result, Tensor) or result.shape != (4,):
        return "the result should be one quaternion, a tensor of shape (4,)."
    if abs(float(result.norm()) - 1) > 1e-4:
        return (
            f"a rotation is a quaternion of length 1, this one has {float(result.norm()):.3f}: "
            "a straight line between two of them leaves the sphere."
        )
    angle = degrees_of(result)
    if abs(angle - 30) > 0.05:
        if abs(angle) < 0.05 or abs(angle - 120) < 0.05:
            return "this is the nearest frame; a quarter of the way from 0 to 120 degrees are 30."
        straight = degrees_of(torch.lerp(about_y(0), about_y(120), 0.25))
        if abs(angle - straight) < 0.2:
            return (
                f"{angle:.1f} degrees instead of 30: a straight line that is stretched to length 1 moves at uneven "
                "speed. Use the sines of slerp."
            )
        return f"a quarter of the way from 0 to 120 degrees should be 30 degrees, got {angle:.1f}."
    signs = turning.clone()
    signs[1] = -signs[1]  # the same rotation
    if abs(degrees_of(function(signs, 20.0, 0.0125)) % 360 - 30) > 0.05:
        return "q and -q are the same rotation: where their product is negative, turn one round before you go the way."
    if abs(degrees_of(function(turning.clone(), 20.0, 0.075)) - 145) > 0.05:
        return "at 0.075 s and 20 fps the time is 1.5 frames: half-way from frame 1 to frame 2."
    if abs(degrees_of(function(turning.clone(), 20.0, 0.1)) - 170) > 0.05:
        return "0.1 s is exactly frame 2, the last one: there is no frame after it."
    return None


# ---- 5. a split that does not leak -----------------------------------------------------------------------------------
def split_by_take(takes: Sequence[str], test_share: float) -> list[bool]:
    """Which clips are for the test: whole takes, in alphabetical order, until `test_share` of the clips is reached."""
    chosen: set[str] = set()
    for take in sorted(set(takes)):
        if sum(name in chosen for name in takes) >= test_share * len(takes):
            break
        chosen.add(take)
    return [name in chosen for name in takes]


def _diagnose_split(function: Callable[..., Any]) -> str | None:
    takes = ["walk_2", "jump_1", "walk_1", "jump_1", "walk_2", "dance_1", "walk_1", "jump_1", "walk_2", "dance_1"]
    result = function(list(takes), 0.2)
    if not isinstance(result, Tensor | list | tuple) or len(result) != len(takes):
        return f"the result should hold one truth value for each of the {len(takes)} clips."
    flags = [bool(flag) for flag in result]
    torn = sorted(
        {take for take in takes if len({flag for flag, name in zip(flags, takes, strict=True) if name == take}) > 1}
    )
    if torn:
        return (
            f"take {torn[0]} is on both sides: its clips are pieces and speeds of one recording, "
            "so the test would ask for what was trained."
        )
    if not any(flags) or all(flags):
        return "all clips are on one side."
    if flags != split_by_take(takes, 0.2):
        return "take whole takes in alphabetical order, and stop as soon as the share of CLIPS is reached."
    if [bool(x) for x in function(list(takes), 0.5)] != split_by_take(takes, 0.5):
        return "right for a share of 0.2 only: use the argument."
    takes = ["long"] * 6 + ["run_1"] * 2 + ["sit_1", "sit_2"]
    if [bool(x) for x in function(list(takes), 0.5)] != split_by_take(takes, 0.5):
        return "one take has 6 of 10 clips, so it alone reaches a share of 0.5: count CLIPS, not takes."
    return None


EXERCISES = register(
    Exercise(
        "motion.rows_to_matrix",
        rows_to_matrix,
        _diagnose_matrix,
        "A network may write any six numbers here; this is how they become a rotation.",
        (
            "Stretch the first three to length 1. Take from the last three their part along the first.",
            "The third row is torch.linalg.cross(first, second).",
        ),
        form="six [6] -> [3, 3]",
    ),
    Exercise(
        "motion.walk_path",
        walk_path,
        _diagnose_path,
        "Both decoders begin with these two sums, and a small error of a turn grows into metres here.",
        (
            "Heading is the running sum of the turns. Which heading was valid when step t was written down?",
            "A heading h turns (x, z) into (cos h x + sin h z, -sin h x + cos h z). Then cumsum.",
        ),
        form="velocity [T, 2], turn [T] radians -> [T, 2]",
    ),
    Exercise(
        "motion.mirror_pose",
        mirror_pose,
        _diagnose_mirror,
        "Twice the data for nothing, as long as the words left and right in the captions change as well.",
        (
            "Hold your left hand up in front of a mirror. Which hand does the person in it hold up?",
            "A list of 22 places: for each joint the one on the other side. Then x times -1.",
        ),
        form="joints [22, 3] -> [22, 3]",
    ),
    Exercise(
        "motion.rotation_at",
        rotation_at,
        _diagnose_slerp,
        "So 120 frames a second become 30, or 29.97, without a jump and without a drift.",
        (
            "seconds * fps is a place between two frames: which two, and how far?",
            "slerp: (sin((1 - t) a) p + sin(t a) q) / sin(a), where cos(a) = p . q. If p . q < 0, use -q.",
        ),
        form="rotations [T, 4] unit quaternions (w, x, y, z), fps, seconds: floats -> [4]",
    ),
    Exercise(
        "motion.split_by_take",
        split_by_take,
        _diagnose_split,
        "Mirrored twins and copies at another speed belong to the take that they were made from.",
        (
            "Decide for each take, not for each clip.",
            "Go through sorted(set(takes)) and add takes until the chosen clips are enough.",
        ),
        form="takes: list of str, test_share: float -> list of bool",
    ),
)
