"""`Motion`: one clip, its 272 features in physical units, and the views people ask for."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.files import atomic_path
from motionlab.files.arrays import read_arrays
from motionlab.files.reading import refusing
from motionlab.motion import features as f
from motionlab.motion import transforms
from motionlab.motion.frame_rate import same_rate
from motionlab.motion.rotations import matrix_from_6d
from motionlab.motion.skeleton import JOINT_COUNT, Skeleton, canonical_skeleton, forward_kinematics

SAME_BONES = 0.005  # metres; features stored as float16 are off by 1 mm
FEW_FRAMES = 16


@dataclass(frozen=True, eq=False)
class Motion:
    """A clip of `T` frames.

    Args:
        features: `[T, 272]`, physical units (metres, metres per frame) unless `normalized`.
        fps: frames a second.
        name: for messages and players.
        normalized: whether a `Normalizer` was applied. The views refuse such a motion, because its numbers are no
            longer metres.
        skeleton: bone lengths for `joints("rotations")` and for BVH; the canonical skeleton when not given.

    >>> motion = Motion.from_joints_rotations(torch.zeros(60, 22, 3), torch.eye(3).expand(60, 22, 3, 3))
    >>> motion
    Motion(60 frames, 2.0 s at 30 fps)
    >>> motion.joints().shape, len(motion.crop(0, 30))
    (torch.Size([60, 22, 3]), 30)
    """

    features: Tensor
    fps: float = 30.0
    name: str = ""
    normalized: bool = False
    skeleton: Skeleton | None = None

    def __post_init__(self) -> None:
        where = self.name or "motion"
        if self.features.ndim != 2:
            raise InputError(
                where,
                found=f"shape {tuple(self.features.shape)}",
                expected=f"(frames, {f.DIM})",
                fix="A Motion is one clip; take one row of a batch.",
            )
        f.check_features(self.features, where)
        if not 0 < self.fps < math.inf:
            raise InputError(where, found=f"fps {self.fps}", expected="a positive number", fix="Give the frame rate.")

    def __len__(self) -> int:
        return self.features.shape[0]

    def __repr__(self) -> str:
        name = f"{self.name!r}, " if self.name else ""
        state = ", normalized" if self.normalized else ""
        return f"Motion({name}{len(self)} frames, {self.duration:.1f} s at {self.fps:g} fps{state})"

    @property
    def duration(self) -> float:
        """Seconds: every frame lasts 1 / fps."""
        return len(self) / self.fps

    def joints(self, path: str = "positions") -> Tensor:
        """Joint positions `[T, 22, 3]` in metres.

        Args:
            path: `"positions"` reads the slice 8:74; `"rotations"` reads the joint angles and runs forward kinematics,
                so bones have the lengths of the skeleton. For a motion made by a network the two differ.
        """
        self._need_physical("joints")
        if path == "positions":
            return f.decode_positions(self.features)
        if path == "rotations":
            rotations, root = f.decode_rotations(self.features)
            skeleton = self.skeleton or canonical_skeleton(self.features.dtype)
            return forward_kinematics(rotations, root, skeleton.offsets)
        raise InputError("path", found=repr(path), expected="'positions' or 'rotations'", fix="Choose one of the two.")

    def rotations(self) -> Tensor:
        """Local joint rotations `[T, 22, 3, 3]`; the root's is its world rotation."""
        self._need_physical("rotations")
        return f.decode_rotations(self.features)[0]

    def root(self) -> tuple[Tensor, Tensor]:
        """Pelvis position `[T, 3]` in metres and heading `[T]` in radians (0 = facing +z, not wrapped)."""
        self._need_physical("root")
        return f.decode_rotations(self.features)[1], f.decode_heading(self.features)

    def crop(self, start: int, stop: int) -> Motion:
        """Frames `start` to `stop` (excluded), starting again at the origin, facing +z."""
        self._need_physical("crop")
        return replace(self, features=f.crop(self.features, start, stop - start))

    def mirror(self) -> Motion:
        """Swap left and right. The captions must follow; `data/composed/mirrored_words.py` swaps their words."""
        self._need_physical("mirror")
        return replace(self, features=transforms.mirror(self.features))

    def resample(self, speed: float = 1.0, fps: float | None = None) -> Motion:
        """Play `speed` times as fast and/or read at another frame rate."""
        self._need_physical("resample")
        fps = self.fps if fps is None else fps
        if speed == 1.0 and same_rate(self.fps, fps):
            return self if fps == self.fps else replace(self, fps=fps)
        step = speed * self.fps / fps
        if step == 1.0:
            return self
        return replace(self, features=transforms.resample(self.features, step, self.skeleton), fps=fps)

    def place(self, position: tuple[float, float] = (0.0, 0.0), heading: float = 0.0) -> Motion:
        """Start at `position` (x, z in metres), facing `heading` (radians)."""
        self._need_physical("place")
        return replace(self, features=transforms.place(self.features, position, heading))

    @classmethod
    def from_joints_rotations(
        cls,
        joints: Tensor,
        rotations: Tensor,
        fps: float = 30.0,
        name: str = "",
        skeleton: Skeleton | None = None,
        ground: bool = True,
    ) -> Motion:
        """Encode joints `[T, 22, 3]` (metres, y up) and local rotations `[T, 22, 3, 3]`.

        With `ground`, the lowest joint of the clip is put at height 0.
        """
        where = name or "motion"
        for what, value, shape in (("joints", joints, (22, 3)), ("rotations", rotations, (22, 3, 3))):
            if tuple(value.shape[1:]) != shape or len(value) != len(joints):
                expected = f"({len(joints)}, {', '.join(map(str, shape))})"
                raise InputError(
                    where,
                    found=f"{what} of shape {tuple(value.shape)}",
                    expected=expected,
                    fix="Give one pose of 22 joints per frame.",
                )
        return cls(f.encode(joints, rotations, ground=ground), fps=fps, name=name, skeleton=skeleton)

    @classmethod
    def load(cls, path: str | Path, fps: float = 30.0) -> Motion:
        """Read features from `.npy` (an array `[T, 272]`) or `.npz` (as written by `save`, or with a key `features`).

        A motion of another body than ours keeps its own bones: `skeleton` is what the file has, or is measured where
        positions and rotations of the features agree on bones that do not change.

        Args:
            fps: frame rate of an `.npy`, which cannot say it itself.

        Raises:
            InputError: no such file, not a numpy file, wrong shape, or NaN; the message names the file.
        """
        path = Path(path)
        fix = "Make the file again." if path.is_file() else "Check the path."
        arrays = read_arrays(path, expected="a .npy or .npz file", fix=fix)
        if "" in arrays:  # an .npy
            arrays = {"features": arrays[""]}
        if "features" not in arrays:
            raise InputError(
                path, found=f"arrays {sorted(arrays)}", expected="one named 'features'", fix="Save it with Motion.save."
            )
        values = arrays["features"]
        if values.ndim != 2 or values.shape[-1] != f.DIM or values.dtype.kind != "f":
            raise InputError(
                path,
                found=f"shape {values.shape} and dtype {values.dtype}",
                expected=f"(frames, {f.DIM}) floating point",
                fix="Encode the motion first.",
            )
        features = torch.from_numpy(np.ascontiguousarray(values)).float()
        f.check_features(features, path)
        with refusing(path, expected="one frame rate, one name and one flag", fix="Save it with Motion.save."):
            normalized = bool(arrays["normalized"].item()) if "normalized" in arrays else False
            return cls(
                features,
                fps=float(arrays["fps"].item()) if "fps" in arrays else fps,
                name=str(arrays["name"].item()) if "name" in arrays else path.stem,
                normalized=normalized,
                skeleton=_stored_skeleton(arrays, path) or (None if normalized else _measured_skeleton(features)),
            )

    def save(self, path: str | Path) -> None:
        """Write `.npy` (features only; refused when normalised, because the file could not say so) or `.npz`."""
        path = Path(path)
        if path.suffix not in (".npy", ".npz"):
            raise InputError(path, found=f"suffix {path.suffix!r}", expected=".npy or .npz", fix="Choose one of these.")
        values = self._writable().numpy()
        if path.suffix == ".npy":
            self._need_physical("save as .npy")
        with atomic_path(path) as temporary:
            if path.suffix == ".npy":
                np.save(temporary, values)
            else:
                bones: dict[str, Any] = {}  # a motion on our body is written as before
                if self.skeleton is not None:
                    bones["skeleton"] = self.skeleton.offsets.detach().cpu().numpy()
                np.savez_compressed(
                    temporary, features=values, fps=self.fps, name=self.name, normalized=self.normalized, **bones
                )

    def _writable(self) -> Tensor:
        """The features as numpy can hold them, which has no bfloat16."""
        values = self.features.detach().cpu()
        return values.float() if values.dtype == torch.bfloat16 else values

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Motion:
        """Move the features to a device and/or dtype."""
        return replace(self, features=self.features.to(device=device, dtype=dtype))

    def _need_physical(self, what: str) -> None:
        if self.normalized:
            raise InputError(
                self.name or "motion",
                found="normalized features",
                expected=f"physical units for {what}",
                fix="Call normalizer.denormalize(motion) first.",
            )


