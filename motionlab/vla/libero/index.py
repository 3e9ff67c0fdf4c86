"""A file of demonstrations without its pictures: everything small is read and checked, so that faults show at once.

Two things are not the same in all files, and are taken from the file where it says them:

- `macros_image_convention`: whether pictures are stored upside down. Files that do not say it are taken as "opengl", as
  those of LIBERO are, and those that others made from LIBERO's environments.
- `obs_action_offset`: which action belongs to an observation. LIBERO's own script stores at row j the observation
  AFTER action j, so the action that follows it is in row j + 1: offset 1. Regenerated files and ours have offset 0.
  Where it is not recorded, files with the `env_args` that LIBERO's script writes get 1, others 0.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from motionlab.errors import InputError
from motionlab.vla.libero import layout
from motionlab.vla.libero.hdf5 import EXPECTED, FIX, Group, checked, find, h5py, numbers, reading, texts
from motionlab.vla.libero.language import KEYS, instruction_of
from motionlab.vla.libero.layout import CameraTrack
from motionlab.vla.libero.orientation import DEFAULT, check_convention
from motionlab.vla.libero.quaternions import to_axis_angle
from motionlab.vla.observation import ACTION_DIMS, VIEWS

MOST_EDGE = 4096  # pixels
_FRAMES_AT_ONCE = 64


@dataclass(frozen=True)
class Conventions:
    """Facts that the caller states instead of the file; None: as the file says.

    Fields:
        image_convention: "opengl" (stored upside down) or "opencv".
        obs_action_offset: 0 or 1.

    Raises:
        InputError: any other value.
    """

    image_convention: str | None = None
    obs_action_offset: int | None = None

    def __post_init__(self) -> None:
        if self.image_convention is not None:
            check_convention(self.image_convention, "image_convention")
        if self.obs_action_offset is not None:
            _check_offset(self.obs_action_offset, "obs_action_offset")


@dataclass(frozen=True)
class Demo:
    """One demonstration without its pictures. Arrays are as in `Episode`, with T rows.

    Fields:
        name: of its group, such as demo_3.
        sizes: view -> (H, W) of the pictures.
        image_keys, depth_keys: view -> name of the dataset in obs; only depth in metres is listed.
    """

    name: str
    instruction: str
    actions: np.ndarray
    ee_pos: np.ndarray | None
    ee_ori: np.ndarray | None
    gripper: np.ndarray | None
    sizes: dict[str, tuple[int, int]]
    image_keys: dict[str, str]
    depth_keys: dict[str, str]
    cameras: dict[str, CameraTrack]
    executed: np.ndarray | None
    states: np.ndarray | None
    attributes: dict[str, str | int | float]

    @property
    def length(self) -> int:
        """Rows that both the observations and the actions have."""
        return len(self.actions)


@dataclass(frozen=True)
class FileIndex:
    """A file: its conventions, decided, and its demonstrations in the order of their numbers."""

    path: Path
    image_convention: str
    obs_action_offset: int
    demos: tuple[Demo, ...]


def index_file(path: str | Path, conventions: Conventions | None = None) -> FileIndex:
    """Read and check everything but the pictures; pictures that are no uint8 are looked through for their range.

    Raises:
        InputError: the file, or the first dataset that cannot be used, with the reason.
        MissingExtra: h5py is not installed.
    """
    path, wanted = Path(path), conventions or Conventions()
    with reading(path) as file:
        data = file.get("data")
        if data is None or isinstance(data, h5py().Dataset):
            found = f"the groups {', '.join(sorted(file)[:5]) or 'none'}"
            raise InputError(path, found=found, expected=EXPECTED, fix=FIX)
        names = sorted((name for name in data if re.fullmatch(r"demo_\d+", name)), key=lambda name: int(name[5:]))
        if not names:
            raise InputError(f"{path}: data", found="no demonstrations", expected=EXPECTED, fix=FIX)
        attributes = dict(data.attrs)
        convention = _text(attributes.get(layout.CONVENTION, DEFAULT))
        recorded = attributes.get(layout.OFFSET, 1 if "env_args" in attributes else 0)
        if wanted.image_convention is None:
            check_convention(convention, f"{path}: data.{layout.CONVENTION}")
        if wanted.obs_action_offset is None:
            _check_offset(recorded, f"{path}: data.{layout.OFFSET}")
        demos = tuple(_demo(data[name], name, attributes, path) for name in names)
    offset = int(recorded) if wanted.obs_action_offset is None else wanted.obs_action_offset
    return FileIndex(path, wanted.image_convention or convention, offset, demos)


def as_uint8(pictures: np.ndarray, where: str) -> np.ndarray:
    """Pictures as uint8; floats in [0, 1] are scaled, other whole numbers kept.

    Raises:
        InputError: a value that is out of range, or NaN.
    """
    if pictures.dtype == np.uint8:
        return pictures
    most = 1 if pictures.dtype.kind == "f" else 255
    if not (pictures.min() >= 0 and pictures.max() <= most):
        raise InputError(
            where, found=f"values from {pictures.min()} to {pictures.max()}", expected=f"0 to {most}, or uint8",
            fix="Store pictures as uint8, not normalised.",
        )  # fmt: skip
    return (pictures * 255 + 0.5).astype(np.uint8) if most == 1 else pictures.astype(np.uint8)


def _check_offset(value: Any, where: str) -> None:
    if value not in (0, 1):
        fix = "Give 0 (observation before its action) or 1 (after it)."
        raise InputError(where, found=value, expected="0 or 1", fix=fix)


def _demo(group: Group, name: str, data: Mapping[str, Any], path: Path) -> Demo:
    where = f"{path}: data/{name}"
    if "actions" not in group or "obs" not in group:
        missing = "actions" if "actions" not in group else "obs"
        raise InputError(where, found=f"no {missing}", expected="actions and obs", fix=FIX)
    obs = group["obs"]
    actions = numbers(group, "actions", ACTION_DIMS, where)[:, :ACTION_DIMS].astype(np.float32)
    _check_gripper(actions[:, 6], f"{where}/actions")
    image_keys, sizes = {}, {}
    lengths = {"actions": len(actions)}
    for view in VIEWS:
        key = find(obs, layout.IMAGE_KEYS[view])
        if key is not None:
            shape = _check_pictures(obs, key, f"{where}/obs")
            image_keys[view], sizes[view], lengths[key] = key, (shape[1], shape[2]), shape[0]
    if not image_keys:
        expected = " or ".join(keys[0] for keys in layout.IMAGE_KEYS.values())
        raise InputError(f"{where}/obs", found="no pictures", expected=expected, fix=FIX)
    rest = _robot(group, obs, where)
    lengths |= {key: len(value) for key, value in rest.items() if value is not None}
    length = min(lengths.values())
    if length < max(lengths.values()):
        shortest = min(lengths, key=lambda key: lengths[key])
        warnings.warn(f"{where}: {shortest} has {length} rows, others more; the first {length} are used", stacklevel=4)
    depth_keys = {
        view: key for view, key in layout.DEPTH_KEYS.items() if key in obs and view in image_keys
        and _check_depth(obs, key, f"{where}/obs", (length, *sizes[view]))
    }  # fmt: skip
    tracks = {view: track for view in image_keys if (track := _track(obs, view, length, f"{where}/obs")) is not None}
    return Demo(
        name=name,
        instruction=instruction_of(data, {**texts(group, KEYS), **group.attrs}, path, where),
        actions=actions[:length],
        sizes=sizes, image_keys=image_keys, depth_keys=depth_keys, cameras=tracks,
        attributes={key: value for key, value in map(_attribute, group.attrs.items()) if value is not None},
        **{key: None if value is None else value[:length] for key, value in rest.items()},
    )  # fmt: skip


def _robot(group: Group, obs: Group, where: str) -> dict[str, np.ndarray | None]:
    """State of the hand, from wherever the file has it, and what else has a row for each moment."""
    found: dict[str, np.ndarray | None] = {}
    for name, keys, columns in (
        ("ee_pos", layout.EE_POS_KEYS, 3), ("ee_ori", layout.EE_ORI_KEYS, 3), ("gripper", layout.GRIPPER_KEYS, 2)
    ):  # fmt: skip
        key = find(obs, keys)
        found[name] = None if key is None else numbers(obs, key, columns, f"{where}/obs")[:, :columns]
    if "ee_states" in obs and (found["ee_pos"] is None or found["ee_ori"] is None):
        both = numbers(obs, "ee_states", 6, f"{where}/obs")
        found["ee_pos"], found["ee_ori"] = both[:, :3], both[:, 3:6]
    if "robot_states" in group and any(value is None for value in found.values()):
        robot = numbers(group, "robot_states", 9, where)
        spare = {"gripper": robot[:, :2], "ee_pos": robot[:, 2:5], "ee_ori": to_axis_angle(robot[:, 5:9])}
        found = {key: spare[key] if value is None else value for key, value in found.items()}
    if "executed_actions" in group:
        executed = numbers(group, "executed_actions", ACTION_DIMS, where)[:, :ACTION_DIMS]
    else:
        executed = None
    states = numbers(group, "states", None, where) if "states" in group else None
    result = {key: None if value is None else value.astype(np.float32) for key, value in found.items()}
    return {**result, "executed": executed, "states": states}  # float64: a replay needs every bit


def _check_gripper(values: np.ndarray, where: str) -> None:
    """-1 opens and +1 closes. Files of other makers hold 0 and 1, with the meanings swapped: not to be guessed."""
    if not np.isin(values, (-1.0, 1.0)).all():
        odd = values[~np.isin(values, (-1.0, 1.0))][0]
        fix = "Convert the gripper column first (0 close, 1 open: take 1 - 2 g)."
        raise InputError(f"{where}, column 6", found=f"{odd:g}", expected="-1 (open) or +1 (close)", fix=fix)


def _check_pictures(obs: Group, key: str, where: str) -> tuple[int, ...]:
    expected = "pictures [T, H, W, 3], uint8 or floats in [0, 1]"
    data = checked(obs, key, where, rank=4, kinds="uif", expected=expected)
    if data.shape[3] != 3 or max(data.shape[1:3]) > MOST_EDGE:
        raise InputError(f"{where}/{key}", found=f"shape {data.shape}", expected=expected, fix=FIX)
    if data.dtype != np.uint8:
        for start in range(0, data.shape[0], _FRAMES_AT_ONCE):
            as_uint8(data[start : start + _FRAMES_AT_ONCE], f"{where}/{key}")
    return tuple(data.shape)


def _check_depth(obs: Group, key: str, where: str, shape: tuple[int, ...]) -> bool:
    """Whether a depth is in metres; LIBERO's own is a z-buffer without units, and is not used."""
    if _text(obs[key].attrs.get(layout.UNITS, "")) != layout.METRES:
        return False
    data = checked(obs, key, where, rank=4, kinds="f", expected="depth [T, H, W, 1]")
    if data.shape[0] < shape[0] or data.shape[1:] != (*shape[1:], 1):
        expected = f"shape {(*shape, 1)}, as the pictures"
        raise InputError(f"{where}/{key}", found=f"shape {data.shape}", expected=expected, fix=FIX)
    return True


def _track(obs: Group, view: str, length: int, where: str) -> CameraTrack | None:
    keys = (layout.K_KEYS[view], layout.POSE_KEYS[view])
    if not all(key in obs for key in keys):
        return None
    found = []
    for key, edge in zip(keys, (3, 4), strict=True):
        data = checked(obs, key, where, rank=3, kinds="f", expected=f"[T, {edge}, {edge}]")[:length]
        if data.shape != (length, edge, edge) or not np.isfinite(data).all():
            text = f"shape {data.shape}, or NaN"
            raise InputError(f"{where}/{key}", found=text, expected=f"finite [{length}, {edge}, {edge}]", fix=FIX)
        found.append(data.astype(np.float32))
    return CameraTrack(*found)


def _attribute(item: tuple[str, Any]) -> tuple[str, str | int | float | None]:
    """A small attribute in Python's own types; arrays and long texts, such as models in XML, are left out."""
    key, value = item
    if isinstance(value, bytes | str):
        return key, _text(value) if len(value) < 1000 else None
    if isinstance(value, bool | np.bool_ | int | np.integer):
        return key, int(value)
    return key, float(value) if isinstance(value, float | np.floating) else None


def _text(value: Any) -> str:
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else str(value)
