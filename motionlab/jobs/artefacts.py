"""Records what every artefact of a run was made from, so that none is used with anything else because a file exists.

`made_from.json` in a folder names the digests of what its content was made from: in the folder of a run, of every split
of the motions; in that of a training, of clips, normaliser, tokens and text encoder as well. The tokens carry theirs
inside (`tokens.py`). Cheap artefacts are made again when a digest differs; the others are refused, by name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch

from motionlab.config import TrainConfig
from motionlab.errors import InputError
from motionlab.files import records
from motionlab.jobs.run_settings import needs_training
from motionlab.training.checkpoints.checkpoint import has_checkpoint

RECORD = "made_from.json"
MODEL = "model.safetensors"


def tensor_digest(tensors: Iterable[torch.Tensor]) -> str:
    """sha256 of the numbers, shapes and dtypes of some tensors, in order.

    >>> tensor_digest([torch.zeros(2)]) == tensor_digest([torch.zeros(1, 2)])
    False
    """
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(f"{tensor.dtype} {list(tensor.shape)} ".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def read_record(folder: Path) -> dict[str, str]:
    """The record of what the content of a folder was made from; empty when the folder does not say.

    Raises:
        InputError: a record that cannot be read.
    """
    path = folder / RECORD
    if not path.is_file():
        return {}
    fix = "Restore the file, or train this again under another --name."
    return records.read_record(path, dict[str, str], expected="the digests of what this was made from", fix=fix)


def write_record(folder: Path, made_from: Mapping[str, str]) -> None:
    """Keep what the content of a folder is made from."""
    records.write_record(folder / RECORD, made_from)


def difference(record: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Which of the digests in `now` is not what the record says, in words; empty when all are.

    >>> difference({"tokens": "1f" * 32}, {"tokens": "2e" * 32})
    'tokens 1f1f1f1f, now 2e2e2e2e'
    """
    for name, digest in now.items():
        if record.get(name) != digest:
            return f"{name} {record.get(name, 'unknown')[:8]}, now {digest[:8]}"
    return ""


def claim(folder: Path, made_from: Mapping[str, str]) -> None:
    """Before a training: say what it is made from, or make sure that the existing one was made from the same.

    Raises:
        InputError: the folder holds a training on something else.
    """
    record = read_record(folder)
    changed = difference(record, made_from)
    if has_checkpoint(folder / "checkpoints") and changed:
        raise InputError(
            folder,
            found=f"a training on other data ({changed})",
            expected="the data that it began with",
            fix="Remove this folder to train it again, or choose another --name.",
        )
    if record != dict(made_from):
        write_record(folder, made_from)


def require(folder: Path, now: Mapping[str, str], fix: str) -> None:
    """Before a model is used with other parts of the run: make sure that it was trained with these.

    Weights that someone copied in by hand have no record and are taken as they are.

    Raises:
        InputError: the model was trained with other parts; the first one is named.
    """
    record = read_record(folder)
    changed = difference(record, {name: digest for name, digest in now.items() if name in record})
    if changed:
        raise InputError(folder / MODEL, found=f"a model trained with {changed}", expected="the same parts", fix=fix)


def is_trained(folder: Path, made_from: Mapping[str, str], settings: TrainConfig) -> bool:
    """Whether the folder holds the model of a training from exactly this that came to its end.

    Weights that someone copied in by hand have no record and are taken as they are.
    """
    if needs_training(folder, settings):
        return False
    by_hand = not (folder / RECORD).is_file() and not has_checkpoint(folder / "checkpoints")
    return by_hand or read_record(folder) == dict(made_from)
