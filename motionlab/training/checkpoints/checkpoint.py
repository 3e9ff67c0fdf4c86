"""A checkpoint: a JSON file that names a tensor file and its hash.

Two files cannot be renamed at the same instant, so one of them has to be the commit. The tensors go first, under a
name that no older checkpoint uses. Then the JSON is replaced, in one rename, and from then on the new checkpoint
is the checkpoint. Killed before, the old JSON still names the old tensors; the new ones are litter, which the next
save sweeps away.

    checkpoints/last.json                            step, data position, random generators, scaler, settings, versions
    checkpoints/last-00001200-9f86d081.safetensors   model.*, optimizer.*, ema.*, constant.*
    checkpoints/step-00001000.json                   an older one, when more than one is kept; it names its tensor file
    checkpoints/best.json, best-....safetensors      only the model (its averaged weights, if there are any)
"""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from motionlab.errors import InputError
from motionlab.files import sha256, write_text
from motionlab.training.checkpoints.tensor_files import load_into, read_tensors, write_tensors

FORMAT = 1


def has_checkpoint(folder: str | Path, name: str = "last") -> bool:
    """Whether `folder` holds a committed checkpoint of this name."""
    return (Path(folder) / f"{name}.json").is_file()


def write_checkpoint(
    folder: str | Path,
    name: str,
    step: int,
    tensors: Mapping[str, torch.Tensor],
    state: Mapping[str, Any],
    keep: int = 1,
) -> None:
    """Replace the checkpoint `name` as one unit.

    Args:
        keep: the newest that are kept, as `step-<number>`; with 1 there is no other name than `name`.

    Raises:
        InputError: the disk is full or the folder cannot be written; the older checkpoints are still whole.
    """
    folder = Path(folder)
    # Random, because a resumed run reaches the same step again and must not write over committed tensors.
    file = folder / f"{name}-{step:08d}-{secrets.token_hex(4)}.safetensors"
    try:
        commit(folder, name, step, file.name, write_tensors(file, tensors, {}), state, keep)
    except BaseException:
        if not any(_tensors_of(record) == file.name for record in folder.glob("*.json")):
            file.unlink(missing_ok=True)
        raise


def commit(
    folder: Path,
    name: str,
    step: int,
    tensors: str,
    digest: str | Mapping[str, str],
    state: Mapping[str, Any],
    keep: int = 1,
) -> None:
    """Make what was written as `tensors` the checkpoint `name`, and remove what no checkpoint names any more.

    Args:
        tensors: the file, or the folder of a sharded checkpoint, within `folder`.
        digest: its sha256, or one for each file of the folder.
    """
    text = json.dumps({"format": FORMAT, "step": step, "tensors": tensors, "sha256": digest, **state}, indent=1)
    if keep > 1:
        write_text(folder / f"step-{step:08d}.json", text + "\n")
    write_text(folder / f"{name}.json", text + "\n")
    numbered = sorted(folder.glob("step-*.json")) if name == "last" else []
    newer = [path for path in numbered if path.stem > f"step-{step:08d}"]  # of a run that was rolled back
    older = [path for path in numbered if path not in newer]
    for path in [*newer, *older[: -keep if keep > 1 else None]]:
        path.unlink(missing_ok=True)
    _sweep(folder, name)


def roll_back(folder: str | Path, step: int) -> None:
    """Make an older checkpoint the one that a run resumes from; newer ones are removed by the next save.

    Raises:
        InputError: it is not there.
    """
    older = Path(folder) / f"step-{step:08d}.json"
    if not older.is_file():
        steps = [int(path.stem.removeprefix("step-")) for path in sorted(Path(folder).glob("step-*.json"))]
        raise InputError(folder, found=f"no checkpoint of step {step}", expected=f"one of {steps}", fix="Choose one.")
    write_text(Path(folder) / "last.json", older.read_text(encoding="utf-8"))


def read_checkpoint(folder: str | Path, name: str = "last") -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Tensors (on the CPU, whole) and the JSON record of a checkpoint, sharded or not.

    Raises:
        InputError: there is none, the JSON cannot be read, or a tensor file is missing or differs from its hash.
    """
    file, record = read_record(folder, name)
    digest = record["sha256"]
    if isinstance(digest, dict):
        from motionlab.training.checkpoints.sharded_parts import (
            read_parts,  # loads what a plain checkpoint has no use for
        )

        return read_parts(file, digest), record
    if not file.is_file() or sha256(file) != digest:
        found = "different bytes" if file.is_file() else "no file"
        raise InputError(file, found=found, expected=f"sha256 {digest[:12]}...", fix="Copy the checkpoint again.")
    return read_tensors(file)[0], record


def read_record(folder: str | Path, name: str = "last") -> tuple[Path, dict[str, Any]]:
    """The path of the tensors of a checkpoint (a folder when it is sharded) and its JSON record.

    Raises:
        InputError: there is none, or the JSON cannot be read.
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
        _, version = record["sha256"], record["format"]
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
    return file, record


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


def remove_checkpoints(folder: str | Path) -> None:
    """Remove all checkpoints and their litter. The JSON goes first: without it, no tensor file counts."""
    folder = Path(folder)
    for path in [*folder.glob("step-*.json"), folder / "last.json", folder / "best.json"]:
        path.unlink(missing_ok=True)
    for name in ("last", "best"):
        _sweep(folder, name)


def _tensors_of(record: Path) -> str | None:
    try:
        value = json.loads(record.read_text(encoding="utf-8"))["tensors"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return str(value)


def _sweep(folder: Path, name: str) -> None:
    """Remove tensors that no checkpoint names any more, and temporary files of killed saves."""
    kept = {_tensors_of(record) for record in folder.glob("*.json")}
    for pattern in (f"{name}-*.safetensors", f".{name}-*.safetensors", f".{name}.*.json", ".step-*.json"):
        for path in folder.glob(pattern):
            if path.name not in kept:
                path.unlink(missing_ok=True)
    for path in folder.glob(f"{name}-*.dcp"):
        if path.name not in kept:
            shutil.rmtree(path, ignore_errors=True)
