"""Ways to spoil a motion, to see which metric notices. Features in, features out, and rotations stay rotations.

A metric is worth what it reacts to. Each function here makes one fault that generated motions have or that a program
makes, and nothing else where that is possible: `slide` leaves every pose as it is, `random_angles` every joint in its
place. All are deterministic (`seed`) and take physical features `[T, 272]`. `CORRUPTIONS` names them for tables.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from motionlab.data.composed.join import join
from motionlab.errors import InputError
from motionlab.motion import transforms
from motionlab.motion.features import (
    HEADING,
    POSITIONS,
    ROOT_VELOCITY,
    ROTATIONS,
    VELOCITIES,
    check_features,
    crop,
    decode_positions,
    decode_rotations,
    encode,
)
from motionlab.motion.rotations import axis_angle_to_matrix, matrix_to_6d, quaternion_to_matrix, yaw_matrix
from motionlab.motion.skeleton import JOINT_COUNT, Skeleton, forward_kinematics

BLEND_FRAMES = 10  # over which the halves of two motions grow together: the order is wrong, and nothing jumps


def noise(features: Tensor, mm: float = 50.0, seed: int = 0) -> Tensor:
    """Move every joint in every frame by Gaussian noise of `mm` millimetres (root mean square of the distance).

    The angles stay as they were, so positions and rotations disagree, too.
    """
    _check(features, mm=mm)
    shift = torch.randn(len(features), JOINT_COUNT, 3, generator=_random(seed)).to(features) * mm / 1000 / math.sqrt(3)
    rotations, _ = decode_rotations(features)
    return _encoded(decode_positions(features) + shift, rotations, features)


def hold(features: Tensor, every: int = 4) -> Tensor:
    """Show every `every`-th frame, and hold it until the next: an animation with a quarter of the frames."""
    _check(features, every=every)
    shown = torch.arange(len(features)) // every * every  # 0 0 0 0 4 4 4 4 ...
    rotations, _ = decode_rotations(features)
    return _encoded(decode_positions(features)[shown], rotations[shown], features)


def slide(features: Tensor, factor: float = 3.0) -> Tensor:
    """Multiply the speed of the root by `factor`: the poses are as before, the body glides over the floor."""
    _check(features)
    spoiled = features.clone()
    spoiled[:, ROOT_VELOCITY] *= factor
    return spoiled


def random_angles(features: Tensor, seed: int = 0) -> Tensor:
    """Replace all joint angles by random ones (uniform over all rotations), and leave the joints in their places.

    The positions show no difference. A character that is driven by the rotations falls apart.
    """
    _check(features)
    spoiled = features.clone()
    quaternions = torch.randn(len(features), JOINT_COUNT, 4, generator=_random(seed)).to(features)
    spoiled[:, ROTATIONS] = matrix_to_6d(quaternion_to_matrix(quaternions)).flatten(1)
    return spoiled


def wrong_order(features: Tensor) -> Tensor:
    """The second half first, joined smoothly. `[T, 272] -> [T - 1, 272]`, because the seam is one common frame."""
    return swapped_halves(features, features, first=1, second=0)


def swapped_halves(features: Tensor, other: Tensor, first: int = 0, second: int = 1) -> Tensor:
    """One half of a motion followed by a half of another one, joined smoothly: half of the caption is right.

    Args:
        features, other: `[T, 272]`, on the canonical skeleton, at least four frames each.
        first, second: which half of each: 0 or 1.
    """
    for motion in (features, other):
        _check(motion)
        if len(motion) < 4:
            raise InputError("motion", found=f"{len(motion)} frames", expected="4 or more", fix="Use a longer motion.")
    return join([_half(features, first), _half(other, second)], BLEND_FRAMES)[0]


def mirrored(features: Tensor) -> Tensor:
    """Swap left and right. A perfect motion, of another caption."""
    _check(features)
    return transforms.mirror(features)


def wrong_unit(features: Tensor, factor: float = 100.0) -> Tensor:
    """Lengths multiplied by `factor`: 100 is centimetres where metres were meant. Angles stay."""
    _check(features)
    spoiled = features.clone()
    for part in (ROOT_VELOCITY, POSITIONS, VELOCITIES):
        spoiled[:, part] *= factor
    return spoiled


def heading_drift(features: Tensor, degrees: float = 10.0, fps: float = 30.0) -> Tensor:
    """Turn the body by `degrees` more every second: each frame is right, their sum is not.

    An error of a third of a degree a frame is far below what a tokenizer makes.
    """
    _check(features)
    spoiled = features.clone()
    # The stored rotation turns the heading away, so a turn to the left makes the stored angle smaller.
    angle = torch.atan2(features[1:, HEADING.start + 2], features[1:, HEADING.start])  # [T - 1]
    spoiled[1:, HEADING] = matrix_to_6d(yaw_matrix(angle - math.radians(degrees) / fps))
    return spoiled


def tremble(features: Tensor, degrees: float = 2.0, seed: int = 0) -> Tensor:
    """Turn every joint but the root by a small random angle in every frame; bones keep their lengths.

    Args:
        degrees: root mean square of the angles.
    """
    _check(features, degrees=degrees)
    rotations, root = decode_rotations(features)  # [T, 22, 3, 3], [T, 3]
    bones = Skeleton.measure(decode_positions(features), rotations).offsets
    axes = torch.randn(len(features), JOINT_COUNT, 3, generator=_random(seed)).to(features) * math.radians(degrees)
    axes[:, 0] = 0
    shaken = rotations @ axis_angle_to_matrix(axes / math.sqrt(3))
    return _encoded(forward_kinematics(shaken, root, bones), shaken, features)


def scaled_bones(features: Tensor, factor: float = 1.2) -> Tensor:
    """All bones `factor` times as long, with the angles and the travel of before: a taller body whose feet slide."""
    _check(features, factor=factor)
    rotations, root = decode_rotations(features)
    bones = Skeleton.measure(decode_positions(features), rotations).offsets
    root = root * root.new_tensor((1.0, factor, 1.0))  # the height grows, the path does not
    return _encoded(forward_kinematics(rotations, root, bones * factor), rotations, features)


@dataclass(frozen=True)
class Corruption:
    """A named way to spoil a motion.

    Fields:
        meaning: one line for a table.
        apply: `(features, other, seed) -> features`.
    """

    meaning: str
    apply: Callable[[Tensor, Tensor, int], Tensor]


CORRUPTIONS: dict[str, Corruption] = {
    "noise": Corruption("50 mm of noise on every joint", lambda x, other, seed: noise(x, seed=seed)),
    "hold": Corruption("every frame held for four", lambda x, other, seed: hold(x)),
    "slide": Corruption("the root three times as fast", lambda x, other, seed: slide(x)),
    "random_angles": Corruption("random joint angles", lambda x, other, seed: random_angles(x, seed)),
    "wrong_order": Corruption("the second half first", lambda x, other, seed: wrong_order(x)),
    "mirrored": Corruption("left and right swapped", lambda x, other, seed: mirrored(x)),
    "wrong_unit": Corruption("centimetres for metres", lambda x, other, seed: wrong_unit(x)),
    "heading_drift": Corruption("10 degrees more of a turn a second", lambda x, other, seed: heading_drift(x)),
    "tremble": Corruption("every joint trembles by 2 degrees", lambda x, other, seed: tremble(x, seed=seed)),
    "scaled_bones": Corruption("bones 20 % longer", lambda x, other, seed: scaled_bones(x)),
    "swapped_halves": Corruption(
        "the second half of another motion", lambda x, other, seed: swapped_halves(x, other)
    ),
}  # fmt: skip


def corrupt(name: str, features: Tensor, other: Tensor | None = None, seed: int = 0) -> Tensor:
    """Spoil a motion in the way that `CORRUPTIONS` calls `name`, with its default strength.

    Args:
        features: `[T, 272]` in physical units.
        other: another motion, which `swapped_halves` needs.

    Raises:
        InputError: no such name, features of another shape, or no other motion.

    >>> still = encode(torch.rand(30, 22, 3), torch.eye(3).expand(30, 22, 3, 3))
    >>> corrupt("slide", still).shape
    torch.Size([30, 272])
    """
    if name not in CORRUPTIONS:
        raise InputError("corruption", found=repr(name), expected=", ".join(CORRUPTIONS), fix="Name one of these.")
    if other is None and name == "swapped_halves":
        raise InputError(name, found="one motion", expected="two", fix="Pass another motion as `other`.")
    return CORRUPTIONS[name].apply(features, features if other is None else other, seed)


def _random(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _half(features: Tensor, number: int) -> Tensor:
    """The first or the second half, `[T // 2, 272]` or `[T - T // 2, 272]`."""
    middle = len(features) // 2
    return crop(features, middle, len(features) - middle) if number else crop(features, 0, middle)


def _encoded(joints: Tensor, rotations: Tensor, source: Tensor) -> Tensor:
    """Features of joints and rotations, with heights as they are, and starting where the source starts."""
    spoiled = encode(joints, rotations, ground=False)
    spoiled[0, : HEADING.stop] = source[0, : HEADING.stop]
    return spoiled


def _check(features: Tensor, **positive: float) -> None:
    check_features(features, "features")
    if features.ndim != 2:
        raise InputError("features", found=f"shape {tuple(features.shape)}", expected="(T, 272)", fix="Pass one clip.")
    for name, value in positive.items():
        if not 0 < value < math.inf:
            raise InputError(name, found=value, expected="a positive number", fix="Choose how strong the fault is.")
