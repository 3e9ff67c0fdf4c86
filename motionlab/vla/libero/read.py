"""Whole demonstrations, and single pictures, out of files in LIBERO's layout. Pictures come upright."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from motionlab.vla.libero.hdf5 import Group, reading
from motionlab.vla.libero.index import Conventions, Demo, FileIndex, as_uint8, index_file
from motionlab.vla.libero.layout import Episode
from motionlab.vla.libero.orientation import upright


def read_libero(path: str | Path, conventions: Conventions | None = None) -> list[Episode]:
    """All demonstrations of a file with their pictures, in the order of their numbers.

    Rows are as in the file: an `obs_action_offset` is applied by `LiberoFrames`, not here.

    Raises:
        InputError: as `index_file`.
        MissingExtra: h5py is not installed.
    """
    index = index_file(path, conventions)
    with reading(index.path) as file:
        return [read_episode(file, index, demo) for demo in index.demos]


def read_episode(file: Group, index: FileIndex, demo: Demo) -> Episode:
    """One demonstration out of an open file."""
    rows = slice(0, demo.length)
    return Episode(
        instruction=demo.instruction,
        actions=demo.actions,
        images={view: images(file, index, demo, view, rows) for view in demo.image_keys},
        ee_pos=demo.ee_pos,
        ee_ori=demo.ee_ori,
        gripper=demo.gripper,
        depth={view: depth(file, index, demo, view, rows) for view in demo.depth_keys},
        cameras=demo.cameras,
        executed=demo.executed,
        states=demo.states,
        attributes=demo.attributes,
    )


def images(file: Group, index: FileIndex, demo: Demo, view: str, rows: slice) -> np.ndarray:
    """`uint8 [n, H, W, 3]`, upright: some rows of a view."""
    key = f"data/{demo.name}/obs/{demo.image_keys[view]}"
    stored = as_uint8(file[key][rows], f"{index.path}: {key}")
    return np.ascontiguousarray(upright(stored, index.image_convention))


def depth(file: Group, index: FileIndex, demo: Demo, view: str, rows: slice) -> np.ndarray:
    """`float32 [n, H, W]` metres, upright."""
    stored = file[f"data/{demo.name}/obs/{demo.depth_keys[view]}"][rows]
    return np.ascontiguousarray(upright(stored, index.image_convention)[..., 0], dtype=np.float32)
