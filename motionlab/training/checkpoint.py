"""A checkpoint: a JSON file that names a tensor file and its hash.

Two files cannot be renamed at the same instant, so one of them has to be the commit. The tensors go first, under a
name that no older checkpoint uses. Then the JSON is replaced, in one rename, and from that moment the new checkpoint
is the checkpoint. Killed before, the old JSON still names the old tensors; the new ones are litter, which the next
save sweeps away.

    checkpoints/last.json                            step, data position, random generators, settings, versions
    checkpoints/last-00001200-9f86d081.safetensors   model.*, optimizer.*, scaler state in the JSON
    checkpoints/best.json, best-....safetensors      the model alone
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from motionlab.errors import InputError
from motionlab.files import sha256, write_text
from motionlab.training.weights import load_into, read_tensors, write_tensors

FORMAT = 1


def has_checkpoint(folder: str | Path, name: str = "last") -> bool:
    """Whether `folder` holds a committed checkpoint of this name."""
    return (Path(folder) / f"{name}.json").is_file()


def write_checkpoint(
    folder: str | Path, name: str, step: int, tensors: Mapping[str, torch.Tensor], state: Mapping[str, Any]
) -> None:
    """Replace the checkpoint `name` as one unit.

    Raises:
        InputError: the disk is full or the folder cannot be written; the older checkpoint is still whole.
    """
    folder = Path(folder)
    # Random, because a resumed run reaches the same step again and must not write over committed tensors.
    file = folder / f"{name}-{step:08d}-{secrets.token_hex(4)}.safetensors"
    try:
        write_tensors(file, tensors, {})
        record = {"format": FORMAT, "step": step, "tensors": file.name, "sha256": sha256(file), **state}
        write_text(folder / f"{name}.json", json.dumps(record, indent=1) + "\n")
    except BaseException:
        file.unlink(missing_ok=True)
        raise
    _sweep(folder, name, keep=file.name)


def read_checkpoint(folder: str | Path, name: str = "last") -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Tensors (on the CPU) and the JSON record of a checkpoint.

    Raises:
        InputError: there is none, the JSON cannot be read, or the tensor file is missing or differs from its hash.
    """
    path = Path(folder) / f"{name}.json"
    if not path.is_file():
        raise InputError(
            folder,
            found=f"no {name}.json",
            expected="a folder with a checkpoint",
            fix="Train first, or name a folder where a run saved one.",
        )
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        file = path.parent / record["tensors"]
        digest, version = record["sha256"], record["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            path, found=f"{type(error).__name__}: {error}", expected="a checkpoint record", fix="Restore the file."
        ) from error
    if version != FORMAT:
        raise InputError(
            path,
            found=f"format {version}",
            expected=f"format {FORMAT}",
            fix="Use the version of motionlab that wrote it.",
        )
    if not file.is_file() or sha256(file) != digest:
        found = "different bytes" if file.is_file() else "no file"
        raise InputError(file, found=found, expected=f"sha256 {digest[:12]}...", fix="Copy the checkpoint again.")
    return read_tensors(file)[0], record


def load_weights(model: torch.nn.Module, folder: str | Path, name: str = "best") -> None:
    """Put the weights of a checkpoint into `model`, for inference.

    Raises:
        InputError: no such checkpoint, or one of another architecture.
    """
    tensors, record = read_checkpoint(folder, name)
    load_into(model, model_tensors(tensors), where=Path(folder) / record["tensors"])


def model_tensors(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The state dict of the model within the tensors of a checkpoint."""
    return {key.removeprefix("model."): value for key, value in tensors.items() if key.startswith("model.")}


def remove_checkpoint(folder: str | Path, name: str) -> None:
    """Remove a checkpoint and its litter. The JSON goes first: without it, no tensor file counts."""
    (Path(folder) / f"{name}.json").unlink(missing_ok=True)
    _sweep(Path(folder), name, keep="")


def _sweep(folder: Path, name: str, keep: str) -> None:
    """Remove tensor files of older checkpoints and temporary files of killed saves."""
    for pattern in (f"{name}-*.safetensors", f".{name}-*.safetensors", f".{name}.*.json"):
        for path in folder.glob(pattern):
            if path.name != keep:
                path.unlink(missing_ok=True)
