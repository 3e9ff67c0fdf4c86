"""`LiberoFrames`: every moment of some demonstrations, as a data set of torch.

Everything small (actions, states, cameras) is read and checked when the data set is made. Pictures are read when they
are asked for, through one open file in each process: HDF5 handles must not be shared between processes, so they are
left out when a data set is sent to a worker, and closed before the process is forked. A small set may stay in memory.

Observation t is paired with action t + `obs_action_offset` and those after it; see `libero/index.py`.
"""

from __future__ import annotations

import contextlib
import os
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from motionlab.errors import InputError
from motionlab.vla.batch import Batch, Frame, Labels, collate
from motionlab.vla.libero.hdf5 import open_file
from motionlab.vla.libero.index import Conventions, Demo, index_file
from motionlab.vla.libero.read import depth, images
from motionlab.vla.observation import POSE_DIMS, STATE_DIMS, VIEWS
from motionlab.vla.splits import split_episodes

__all__ = ["Batch", "Frame", "Labels", "LiberoFrames", "collate", "split_episodes"]

_open_sets: weakref.WeakSet[LiberoFrames] = weakref.WeakSet()


class LiberoFrames(Dataset[Frame]):
    """The moments of all episodes of some files, in their order.

    Args:
        files: in LIBERO's layout.
        views: names out of `VIEWS`, in the order of the second axis of a batch.
        horizon: actions after each observation, 1 or more.
        image_size: edge of the pictures in pixels; None: as stored, which then has to be the same everywhere.
        conventions: what is decided here instead of by the files.
        missing: "refuse" a file without one of the views or without the state of the hand, or "mask" such a view
            (zeros, `view_mask` False) and give zeros as such a state.
        in_memory: read all pictures now.

    Attributes:
        instructions: the sentence of each episode.
        episodes: numbers of the episodes that this data set takes its moments from.

    Raises:
        InputError: an argument out of range, or the first fault of a file.
        MissingExtra: h5py is not installed.
    """

    def __init__(
        self,
        files: Sequence[str | Path],
        views: Sequence[str] = VIEWS,
        horizon: int = 1,
        image_size: int | None = None,
        conventions: Conventions | None = None,
        missing: str = "refuse",
        in_memory: bool = False,
    ) -> None:
        _check_arguments(files, views, horizon, image_size, missing)
        self.views, self.horizon, self.image_size = tuple(views), horizon, image_size
        self._indices = [index_file(path, conventions) for path in files]
        self._demos = [(index, demo) for index in self._indices for demo in index.demos]
        lengths = [max(0, demo.length - index.obs_action_offset) for index, demo in self._demos]
        self._starts = np.concatenate([[0], np.cumsum(lengths)])  # of each episode, among all moments
        self._check_files(missing)
        self._states = [_state(demo) for _, demo in self._demos]
        self.instructions = [demo.instruction for _, demo in self._demos]
        self.episodes: tuple[int, ...] = tuple(range(len(self._demos)))
        self._moments = np.arange(self._starts[-1])
        self._files: dict[Path, Any] = {}
        self._process = os.getpid()
        self._kept = [self._read_all(number) for number in self.episodes] if in_memory else None
        self.close()

    def of_episodes(self, episodes: Sequence[int]) -> LiberoFrames:
        """A data set of some episodes, by their numbers. Nothing is read again.

        Raises:
            InputError: no episode, a number twice, or one that does not exist.
        """
        numbers = list(episodes)
        if not numbers or len(set(numbers)) != len(numbers) or not set(numbers) <= set(range(len(self._demos))):
            expected = f"different numbers from 0 to {len(self._demos) - 1}"
            raise InputError("episodes", found=str(numbers)[:100], expected=expected, fix="Split them again.")
        part = object.__new__(LiberoFrames)
        part.__dict__ = {**self.__dict__, "_files": {}, "episodes": tuple(numbers)}
        part._moments = np.concatenate([np.arange(self._starts[n], self._starts[n + 1]) for n in numbers])
        return part

    def __len__(self) -> int:
        return len(self._moments)

    def __getitem__(self, item: int) -> Frame:
        pictures, mask, geometry = self._look(*self._place(int(self._moments[item])))
        labels = self.labels(item)
        return Frame(
            images=pictures,
            view_mask=mask,
            instruction=labels.instruction,
            pose=labels.pose,
            gripper=labels.gripper,
            action_is_pad=labels.action_is_pad,
            state=labels.state,
            index=labels.index,
            **geometry,
        )

    def labels(self, item: int) -> Labels:
        """A moment without its pictures; no file is read for it."""
        moment = int(self._moments[item])
        number, row = self._place(moment)
        index, demo = self._demos[number]
        first = row + index.obs_action_offset
        rows = np.minimum(np.arange(first, first + self.horizon), demo.length - 1)
        actions = torch.from_numpy(demo.actions[rows])
        return Labels(
            instruction=demo.instruction,
            pose=actions[:, :POSE_DIMS],
            gripper=actions[:, POSE_DIMS:],
            action_is_pad=torch.from_numpy(np.arange(first, first + self.horizon) >= demo.length),
            state=torch.from_numpy(self._states[number][row]),
            index=moment,
        )

    def actions(self) -> np.ndarray:
        """`[N, 7]` float32: the first action of every moment; for fitting a normaliser, without reading a picture."""
        return np.stack([demo.actions[row] for demo, row in self._first_actions()])

    def executed(self) -> np.ndarray | None:
        """`[N, 7]` float32: what was carried out where `actions` has the labels; None if an episode does not say it."""
        places = self._first_actions()
        rows = [demo.executed[row] for demo, row in places if demo.executed is not None]
        return np.stack(rows).astype(np.float32) if len(rows) == len(places) else None

    def close(self) -> None:
        """Close the files; they are opened again when a picture is asked for."""
        if self._process == os.getpid():
            for file in self._files.values():
                with contextlib.suppress(Exception):  # the interpreter may be on its way out
                    file.close()
        self._files = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_files": {}}

    def _place(self, moment: int) -> tuple[int, int]:
        """Number of the episode, and row in it, of a moment."""
        number = int(np.searchsorted(self._starts, moment, side="right")) - 1
        return number, moment - int(self._starts[number])

    def _first_actions(self) -> list[tuple[Demo, int]]:
        """The episode, and the row in it, of the first action of every moment."""
        found = []
        for moment in self._moments:
            number, row = self._place(int(moment))
            index, demo = self._demos[number]
            found.append((demo, row + index.obs_action_offset))
        return found

    def _file(self, path: Path) -> Any:
        if self._process != os.getpid():  # in a worker: what was open belongs to another process
            self._files, self._process = {}, os.getpid()
        if path not in self._files:
            self._files[path] = open_file(path)
            _open_sets.add(self)
        return self._files[path]

    def _look(self, number: int, row: int) -> tuple[Tensor, Tensor, dict[str, Tensor | None]]:
        """Pictures, mask and geometry of a moment."""
        _, demo = self._demos[number]
        kept = self._kept[number] if self._kept is not None else None
        pictures, depths = self._read(number, slice(row, row + 1)) if kept is None else ({}, {})
        if kept is not None:
            pictures, depths = ({view: stack[row : row + 1] for view, stack in part.items()} for part in kept)
        mask = torch.tensor([view in pictures for view in self.views])
        size = next(iter(pictures.values())).shape[1:3]
        empty = np.zeros((*size, 3), dtype=np.uint8)
        stacked = np.stack([pictures[view][0] if view in pictures else empty for view in self.views])
        images = torch.from_numpy(stacked).permute(0, 3, 1, 2).contiguous()  # [S, 3, H, W]
        geometry: dict[str, Tensor | None] = dict.fromkeys(("depth", "K", "world_from_camera"))
        if all(view in depths and view in demo.cameras for view in self.views):
            K = torch.from_numpy(np.stack([demo.cameras[view].K[row] for view in self.views]))
            K[:, :2] *= size[0] / demo.sizes[self.views[0]][0]
            geometry = {
                "depth": torch.from_numpy(np.stack([depths[view][0] for view in self.views])).float(),
                "K": K,
                "world_from_camera": torch.from_numpy(
                    np.stack([demo.cameras[view].world_from_camera[row] for view in self.views])
                ),
            }
        return images, mask, geometry

    def _read(self, number: int, rows: slice) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Pictures `uint8 [n, H, W, 3]` and depths `[n, H, W]` of some rows of an episode, in the wanted size."""
        index, demo = self._demos[number]
        file = self._file(index.path)
        seen = {view: images(file, index, demo, view, rows) for view in self.views if view in demo.image_keys}
        depths = {view: depth(file, index, demo, view, rows) for view in self.views if view in demo.depth_keys}
        if self.image_size is not None:
            seen = {view: _resized(stack, self.image_size) for view, stack in seen.items()}
            depths = {view: _thinned(stack, self.image_size) for view, stack in depths.items()}
        return seen, depths

    def _read_all(self, number: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        pictures, depths = self._read(number, slice(0, self._demos[number][1].length))
        return pictures, {view: stack.astype(np.float16) for view, stack in depths.items()}

    def _check_files(self, missing: str) -> None:
        """Raise InputError where a view, the state of the hand, or the size of a picture is not as wanted."""
        first: tuple[int, int] | None = None
        for index, demo in self._demos:
            where = f"{index.path}: data/{demo.name}"
            if demo.length <= index.obs_action_offset:
                found = f"{demo.length} rows with obs_action_offset {index.obs_action_offset}"
                raise InputError(where, found=found, expected="a pair at least", fix="Leave this demonstration out.")
            _check_complete(demo, self.views, where, missing)
            for view in (view for view in self.views if view in demo.sizes):
                size = demo.sizes[view]
                first = first or size
                place = f"{where}/obs/{demo.image_keys[view]}"
                if size[0] != size[1]:
                    raise InputError(place, found=f"{size} pixels", expected="square pictures", fix="Crop them first.")
                if self.image_size is None and size != first:
                    fix = "Give image_size, or files of one size."
                    raise InputError(place, found=f"{size} pixels", expected=f"{first}, as before", fix=fix)


def _check_complete(demo: Demo, views: Sequence[str], where: str, missing: str) -> None:
    absent = [view for view in views if view not in demo.image_keys]
    if absent and (missing == "refuse" or len(absent) == len(views)):
        fix = 'Leave this view out (vla.views); LiberoFrames(missing="mask") takes the file as it is.'
        raise InputError(f"{where}/obs", found=f"no pictures of {absent[0]}", expected=", ".join(views), fix=fix)
    state = {"ee_pos": demo.ee_pos, "ee_ori": demo.ee_ori, "gripper_states": demo.gripper}
    for key, value in state.items():
        if value is None and missing == "refuse":
            fix = 'Add it; LiberoFrames(missing="mask") takes zeros in its place.'
            raise InputError(f"{where}/obs", found=f"no {key}", expected="the state of the hand", fix=fix)


def _check_arguments(
    files: Sequence[str | Path], views: Sequence[str], horizon: int, image_size: int | None, missing: str
) -> None:
    if isinstance(files, str) or not files:
        raise InputError("files", found=files or "none", expected="a list of files", fix="Name at least one file.")
    if not views or len(set(views)) != len(views) or not set(views) <= set(VIEWS):
        raise InputError("views", found=list(views), expected=f"some of {', '.join(VIEWS)}", fix="Change the list.")
    if horizon < 1:
        raise InputError("horizon", found=horizon, expected="1 or more", fix="Choose how many actions to predict.")
    if image_size is not None and not 8 <= image_size <= 4096:
        raise InputError("image_size", found=image_size, expected="8 to 4096", fix="Choose another size.")
    if missing not in ("refuse", "mask"):
        raise InputError("missing", found=repr(missing), expected="refuse or mask", fix="Choose one of them.")


def _state(demo: Demo) -> np.ndarray:
    """`[T, 8]` float32; zeros for what the file does not have (which was allowed, then)."""
    parts = ((demo.ee_pos, 3), (demo.ee_ori, 3), (demo.gripper, 2))
    columns = [np.zeros((demo.length, width), np.float32) if part is None else part for part, width in parts]
    state = np.concatenate(columns, axis=1)
    assert state.shape[1] == STATE_DIMS
    return state


def _resized(pictures: np.ndarray, size: int) -> np.ndarray:
    """`[n, H, W, 3] -> [n, size, size, 3]` uint8, by areas when it gets smaller."""
    if pictures.shape[1] == size:
        return pictures
    values = torch.from_numpy(pictures).permute(0, 3, 1, 2).float()
    scaled = F.interpolate(values, (size, size), mode="bilinear", antialias=True, align_corners=False)
    return scaled.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()


def _thinned(depths: np.ndarray, size: int) -> np.ndarray:
    """`[n, H, W] -> [n, size, size]`, the nearest pixel: a mean over an edge would be a place where nothing is."""
    if depths.shape[1] == size:
        return depths
    values = torch.from_numpy(depths)[:, None]
    return F.interpolate(values, (size, size), mode="nearest-exact")[:, 0].numpy()


def _close_all() -> None:
    for frames in list(_open_sets):
        frames.close()


if hasattr(os, "register_at_fork"):  # a forked worker would inherit open handles of HDF5, and its locks
    os.register_at_fork(before=_close_all)
