"""The result of every reader: the motion on the body of the file, in the axes and the unit of the file.

Readers do not interpret. Which joint is the knee, which way is up and how long a unit is are questions that
`motion/retargeting/` answers from the poses; a reader passes on what its format says for certain, and no more.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.motion.motion import Motion

UNITS = {"m": 1.0, "cm": 0.01, "mm": 0.001, "in": 0.0254}  # metres
UPS = ("x", "y", "z", "-x", "-y", "-z")  # axes of a file that may point up


@dataclass(frozen=True, eq=False)
class SourceMotion:
    """A motion of `T` frames on a body of `J` joints, as a file has it.

    Args:
        name: of the motion; becomes the name of a clip.
        joints: `J` names, as the file writes them. `"0", "1", ...` where a format has none.
        parents: index of each joint's parent, -1 for a joint without one; parents before children.
        times: `[T]` seconds, from 0, increasing.
        positions: `[T, J, 3]` places of the joints in the world.
        rotations: `[T, J, 3, 3]` rotation of each joint relative to the world; None for formats of places only.
        rest: `[J, 3]` places of the joints when every rotation is the identity; None where a format does not say.
        metres_per_unit: when the format fixes its unit; None otherwise.
        up: axis of the file that points up ("y", "z", "-y" ...), when the format fixes it; None otherwise.

    Raises:
        InputError: shapes that do not belong together, numbers that are not finite, time that does not move on, or a
            tree that is not one.
    """

    name: str
    joints: tuple[str, ...]
    parents: tuple[int, ...]
    times: Tensor
    positions: Tensor
    rotations: Tensor | None = None
    rest: Tensor | None = None
    metres_per_unit: float | None = None
    up: str | None = None

    def __post_init__(self) -> None:
        frames, joints = len(self.times), len(self.joints)
        shapes: list[tuple[str, Tensor, tuple[int, ...]]] = [("positions", self.positions, (frames, joints, 3))]
        if self.rotations is not None:
            shapes.append(("rotations", self.rotations, (frames, joints, 3, 3)))
        if self.rest is not None:
            shapes.append(("rest pose", self.rest, (joints, 3)))
        for what, value, shape in shapes:
            if tuple(value.shape) != shape:
                self._fail(f"{what} of shape {tuple(value.shape)}", f"{shape}: {frames} frames, {joints} joints")
            if not bool(torch.isfinite(value).all()):
                self._fail(f"{what} with a number that is not finite", "finite numbers")
        if frames == 0 or joints == 0:
            self._fail(f"{frames} frames of {joints} joints", "at least one of each")
        if not bool((self.times.diff() > 0).all()):
            self._fail("time that does not move on", "a later time for each frame")
        if len(self.parents) != joints or any(not -1 <= parent < j for j, parent in enumerate(self.parents)):
            self._fail("joints whose parents come after them", "parents before children, -1 for none")

    def __len__(self) -> int:
        return len(self.times)

    @property
    def fps(self) -> float:
        """Frames a second, on average; 0 for a single frame."""
        return (len(self) - 1) / float(self.times[-1] - self.times[0]) if len(self) > 1 else 0.0

    def _fail(self, found: str, expected: str) -> None:
        raise InputError(self.name, found=found, expected=expected, fix="Correct the motion, or leave it out.")


@dataclass(frozen=True)
class Reading:
    """One motion out of a file, with all that the file says about it.

    Args:
        motion: a `SourceMotion`, or a `Motion` where the format is on our 22 joints already.
        captions: sentences that the file carries.
        notes: what was repaired, left out or assumed while reading, in whole sentences.
    """

    motion: Motion | SourceMotion
    captions: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReadOptions:
    """Facts that a person states about files that do not contain them.

    Args:
        fps: frames a second; replaces what the file says.
        unit: "m", "cm", "mm" or "in"; replaces what the file says. None: found from the length of the legs.
        up: axis of the file that points up, "y", "z", "-y" ...; likewise. None: found from the poses.

    Formats whose numbers are on our joints already (the 272 features, DeepMimic) are metres with y up, and ask nothing.

    Raises:
        InputError: another unit or axis.
    """

    fps: float | None = None
    unit: str | None = None
    up: str | None = None

    def __post_init__(self) -> None:
        choices: tuple[tuple[str, str | None, Collection[str]], ...] = (
            ("unit", self.unit, UNITS),
            ("up", self.up, UPS),
        )
        for what, value, known in choices:
            if value is not None and value not in known:
                raise InputError(what, found=repr(value), expected=", ".join(known), fix="Choose one of these.")

    def metres(self, otherwise: float | None) -> float | None:
        """Metres in a unit: the person's word, or else that of the file."""
        return otherwise if self.unit is None else UNITS[self.unit]
