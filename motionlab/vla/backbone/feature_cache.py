"""Features of a frozen backbone, computed once for each frame and kept on disk as float16.

A frozen backbone says the same about a frame in every epoch. Computed once, a training step of the policy costs only
what stands behind it, about a fifth of what the forward pass of TinyVGGT alone would add. The name of the file is a
digest of all that the numbers depend on (weights, settings, frames), so features of other weights are never read by
mistake. The file is a memory map: a batch reads its rows only.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import psutil
import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.files.mapped import map_tensors
from motionlab.files.tensors import write_tensors
from motionlab.runtime import evaluating
from motionlab.vla.backbone.features import FeatureReader, Features
from motionlab.vla.backbone.saved import weights_digest

FORMAT = 1
_REMOVE = "Remove it; it is made again."


class Frames(Protocol):
    """Frames by number."""

    @property
    def digest(self) -> str:
        """Changes with the frames or their order."""
        ...

    def __len__(self) -> int: ...

    def images(self, index: Sequence[int], /) -> tuple[Tensor, Tensor]:
        """Images `[B, S, 3, H, W]` in [0, 1] and the view mask, bool `[B, S]`."""
        ...


class FeatureCache:
    """The features of N frames in a file, read by number."""

    def __init__(self, path: Path, length: int) -> None:
        self.path = path
        arrays, _ = map_tensors(path, fix=_REMOVE)
        wanted = ("grid", "special", "pose_enc", "points", "view_mask")
        if set(arrays) != set(wanted) or any(len(array) != length for array in arrays.values()):
            raise InputError(path, found="other features", expected=f"features of {length} frames", fix=_REMOVE)
        self._arrays = arrays

    def __len__(self) -> int:
        return len(self._arrays["grid"])

    def rows(self, index: Sequence[int] | Tensor) -> Features:
        """Some frames, float32, on the CPU."""
        at = np.asarray(index, dtype=np.int64)
        found = {name: torch.from_numpy(array[at]) for name, array in self._arrays.items()}  # a copy of these rows
        mask = found.pop("view_mask").bool()
        return Features(**{name: value.float() for name, value in found.items()}, view_mask=mask)

    def batches(self, size: int = 256) -> Iterator[Features]:
        """All frames in their order."""
        for start in range(0, len(self), size):
            yield self.rows(range(start, min(start + size, len(self))))


def feature_cache(
    folder: str | Path, reader: FeatureReader, frames: Frames, *, batch_size: int = 64, device: str = "cpu"
) -> FeatureCache:
    """The features of all frames, computed now unless a file in the folder has them.

    Args:
        batch_size: frames that the backbone sees at a time.

    Raises:
        InputError: no frames, features that float16 or the memory cannot hold, or a folder that cannot be written.
    """
    if not len(frames):
        raise InputError("frames", found="none", expected="1 or more", fix="Check the data.")
    path = Path(folder) / f"features-{feature_key(reader, frames)[:16]}.safetensors"
    if not path.is_file():
        parts: dict[str, list[Tensor]] = {}
        with evaluating(reader), torch.no_grad():
            for start in range(0, len(frames), batch_size):
                images, view_mask = frames.images(range(start, min(start + batch_size, len(frames))))
                features = reader(images.to(device), view_mask.to(device))
                if start == 0:
                    _check_room(features, len(frames))
                for name, value in features.tensors().items():
                    parts.setdefault(name, []).append(_packed(value, name, start))
        write_tensors(path, parts, {"format": FORMAT, "settings": reader.settings})
    return FeatureCache(path, len(frames))


def feature_key(reader: FeatureReader, frames: Frames) -> str:
    """sha256 of all that the features depend on."""
    parts = [FORMAT, weights_digest(reader), reader.settings, frames.digest, len(frames)]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _check_room(features: Features, frames: int) -> None:
    """Raise InputError, at the first batch and not after hours, where memory cannot hold the features of all frames."""
    one = sum(value[0].numel() * (1 if value.dtype == torch.bool else 2) for value in features.tensors().values())
    free = psutil.virtual_memory().available
    if one * frames > free:
        raise InputError(
            "features", found=f"{one * frames / 2**30:.1f} GiB for {frames:,} frames",
            expected=f"at most the {free / 2**30:.1f} GiB of memory that are free",
            fix="Take the mean over neighbouring patches (vla.grid_side, such as 8), or fewer demonstrations.",
        )  # fmt: skip


def _packed(value: Tensor, name: str, start: int) -> Tensor:
    if value.dtype == torch.bool:
        return value.to(torch.uint8).cpu()
    bad = ~(value.abs() <= torch.finfo(torch.float16).max)  # True for NaN as well
    if bool(bad.any()):
        row = int(bad.flatten(1).any(1).nonzero()[0])
        raise InputError(
            f"features of frame {start + row}: {name}", found="numbers that float16 cannot hold",
            expected="finite numbers below 65,504", fix="Check the backbone's weights and the images.",
        )  # fmt: skip
    return value.half().cpu()
