"""The files of a sharded checkpoint: one per process, and an index that says where each part of each tensor is.

They are written and read by `torch.distributed.checkpoint`. `checkpoint.py` says which folder is a checkpoint.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from motionlab.errors import InputError
from motionlab.files import sha256
from motionlab.training.distributed import World


def write_parts(target: Path, tensors: Mapping[str, torch.Tensor], world: World) -> dict[str, str]:
    """Write the folder and return the hash of every file. Each process hashes what it wrote itself."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="torch.distributed is disabled")  # a world of one
            save(dict(tensors), checkpoint_id=str(target), no_dist=world.size == 1)
    except Exception as error:  # an OSError of any process, wrapped by torch
        if world.is_first:
            shutil.rmtree(target, ignore_errors=True)
        raise InputError(
            target,
            found=f"{str(error).splitlines()[0]} while writing",
            expected="a folder that can be written, with free space",
            fix="Free some space or choose another folder; the checkpoints before this one are whole.",
        ) from error
    mine = {path.name: sha256(path) for path in target.glob(f"__{world.rank}_*")}
    if world.is_first:
        mine[".metadata"] = sha256(target / ".metadata")
    return {name: digest for part in world.gather(mine) for name, digest in part.items()}


def read_parts(path: Path, digests: Mapping[str, str]) -> dict[str, torch.Tensor]:
    """All tensors of a sharded checkpoint as whole ones on the CPU; one process is enough.

    Raises:
        InputError: a file is missing or differs from its hash.
    """
    refuse(path, changed_files(path, digests, sorted(digests)))
    state = {key: torch.empty(value.size, dtype=value.properties.dtype) for key, value in tensors_in(path).items()}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")  # that is what no_dist asks for
        load(state, checkpoint_id=str(path), no_dist=True)
    return state


def tensors_in(path: Path) -> dict[str, TensorStorageMetadata]:
    """Shape and dtype of every tensor in the folder `path`, from its index."""
    entries = FileSystemReader(str(path)).read_metadata().state_dict_metadata
    return {key: value for key, value in entries.items() if isinstance(value, TensorStorageMetadata)}


def changed_files(path: Path, digests: Mapping[str, str], files: Sequence[str]) -> list[str]:
    """Those of `files` in the folder `path` that are missing or differ from their hash."""
    return [file for file in files if not (path / file).is_file() or sha256(path / file) != digests[file]]


def refuse(path: Path, wrong: Sequence[str]) -> None:
    """Raise `InputError` when there are `wrong` files in the folder `path`."""
    if wrong:
        raise InputError(
            path, found=f"{wrong[0]} missing or changed", expected="the files as written", fix="Copy the folder again."
        )
