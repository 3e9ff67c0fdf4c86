"""Several processes learn one codebook. Two real processes go through all the cases once; that takes seconds."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from motionlab.quantizers.vq_ema import VQEMA

pytestmark = pytest.mark.slow

WORKER = """
import sys, torch, torch.distributed as dist
from safetensors.torch import save_file
from motionlab.quantizers.vq import VQ
from motionlab.quantizers.residual import ResidualVQ
from motionlab.quantizers.vq_ema import VQEMA

rank, folder = int(sys.argv[1]), sys.argv[2]
torch.set_num_threads(1)
dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
build = {
    "plain": lambda: VQEMA(6, 3, reset=False, start="random"),
    "reset": lambda: VQEMA(6, 3),
    "kmeans": lambda: VQEMA(6, 3, start="kmeans"),
    "learned": lambda: VQ(6, 3),
    "residual": lambda: ResidualVQ(6, 3),
}
for name, (kind, batches, masks) in torch.load(f"{folder}/cases.pt").items():
    torch.manual_seed(0)
    quantizer = build[kind]()
    torch.manual_seed(rank)  # processes do not share their random numbers
    for batch, mask in zip(batches, masks):
        assert torch.isfinite(quantizer(batch[rank::2], mask[rank::2]).loss)
    save_file(quantizer.state_dict(), f"{folder}/{name}-{rank}.safetensors")
dist.destroy_process_group()
"""


def batches() -> Tensor:
    """`[5, 40, 3]`: five batches of forty vectors; each process takes every second vector."""
    return torch.randn(5, 40, 3, generator=torch.Generator().manual_seed(0))


def some_padding() -> Tensor:
    masks = torch.ones(5, 40, dtype=torch.bool)
    masks[1, ::3] = False
    return masks


def idle_processes() -> Tensor:
    masks = torch.ones(5, 40, dtype=torch.bool)
    masks[0] = False  # no process has vectors: the codebook cannot begin yet
    masks[1, 0::2] = False  # process 0 has nothing when it begins
    masks[3, 1::2] = False  # process 1 has nothing later
    return masks


IDLE_KINDS = ("reset", "kmeans", "learned", "residual")


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Tensor]]:
    """The state after each case, which must be the same in both processes."""
    folder = tmp_path_factory.mktemp("processes")
    cases = {"plain": ("plain", batches(), some_padding())}
    for kind in ("reset", "kmeans"):
        cases[f"first {kind}"] = (kind, batches()[:1], torch.ones(1, 40, dtype=torch.bool))
    for kind in IDLE_KINDS:
        masks = idle_processes()
        cases[f"idle {kind}"] = (kind, batches().masked_fill(~masks.unsqueeze(2), 1e4), masks)
    torch.save(cases, folder / "cases.pt")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", WORKER]
    workers = [subprocess.Popen([*command, str(rank), str(folder)], env=environment) for rank in (0, 1)]
    try:
        assert [worker.wait(timeout=180) for worker in workers] == [0, 0]
    finally:
        for worker in workers:
            worker.kill()
    result = {}
    for name in cases:
        first, second = (load_file(folder / f"{name}-{rank}.safetensors") for rank in (0, 1))
        assert all(torch.equal(first[key], second[key]) for key in first), name
        result[name] = first
    return result


def test_two_processes_do_what_one_does_with_whole_batches(states: dict[str, dict[str, Tensor]]) -> None:
    torch.manual_seed(0)
    alone = VQEMA(6, 3, reset=False, start="random")
    for batch, mask in zip(batches(), some_padding(), strict=True):
        alone(batch, mask)
    for name in ("codebook", "cluster_size", "cluster_sum"):
        torch.testing.assert_close(states["plain"][name], alone.state_dict()[name])


@pytest.mark.parametrize("kind", ["reset", "kmeans"])
def test_two_processes_begin_with_one_codebook(states: dict[str, dict[str, Tensor]], kind: str) -> None:
    found = states[f"first {kind}"]
    assert len(found["codebook"].unique(dim=0)) == 6
    assert float(found["cluster_size"].sum()) == pytest.approx(0.99 * 6 + 0.01 * 40)  # 1 per code, then 40 hits


def test_kmeans_of_two_processes_is_better_than_a_draw(states: dict[str, dict[str, Tensor]]) -> None:
    errors = [
        float(torch.cdist(batches()[0], states[f"first {kind}"]["codebook"]).amin(1).square().mean())
        for kind in ("kmeans", "reset")
    ]
    assert errors[0] < 0.9 * errors[1]


@pytest.mark.parametrize("kind", IDLE_KINDS)
def test_a_process_with_nothing_but_padding_keeps_nobody_waiting(
    states: dict[str, dict[str, Tensor]], kind: str
) -> None:
    found = states[f"idle {kind}"]
    assert all(bool(value) for name, value in found.items() if name.endswith("initialised"))
    codes = torch.cat([value for name, value in found.items() if name.endswith(("codebook", "embedding.weight"))])
    assert len(codes.unique(dim=0)) == len(codes) and float(codes.abs().max()) < 10
