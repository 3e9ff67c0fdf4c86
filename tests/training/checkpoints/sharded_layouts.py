"""Random layouts, written by one and two processes and read by one, two and three; run by test_sharded_layouts.py.

Prints, as JSON, the names of tensors that came back wrong.

    python sharded_layouts.py FOLDER
"""

from __future__ import annotations

import json
import multiprocessing
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor
from torch.distributed.tensor.placement_types import Placement

from motionlab.training import distributed
from motionlab.training.checkpoints.checkpoint import read_checkpoint
from motionlab.training.checkpoints.sharded import read_sharded, write_sharded
from motionlab.training.distributed import World, run_processes

NUMBER = 40
DTYPES = (torch.float32, torch.bfloat16, torch.float64)


def whole_tensors() -> dict[str, torch.Tensor]:
    """The same in every process: parameters with 0 to 3 dimensions, a moment of each, its count, and a buffer."""
    draw, generator = random.Random(0), torch.Generator().manual_seed(0)
    tensors = {"model.counts": torch.arange(5), "constant.mask": torch.tensor([True, False])}
    for i in range(NUMBER):
        shape = [draw.choice((0, 1, 2, 3, 5, 7)) for _ in range(draw.randrange(4))]
        value = torch.randn(shape, generator=generator, dtype=torch.float64)
        tensors[f"model.p{i}"] = value.to(draw.choice(DTYPES))
        tensors[f"optimizer.p{i}:exp_avg"] = (-value).to(torch.float32)
        tensors[f"optimizer.p{i}:step"] = torch.tensor(float(i))
    return tensors


def layouts(seed: int) -> Iterator[Placement | None]:
    """Where the parameters are cut; None is a plain tensor. Some have no such dimension and are whole then."""
    draw = random.Random(seed)
    for _ in range(NUMBER):
        yield draw.choice((Shard(0), Shard(0), Shard(1), Shard(2), Replicate(), None))


def laid_out(value: torch.Tensor, layout: Placement | None) -> torch.Tensor:
    if layout is None or (isinstance(layout, Shard) and layout.dim >= value.dim()):
        return value
    mesh = init_device_mesh("cpu", (World.current().size,))
    return distribute_tensor(value, mesh, [layout], src_data_rank=None)


def write(folder: Path) -> None:
    """The tensors, cut as the size of the world says."""
    tensors = whole_tensors()
    for i, layout in enumerate(layouts(World.current().size)):
        for name in (f"model.p{i}", f"optimizer.p{i}:exp_avg"):
            tensors[name] = laid_out(tensors[name], layout)
    write_sharded(folder, ["last"], 1, tensors, {})


def read(*folders: Path) -> list[str]:
    """Names of tensors of any folder that came back wrong."""
    return [f"{folder.name}: {name}" for folder in folders for name in wrong_ones(folder)]


def wrong_ones(folder: Path) -> list[str]:
    """Read into a model that is cut in another way."""
    tensors, model = whole_tensors(), nn.Module()
    for i, layout in enumerate(layouts(10 + World.current().size)):
        model.register_parameter(f"p{i}", nn.Parameter(laid_out(tensors[f"model.p{i}"], layout)))
    found, _ = read_sharded(folder, model)
    wrong = sorted(set(tensors) ^ set(found))
    for name, value in tensors.items():
        there = found[name]
        parameter = dict(model.named_parameters()).get(name.partition(".")[2].partition(":")[0])
        if isinstance(parameter, DTensor) and parameter.shape == value.shape:
            same_layout = isinstance(there, DTensor) and there.placements == parameter.placements
            there = there.full_tensor() if isinstance(there, DTensor) else there
        else:
            same_layout = not isinstance(there, DTensor)
        if not same_layout or there.dtype != value.dtype or not torch.equal(there, value):
            wrong.append(name)
    return wrong


def alone(folder: Path) -> list[str]:
    """One process that joined nobody reads whole tensors."""
    found, tensors = read_checkpoint(folder)[0], whole_tensors()
    return [name for name, value in tensors.items() if not torch.equal(found[name], value)]


def main(root: Path) -> None:
    report: dict[str, list[str]] = {}
    folders = {size: root / str(size) for size in (1, 2)}
    for size, folder in folders.items():
        run_processes(write, size, folder)
        report[f"{size} read alone"] = alone(folder)
        report[f"files of {size}"] = sorted(path.name for path in folder.glob("last-*/*"))
    for readers in (1, 2, 3):
        report[f"read by {readers}"] = sum(run_processes(read, readers, *folders.values()), [])
    print(json.dumps(report))


if __name__ == "__main__":
    torch.set_num_threads(1)
    # Nine processes: each would import torch anew, for two seconds. Forks are safe, as this one has computed nothing
    # with torch's threads. (tests/training/test_distributed.py starts processes as everybody does.)
    with patch.object(distributed, "get_context", return_value=multiprocessing.get_context("fork")):
        main(Path(sys.argv[1]))
