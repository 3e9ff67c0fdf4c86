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

import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from motionlab.errors import InputError
from motionlab.files import write_text
from motionlab.files.reading import read_text
from motionlab.files.records import parse_record, record_text, typed
from motionlab.files.tensors import read_tensors, write_tensors
from motionlab.training.checkpoints.tensor_files import load_into

FORMAT = 1
RESTORE = "Restore the file, or remove the folder of the training to begin it anew."


@dataclass(frozen=True)
class Commit:
    """The fields that every record has; `state.py` has the others."""

    format: int
    step: int
    tensors: str  # a file next to the record, or the folder of a sharded checkpoint
    sha256: str | dict[str, str]  # its digest, or one for each file of the folder


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
        digest: what `write_tensors` returned, or a sha256 for each file of the folder.
    """
    text = record_text({"format": FORMAT, "step": step, "tensors": tensors, "sha256": digest, **state})
    if keep > 1:
        write_text(folder / f"step-{step:08d}.json", text)
    write_text(folder / f"{name}.json", text)
    numbered = sorted(folder.glob("step-*.json")) if name == "last" else []
    newer = [path for path in numbered if path.stem > f"step-{step:08d}"]  # of a run that was rolled back
    older = [path for path in numbered if path not in newer]
    for path in [*newer, *older[: -keep if keep > 1 else None]]:
        path.unlink(missing_ok=True)
    remove_unnamed(folder, name)


def roll_back(folder: str | Path, step: int) -> None:
    """Make an older checkpoint the one that a run resumes from; newer ones are removed by the next save.

    Raises:
        InputError: it is not there.
    """
    older = Path(folder) / f"step-{step:08d}.json"
    if not older.is_file():
        steps = [path.stem.removeprefix("step-").lstrip("0") for path in sorted(Path(folder).glob("step-*.json"))]
        names = ", ".join(steps) or "none"
        raise InputError(folder, found=f"no checkpoint of step {step}", expected=f"one of {names}", fix="Choose one.")
    read_record(folder, older.stem)  # a damaged one must not replace the last
    write_text(Path(folder) / "last.json", read_text(older, expected="a checkpoint record", fix=RESTORE))


def read_checkpoint(folder: str | Path, name: str = "last") -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Tensors (on the CPU, whole) and the JSON record of a checkpoint, sharded or not.

    Raises:
        InputError: there is none, a field of the record is wrong, or a tensor file is missing or has other content.
    """
    file, record = read_record(folder, name)
    digest = record["sha256"]
    if isinstance(digest, dict):
        from motionlab.training.checkpoints.sharded_parts import (
            read_parts,  # loads what a plain checkpoint has no use for
        )

        return read_parts(file, digest), record
    return read_tensors(file, digest)[0], record


def read_record(folder: str | Path, name: str = "last") -> tuple[Path, dict[str, Any]]:
    """The path of the tensors of a checkpoint (a folder when it is sharded) and its JSON record.

    Raises:
        InputError: there is none, it cannot be read, or a field of it is wrong.
    """
    path = Path(folder) / f"{name}.json"
    if not path.is_file():
        raise InputError(
            folder,
            found=f"no {name}.json",
            expected="a folder with a checkpoint",
            fix="Train first, or name a folder where a run saved one.",
        )
    expected = "a checkpoint record"
    text = read_text(path, expected=expected, fix=RESTORE)
    # A loss that was NaN may stand among the numbers of the last steps.
    record = parse_record(text, dict[str, Any], path, expected=expected, fix=RESTORE, finite=False)
    commit = typed(record, Commit, path, expected=expected, fix=RESTORE)
    if commit.format != FORMAT:
        raise InputError(
            path,
            found=f"format {commit.format}",
            expected=f"format {FORMAT}",
            fix="Use the version of motionlab that wrote it.",
        )
    if Path(commit.tensors).name != commit.tensors or len(commit.tensors.encode(errors="replace")) > 255:
        raise InputError(path, found=f"tensors {commit.tensors!r}", expected="a name in this folder", fix=RESTORE)
    return path.parent / commit.tensors, record


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
        remove_unnamed(folder, name)


def _tensors_of(record: Path) -> str | None:
    try:
        return read_record(record.parent, record.stem)[0].name
    except InputError:
        return None


def remove_unnamed(folder: Path, name: str) -> None:
    """Remove tensors that no checkpoint names any more, and temporary files of killed saves."""
    kept = {_tensors_of(record) for record in folder.glob("*.json")}
    for pattern in (f"{name}-*.safetensors", f".{name}-*.safetensors", f".{name}.*.json", ".step-*.json"):
        for path in folder.glob(pattern):
            if path.name not in kept:
                path.unlink(missing_ok=True)
    for pattern in (f"{name}-*.parts", f"{name}-*.dcp"):  # the second is of earlier versions
        for path in folder.glob(pattern):
            if path.name not in kept:
                shutil.rmtree(path, ignore_errors=True)
