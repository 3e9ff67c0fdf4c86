"""Checkpoints of a model that no process holds as a whole: each writes its part, and any number of them reads it.

`sharded_parts.py` has the files. The same rule as in `checkpoint.py` makes them one unit: the parts go first, into a
folder that no older checkpoint names, and the JSON file that names it is the commit.

    checkpoints/last.json                         as usual; "tensors" names the folder, "sha256" has one entry per file
    checkpoints/last-00001200-9f86d081.parts/     index.json, part-0.safetensors, part-1.safetensors, ...
    checkpoints/best.json, best-....safetensors   gathered and whole: for inference by one process

Another number of processes may read it, one included: `checkpoint.read_checkpoint` reads the parts itself.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.distributed.tensor import DTensor, distribute_tensor

from motionlab.training.checkpoints.checkpoint import commit, read_checkpoint, read_record, write_checkpoint
from motionlab.training.checkpoints.saver import for_inference
from motionlab.training.checkpoints.sharded_parts import Box, Parts, write_parts
from motionlab.training.distributed import World

SUFFIX = ".parts"


def write_sharded(
    folder: str | Path,
    names: Sequence[str],
    step: int,
    tensors: Mapping[str, torch.Tensor],
    record: Mapping[str, Any],
    keep: int = 1,
) -> None:
    """Write a checkpoint as each of `names`; every process must call it, with its part of the same tensors.

    "best" is only the model, gathered tensor by tensor into the memory of rank 0's processor.

    Raises:
        InputError: the disk is full or the folder cannot be written; the older checkpoints are still whole.
    """
    world, folder = World.current(), Path(folder)
    for name in names:
        if name == "best":
            gathered = _gather(for_inference(tensors), world)
            if world.is_first:
                write_checkpoint(folder, name, step, gathered, record)
            continue
        target = folder / world.from_first(f"{name}-{step:08d}-{secrets.token_hex(4)}{SUFFIX}")
        digests = write_parts(target, tensors, world)
        if world.is_first:
            commit(folder, name, step, target.name, digests, record, keep)
    world.barrier()


def read_sharded(folder: str | Path, model: nn.Module) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The checkpoint `last`, each tensor sharded as the parameter of `model` that it belongs to.

    A plain checkpoint, written by one process or under DDP, is read as well.

    Raises:
        InputError: as `checkpoint.read_checkpoint`.
    """
    path, record = read_record(folder)
    layout = {name: value for name, value in model.named_parameters() if isinstance(value, DTensor)}
    if not path.is_dir():
        tensors, _ = read_checkpoint(folder)
        return {key: _spread(value, layout.get(_parameter_of(key))) for key, value in tensors.items()}, record
    with Parts.open(path, record["sha256"], World.current()) as parts:
        return {key: _read(parts, key, layout.get(_parameter_of(key))) for key in parts.entries}, record


def _gather(tensors: Mapping[str, torch.Tensor], world: World) -> dict[str, torch.Tensor]:
    """Whole tensors on the CPU of rank 0, one after the other; nothing is kept elsewhere."""
    whole = {}
    for key, value in tensors.items():
        full = value.full_tensor() if isinstance(value, DTensor) else value
        if world.is_first:
            whole[key] = full.detach().cpu().clone()
    return whole


def _parameter_of(key: str) -> str:
    """The parameter that a tensor of a checkpoint belongs to.

    >>> _parameter_of("model.head.weight"), _parameter_of("optimizer.head.weight:exp_avg"), _parameter_of("ema.a.b")
    ('head.weight', 'head.weight', 'a.b')
    """
    return key.partition(".")[2].partition(":")[0]


def _read(parts: Parts, key: str, parameter: DTensor | None) -> torch.Tensor:
    """A tensor, sharded like its parameter when it has its shape, else whole on the CPU."""
    shape = parts.entries[key].shape
    if parameter is None or tuple(parameter.shape) != shape:
        return parts.read(key, Box.whole(shape))
    local = parts.read(key, Box.of(parameter)).to(parameter.device)
    return DTensor.from_local(
        local, parameter.device_mesh, parameter.placements,
        run_check=False, shape=parameter.shape, stride=parameter.stride(),
    )  # fmt: skip


def _spread(value: torch.Tensor, parameter: DTensor | None) -> torch.Tensor:
    if parameter is None or parameter.shape != value.shape:
        return value
    # Every process has read the same file, so no process has to send anything.
    return distribute_tensor(
        value.to(parameter.device), parameter.device_mesh, parameter.placements, src_data_rank=None
    )
