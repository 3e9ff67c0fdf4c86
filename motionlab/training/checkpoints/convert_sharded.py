"""Convert the sharded checkpoints of earlier versions, which `torch.distributed.checkpoint` wrote.

    python -m motionlab.training.checkpoints.convert_sharded runs/big/llama/checkpoints --trust-pickle

Their index, `.metadata`, is a pickle: reading it may run any program that its writer put in. Its digest is in a
file of the same folder, so whoever changed one could change the other. Convert only what you have written, or somebody
whom you would let run programs here. This is the only place of the package that reads a pickle.
"""

from __future__ import annotations

import secrets
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.checkpoint.state_dict_loader import load

from motionlab.errors import InputError
from motionlab.files.lock import IN_USE, locked
from motionlab.files.records import write_record
from motionlab.training.checkpoints.checkpoint import read_record, remove_unnamed
from motionlab.training.checkpoints.sharded import SUFFIX
from motionlab.training.checkpoints.sharded_parts import changed_files, refuse, write_parts
from motionlab.training.distributed import World


def convert(folder: str | Path) -> list[str]:
    """Convert every sharded checkpoint in `folder`, in one process; return the names of the new folders.

    Memory is needed for one whole checkpoint. Killed in the middle, the same call continues.

    Raises:
        InputError: no checkpoint, another process at work in the folder, or a file that is not as it was written.
    """
    folder = Path(folder)
    read_record(folder)  # is it a folder of checkpoints?
    made: dict[str, tuple[str, dict[str, str]]] = {}  # old folder -> new one, with the digests of its files
    with locked(folder.parent / IN_USE, say=print):  # of the training
        for path in sorted(folder.glob("*.json")):
            if path.stem != "last" and not path.stem.startswith("step-"):
                continue
            old, record = read_record(folder, path.stem)
            if ".metadata" not in record["sha256"]:
                continue
            if old.name not in made:
                new = f"{old.name.rpartition('-')[0]}-{secrets.token_hex(4)}{SUFFIX}"
                made[old.name] = new, write_parts(folder / new, read_pickled(old, record["sha256"]), World())
            new, digests = made[old.name]
            write_record(path, {**record, "tensors": new, "sha256": digests})
        remove_unnamed(folder, "last")
    return [new for new, _ in made.values()]


def read_pickled(path: Path, digests: Mapping[str, str]) -> dict[str, torch.Tensor]:
    """All tensors of an old folder as whole ones on the CPU. It unpickles `.metadata`.

    Raises:
        InputError: a file is missing or differs from its hash, or torch cannot read the folder.
    """
    refuse(path, changed_files(path, digests, sorted(digests)))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")  # that is what no_dist asks for
        entries = FileSystemReader(str(path)).read_metadata().state_dict_metadata
        state = {
            name: torch.empty(entry.size, dtype=entry.properties.dtype)
            for name, entry in entries.items()
            if isinstance(entry, TensorStorageMetadata)
        }
        load(state, checkpoint_id=str(path), no_dist=True)
    return state


def main(arguments: Sequence[str]) -> int:
    """The command; exit code 2 without the consent that it needs."""
    folders = [word for word in arguments if not word.startswith("-")]
    if len(folders) != 1 or set(arguments) - set(folders) != {"--trust-pickle"}:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        made = convert(folders[0])
    except InputError as error:
        print(f"convert_sharded: error: {error}", file=sys.stderr)
        return 2
    print(f"converted: {', '.join(made) or 'nothing, there was no pickled index'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
