"""The tokens of the clips that the decoder learns from and is validated on: made once, and again when outdated.

`codes.safetensors` in the folder of a run says which tokenizer weights, normaliser and clips its tokens come from. With
any other of these it is made again, in seconds; a decoder that was trained on the old ones is then refused by name.

The memory does not grow with the number of clips: on the way the tokens are in the folder `codes.partial`, where a
run that was stopped finds them again, and what is read stays in the file until a row is used.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from motionlab.data.joined import JoinedClips
from motionlab.data.splits import Clips, Splits
from motionlab.errors import InputError, printable
from motionlab.files.tensors import read_tensors, write_tensors
from motionlab.jobs.artefacts import difference, tensor_digest
from motionlab.jobs.prepare import bind_splits
from motionlab.jobs.run_folder import Run
from motionlab.jobs.token_rows import TokenFile, TokenRows
from motionlab.motion.normalizer import Normalizer
from motionlab.runtime import choose_device
from motionlab.tokenizer.model import MotionTokenizer
from motionlab.training.distributed import World

CLIPS_AT_ONCE = 64  # of like length, padded to the longest of them
FRAMES_AT_ONCE = 1024  # on a CPU, where more take memory and hardly less time
FEWEST_AT_ONCE = 2  # clips; one alone would go through other products, which round differently


@dataclass(frozen=True)
class Codes:
    """Tokens of each clip of the two splits, int64 `[n]` each, on the CPU."""

    train: Sequence[Tensor]
    validation: Sequence[Tensor]

    @property
    def digest(self) -> str:
        """Changes when any token does."""
        return tensor_digest(itertools.chain(self.train, self.validation))


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
    clips = (len(splits.train), len(splits.validation))
    stored, changed = stored_codes(path, now, clips)
    if stored is not None:
        return stored
    if changed:
        print(f"{printable(path.name)} is made again: it was made with {changed}", flush=True)
    file = fill(run, splits, World())
    train = len(splits.train)
    tensors: dict[str, Tensor] = {}
    for name, (start, stop) in {"train": (0, train), "validation": (train, len(file.lengths))}.items():
        tensors[f"{name}.codes"], lengths = file.rows(start, stop)
        tensors[f"{name}.lengths"] = torch.from_numpy(lengths)
    write_tensors(path, tensors, {"run": run.config.name, "made_from": now})
    file.remove()
    codes, _ = stored_codes(path, now, clips)
    assert codes is not None, "written a moment ago"
    return codes


def share_tokens(run: Run, splits: Splits, world: World) -> None:
    """Let the processes of torchrun make the tokens together, unless they are there; `training_codes` then finds them.

    Every process of `world` has to call it.
    """
    clips = (len(splits.train), len(splits.validation))
    if (
        world.size == 1
        or stored_codes(run.folder / "codes.safetensors", token_source(run, splits), clips)[0] is not None
    ):
        return
    with world.first_alone():  # the file is made once
        fill(run, splits, world, only_begin=True)
    fill(run, splits, world)
    world.barrier()


def fill(run: Run, splits: Splits, world: World, *, only_begin: bool = False) -> TokenFile:
    """The file of all tokens on their way, in which this process's share is there at the end.

    Args:
        only_begin: make the file and leave it at that.
    """
    device = torch.device(choose_device(run.config.device).value)
    model, normalizer = run.tokenizer().to(device), run.normalizer.to(device)
    frames = np.concatenate([splits.train.lengths, splits.validation.lengths])
    lengths = np.array([model.token_count(int(count)) for count in frames], dtype=np.int64)
    file = TokenFile.create(run.folder / "codes.partial", token_source(run, splits), lengths, model.n_codebooks)
    clips, first = JoinedClips(splits.train, splits.validation), (0, len(splits.train))
    places = [first[part] + number for part, number in map(clips.place, range(len(clips)))]
    for group in () if only_begin else world.share(groups(clips)):
        if not file.has([places[index] for index in group], model.codebook_size):
            for index, row in tokenise_group(model, clips, group, normalizer):
                file.put(places[index], row)
    return file


def tokenise(model: MotionTokenizer, clips: Clips, normalizer: Normalizer) -> list[Tensor]:
    """Tokens of every clip, int64 `[n]` each, on the CPU, in the memory; for few clips.

    Args:
        normalizer: on the model's device.
    """
    rows = dict(pair for group in groups(clips) for pair in tokenise_group(model, clips, group, normalizer))
    return [rows[i] for i in range(len(clips))]


def groups(clips: Clips) -> list[list[int]]:
    """The numbers of all clips, shortest first, in groups that are padded to one length."""
    order = np.argsort(clips.lengths, kind="stable").tolist()
    return [order[start : start + CLIPS_AT_ONCE] for start in range(0, len(order), CLIPS_AT_ONCE)]


@torch.no_grad()
def tokenise_group(
    model: MotionTokenizer, clips: Clips, group: Sequence[int], normalizer: Normalizer
) -> Iterator[tuple[int, Tensor]]:
    """Number and tokens of every clip of a group; a few go through the model together.

    How many makes no difference to a token: all are padded to the longest of the group.
    """
    device, multiple = next(model.parameters()).device, model.frames_per_token
    lengths = [int(clips.lengths[i]) for i in group]
    longest = -(-max(lengths) // multiple) * multiple
    parts = 1
    if device.type == "cpu":
        parts = max(1, min(-(-len(group) * longest // FRAMES_AT_ONCE), len(group) // FEWEST_AT_ONCE))
    for some in np.array_split(np.asarray(group), parts):
        batch = torch.empty(len(some), longest, model.input_dim, device=device)  # [b, longest, F]
        for row, i in zip(batch, some.tolist(), strict=True):
            features = normalizer.normalize(clips.features(i).to(device))
            row[: len(features)] = features
            row[len(features) :] = features[-1]
        mask = None
        if min(lengths) < longest:
            own = torch.from_numpy(clips.lengths[some]).to(device)
            mask = torch.arange(longest, device=device) < own.unsqueeze(1)  # [b, longest]
        for i, indices in zip(some.tolist(), model.encode(batch, mask).cpu(), strict=True):
            yield i, indices[: model.token_count(int(clips.lengths[i]))].clone()


def stored_codes(path: Path, now: dict[str, str], clips: tuple[int, int]) -> tuple[Codes | None, str]:
    """The codes in the file if they were made from the same; else None, and in words what they were made from.

    Args:
        now: what they should be made from.
        clips: clips of the training and of the validation split.
    """
    if not path.exists():
        return None, ""
    try:
        tensors, description = read_tensors(path)
        parts = [
            TokenRows(tensors[f"{name}.codes"], tensors[f"{name}.lengths"].numpy()) for name in ("train", "validation")
        ]
        record: dict[str, str] = description.get("made_from", {})
        if not isinstance(record, dict) or not all(map(_fits, parts, clips)):
            raise KeyError("lengths")
    except (
        InputError,
        KeyError,
        RuntimeError,
        TypeError,
        AttributeError,
    ):  # damaged, or of an earlier version: both are made again
        return None, "an earlier version, or is damaged"
    changed = difference(record, now)
    return (None, changed) if changed else (Codes(*parts), "")


def _fits(rows: TokenRows, clips: int) -> bool:
    """Whether rows are whole numbers, as many as their lengths say, of so many clips."""
    lengths = rows.lengths
    whole = lengths.dtype == np.int64 and lengths.shape == (clips,) and not rows.numbers.is_floating_point()
    return whole and rows.numbers.dim() in (1, 2) and bool((lengths >= 0).all()) and lengths.sum() == len(rows.numbers)
