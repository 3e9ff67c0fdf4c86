"""Text features as earlier versions kept them: one file with all of them, and an index with all captions.

    features-<hash>.safetensors   "states" float16 [tokens of all captions, dim]
    index.json                    format 2, identity, name and sha256 of the file above, captions, lengths

They were encoded in padded batches, so they may differ in the last bit of float16 from those of today.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from motionlab.errors import InputError
from motionlab.files import sha256
from motionlab.files.lock import IN_USE, locked
from motionlab.files.mapped import map_tensors
from motionlab.files.reading import refusing
from motionlab.files.records import read_record, write_record
from motionlab.files.tensors import require_finite
from motionlab.progress_bar import progress_kind, say
from motionlab.text.feature_folder import DELETE_FOLDER, INDEX, SHARDS, digest_of, new_shard, read_index
from motionlab.text.shard import FORMAT, unwritten_tensor, write_shard

FILES = "features-*.safetensors"
_LONGEST = 600.0  # seconds that another process may take
_AT_ONCE = 65_536  # captions


@dataclass(frozen=True)
class OldIndex:
    """The content of `index.json`."""

    format: int
    identity: dict[str, Any]
    file: str
    sha256: str
    captions: list[str]
    lengths: list[int]


def take_over(folder: Path) -> None:
    """Turn a folder of format 2 into one of today's. Nothing happens to any other folder.

    The old file is removed after the new ones are complete; after a kill it begins again.

    Raises:
        InputError: a folder that is damaged or cannot be written.
    """
    if not _is_old(folder):
        return
    with locked(folder / IN_USE, wait=_LONGEST):
        if not _is_old(folder):  # another process was faster
            return
        index = read_record(folder / INDEX, OldIndex, expected="an index", fix=DELETE_FOLDER)
        rows, old = _rows(folder, index), folder / Path(index.file).name
        for path in folder.glob(SHARDS):  # of a process that was killed here
            path.unlink()
        for start in range(0, len(rows), _AT_ONCE):
            some = slice(start, start + _AT_ONCE)
            write_shard(new_shard(folder), digest_of(index.identity), index.captions[some], rows[some])
        write_record(folder / INDEX, {"format": FORMAT, "identity": index.identity})
        old.unlink(missing_ok=True)
    text = f"{folder}: the text features of {len(rows):,} captions are kept in the format of today from now on"
    say(text, progress_kind(sys.stderr))


def verify_old(folder: Path) -> int:
    """Compare the features in a folder of format 2 with their digest; how many captions it holds.

    Raises:
        InputError: they are damaged.
    """
    return len(_rows(folder, read_record(folder / INDEX, OldIndex, expected="an index", fix=DELETE_FOLDER)))


def _is_old(folder: Path) -> bool:
    return (folder / INDEX).is_file() and read_index(folder).format == 2


def _rows(folder: Path, index: OldIndex) -> list[Tensor]:
    """The features of each caption, float16 `[l_i, dim]`, in a memory map."""
    path = folder / Path(index.file).name
    with refusing(path, expected="text features", fix=DELETE_FOLDER):  # a name may be longer than a system takes
        found = sha256(path)
    if found != index.sha256:
        raise InputError(
            path,
            found=f"{path.stat().st_size:,} bytes that are not what was saved",
            expected=f"a file with sha256 {index.sha256[:12]}...",
            fix=DELETE_FOLDER,
        )
    states = map_tensors(path, DELETE_FOLDER)[0].get("states", np.empty(0))
    captions, lengths, dim = index.captions, index.lengths, index.identity.get("dim")
    fits = states.dtype == np.float16 and states.shape == (sum(lengths), dim)
    if not fits or len(set(captions)) != len(captions) or len(captions) != len(lengths) or min(lengths, default=0) < 1:
        raise InputError(
            folder / INDEX,
            found=f"{len(captions)} captions with {sum(lengths)} tokens of width {dim}",
            expected=f"those of features of shape {list(states.shape)}",
            fix=DELETE_FOLDER,
        )
    rows = unwritten_tensor(states)
    require_finite({"states": rows}, path, DELETE_FOLDER)
    return list(rows.split(lengths))
