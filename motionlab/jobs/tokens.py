"""The tokens of the clips that the decoder learns from and is validated on: made once, and again when outdated.

`codes.safetensors` in the folder of a run says which tokenizer weights, normaliser and clips its tokens come from. With
any other of these it is made again, in seconds; a decoder that was trained on the old ones is then refused by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from motionlab.data.joined import JoinedClips
from motionlab.data.splits import Clips, Splits
from motionlab.errors import InputError
from motionlab.files.tensors import read_tensors, write_tensors
from motionlab.jobs.artefacts import difference, tensor_digest
from motionlab.jobs.prepare import bind_splits
from motionlab.jobs.run_folder import Run
from motionlab.motion.normalizer import Normalizer
from motionlab.runtime import choose_device
from motionlab.tokenizer.model import MotionTokenizer

CLIPS_AT_ONCE = 64  # whose features are in memory together


@dataclass(frozen=True)
class Codes:
    """Tokens of each clip of the two splits, int64 `[n]` each, on the CPU."""

    train: list[Tensor]
    validation: list[Tensor]

    @property
    def digest(self) -> str:
        """Changes when any token does."""
        return tensor_digest([*self.train, *self.validation])


def token_source(run: Run, splits: Splits) -> dict[str, str]:
    """Everything that the tokens of a run are made from now.

    Raises:
        InputError: the run has no trained tokenizer or no normaliser yet.
    """
    return {**run.tokenizer_digests(), "train": splits.train.digest, "validation": splits.validation.digest}


def training_codes(run: Run, splits: Splits) -> Codes:
    """The tokens of both splits from the run's tokenizer, from `codes.safetensors` when that was made from the same.

    Raises:
        InputError: no tokenizer yet, or a run on other motions.
    """
    bind_splits(run, splits)
    path, now = run.folder / "codes.safetensors", token_source(run, splits)
    if path.exists():
        stored, record = _read(path)
        changed = difference(record, now) if stored is not None else "an earlier version, or is damaged"
        if stored is not None and not changed:
            return stored
        print(f"{path.name} is made again: it was made with {changed}", flush=True)
    device = torch.device(choose_device(run.config.device).value)
    model, normalizer = run.tokenizer().to(device), run.normalizer.to(device)
    clips = JoinedClips(splits.train, splits.validation)
    parts: tuple[dict[int, Tensor], ...] = ({}, {})
    for index, row in enumerate(tokenise(model, clips, normalizer)):
        part, number = clips.place(index)
        parts[part][number] = row
    codes = Codes(*([found[i] for i in range(len(found))] for found in parts))
    write_tensors(path, _packed(codes), {"run": run.config.name, "made_from": now})
    return codes


def tokenise(model: MotionTokenizer, clips: Clips, normalizer: Normalizer) -> list[Tensor]:
    """Tokens of every clip, int64 `[n]` each, on the CPU. Clips of like length go through the model together.

    Args:
        normalizer: on the model's device.
    """
    device = next(model.parameters()).device
    order = sorted(range(len(clips)), key=clips.lengths.__getitem__)
    rows: dict[int, Tensor] = {}
    for start in range(0, len(order), CLIPS_AT_ONCE):
        some = order[start : start + CLIPS_AT_ONCE]
        features = [normalizer.normalize(clips.features(i).to(device)) for i in some]
        rows |= {i: row.cpu() for i, row in zip(some, model.encode_clips(features, CLIPS_AT_ONCE), strict=True)}
    return [rows[i] for i in range(len(clips))]


def _packed(codes: Codes) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for name, rows in (("train", codes.train), ("validation", codes.validation)):
        tensors[f"{name}.codes"] = torch.cat(rows).int() if rows else torch.empty(0, dtype=torch.int32)
        tensors[f"{name}.lengths"] = torch.tensor([len(row) for row in rows], dtype=torch.int64)
    return tensors


def _read(path: Path) -> tuple[Codes | None, dict[str, str]]:
    """The stored codes, and what they were made from; no codes when the file has another form."""
    try:
        tensors, description = read_tensors(path)
        parts = (
            list(tensors[f"{name}.codes"].long().split(tensors[f"{name}.lengths"].tolist()))
            for name in ("train", "validation")
        )
        return Codes(*parts), description.get("made_from", {})
    except (InputError, KeyError, RuntimeError):  # damaged, or of an earlier version: both are made again
        return None, {}