def _stored_skeleton(arrays: dict[str, np.ndarray], path: Path) -> Skeleton | None:
    if "skeleton" not in arrays:
        return None
    offsets = arrays["skeleton"]
    if offsets.shape != (JOINT_COUNT, 3) or offsets.dtype.kind != "f" or not bool(np.isfinite(offsets).all()):
        raise InputError(
            path,
            found=f"a skeleton of shape {offsets.shape} and dtype {offsets.dtype}",
            expected=f"({JOINT_COUNT}, 3) finite numbers",
            fix="Save it with Motion.save.",
        )
    return Skeleton("stored", torch.from_numpy(offsets.copy()).float())


def _measured_skeleton(features: Tensor) -> Skeleton | None:
    """The bones of another body than ours; None for ours, and where rotations and positions have no bones in common.

    A network's output is of the second kind: its bones change from frame to frame. Ours are told from a few frames.
    """
    # Path and heading move joints and rotations alike, so bones can be measured in the frame of the body.
    joints = features[:, f.POSITIONS].unflatten(-1, (JOINT_COUNT, 3))  # [T, 22, 3]
    rotations = matrix_from_6d(features[:, f.ROTATIONS].unflatten(-1, (JOINT_COUNT, 6)))  # [T, 22, 3, 3]
    for step in (max(len(features) // FEW_FRAMES, 1), 1):
        skeleton = Skeleton.measure(joints[::step], rotations[::step])
        if float((skeleton.offsets - canonical_skeleton().offsets).norm(dim=-1).max()) < SAME_BONES:
            return None
    rebuilt = forward_kinematics(rotations, joints[:, 0], skeleton.offsets)
    error = (rebuilt - joints).norm(dim=-1).amax(-1)  # [T]
    return skeleton if float(error.median()) < SAME_BONES else None
