"""The EMA codebook of two processes that each see half a batch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from motionlab.quantizers.vq import VQEMA

WORKER = """
import sys, torch, torch.distributed as dist
from safetensors.torch import save_file
from motionlab.quantizers.vq import VQEMA

rank, folder = int(sys.argv[1]), sys.argv[2]
torch.set_num_threads(1)
dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
batches = torch.load(f"{folder}/batches.pt")
torch.manual_seed(rank)  # processes do not share their random numbers
quantizer = VQEMA(6, 3, reset=sys.argv[3] == "reset")
for batch in batches:
    quantizer(batch[rank::2])
save_file(quantizer.state_dict(), f"{folder}/{rank}.safetensors")
dist.destroy_process_group()
"""


@pytest.mark.slow
@pytest.mark.parametrize("reset", ["reset", "plain"])
def test_two_processes_share_one_codebook(tmp_path: Path, reset: str) -> None:
    torch.manual_seed(0)
    batches = torch.randn(4, 40, 3)
    torch.save(batches, tmp_path / "batches.pt")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    workers = [
        subprocess.Popen([sys.executable, "-c", WORKER, str(rank), str(tmp_path), reset], env=environment)
        for rank in (0, 1)
    ]
    assert [worker.wait(timeout=120) for worker in workers] == [0, 0]
    first, second = (load_file(tmp_path / f"{rank}.safetensors") for rank in (0, 1))
    assert all(torch.equal(first[name], second[name]) for name in first)

    # The counts add up to what one process with the whole batch counts: 1 a code at the start, then 40 hits a batch.
    decay, total = 0.99, 6.0
    for _ in batches:
        total = decay * total + (1 - decay) * 40
    assert float(first["cluster_size"].sum()) == pytest.approx(total, rel=1e-5)

    if reset == "plain":  # one process, the same start, whole batches: the same codebook
        torch.manual_seed(0)
        alone = VQEMA(6, 3, reset=False)
        alone._initialise_once(batches[0][0::2])  # rank 0 hands its start to the others
        for batch in batches:
            alone(batch)
        for name in ("codebook", "cluster_size", "cluster_sum"):
            torch.testing.assert_close(alone.state_dict()[name], first[name])
