"""Demonstrations: numbers in 16 and 32 bits, memory, speed, many GPUs."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import nn

import motionlab as ml
from lessons.glossary.kit import kit
from lessons.glossary.registry import shows
from motionlab.cost.roofline import best_seconds
from motionlab.views.number_formats import FORMATS


# ---- 16 and 32 bits --------------------------------------------------------------------------------------------------
@shows("autocast", "mixed precision")
def _autocast() -> str:
    layer = nn.Linear(4, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = layer(torch.rand(1, 4))
    return f"the product comes out as {out.dtype}, the weight stays {layer.weight.dtype}"


@shows("bf16", "fp16")
def _halves() -> str:
    rows = (f"{name} up to {FORMATS[name].largest:.3g}, next after 1: {1 + 2.0 ** -FORMATS[name].mantissa_bits:g}"
            for name in ("bf16", "fp16"))  # fmt: skip
    return "; ".join(rows)


@shows("exponent", "mantissa")
def _bits() -> str:
    bits = FORMATS["fp16"].bits(1.5), FORMATS["fp16"].bits(3.0)
    return f"1.5 = {bits[0][1:6]}|{bits[0][6:]}, 3.0 = {bits[1][1:6]}|{bits[1][6:]}: twice as large is exponent + 1"


@shows("gradient underflow", "loss scaling")
def _underflow() -> str:
    gradient = torch.tensor(1e-8)
    plain, scaled = gradient.half(), (1024 * gradient).half().float() / 1024
    return f"1e-8 in fp16: {plain.item():g}; times 1024 before and divided after: {ml.about(scaled.item(), 3)}"


@shows("GradScaler")
def _scaler() -> str:
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=2)
    w, sizes = nn.Parameter(torch.ones(1)), []
    optimizer = torch.optim.SGD([w], lr=0.0)
    for factor in (1.0, 1.0, float("inf")):
        optimizer.zero_grad()
        scaler.scale((w * factor).sum()).backward()
        scaler.step(optimizer)
        scaler.update()
        sizes.append(scaler.get_scale())
    return f"from 1024: good, good, inf -> {[int(size) for size in sizes]}"


@shows("master weights")
def _master() -> str:
    kept = {kind: torch.ones((), dtype=kind) for kind in (torch.bfloat16, torch.float32)}
    for weight in kept.values():
        for _ in range(100):
            weight.add_(0.001)  # bf16 has nothing between 1 and 1.0078
    half, master = kept.values()
    return f"100 steps of 0.001 from 1: {half:g} in bf16; {master:.3f} in fp32, {master.bfloat16():.4f} in a product"


@shows("subnormal number")
def _subnormal() -> str:
    smallest = FORMATS["fp16"].smallest_normal
    near, far = (float(FORMATS["fp16"].spacing(torch.tensor(v))) / v for v in (smallest, smallest / 64))
    return f"relative step in fp16: {near:.2g} at {smallest:.2g}, {far:.2g} at a 64th of it"


# ---- memory and speed ------------------------------------------------------------------------------------------------
@shows("activation")
def _activation() -> str:
    kept: list[int] = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:  # is called with all that the backward pass will need
        kept.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        ml.sequence_losses(kit.decoder, kit.batch)
    count = sum(p.numel() for p in kit.decoder.parameters())
    return f"kept for the backward pass of 4 clips: {ml.about(sum(kept), 2)} numbers; parameters: {count:,}"


@shows("activation checkpointing")
def _recompute() -> str:
    sizes = []
    for checkpointing in (False, True):
        settings = ml.StepSettings(batch=64, window=96, checkpointing=checkpointing)
        sizes.append(ml.step_memory(ml.load_config("motionmillion").tokenizer, settings).peak / 2**20)
    return f"a step of the tokenizer at its peak: {ml.about(sizes[0], 3)} MiB, with it {ml.about(sizes[1], 3)} MiB"


@shows("all-reduce")
def _all_reduce() -> str:
    ranks = [torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])]
    total = torch.stack(ranks).sum(0)
    return f"two processes with {[r.tolist() for r in ranks]}: both end with {total.tolist()}"


@shows("arithmetic intensity")
def _intensity() -> str:
    one, many = (ml.cost.matmul(tokens, 1024, 1024).intensity for tokens in (1, 1024))
    return f"operations a byte of [n, 1024] x [1024, 1024]: {one:.2f} for one token, {many:.0f} for 1,024"


@shows("bandwidth")
def _bandwidth() -> str:
    source = torch.rand(2**23)  # 32 MiB
    seconds = best_seconds(lambda: source.sum(), rounds=2)
    return f"this machine reads {ml.about(source.nbytes / seconds / 1e9, 2)} GB a second"


@shows("CUDA core", "Tensor Core")
def _cores() -> str:
    a100 = ml.cost.DATA_SHEETS["A100 80 GB"]
    fp32, others = a100["fp32"], [f"{kind} {a100[kind].flops / 1e12:g}" for kind in ("tf32", "bf16", "int8")]
    return (
        f"data sheet of an A100: CUDA cores {fp32.flops / 1e12:g} T a second in fp32, Tensor Cores {', '.join(others)}"
    )


@shows("DDP", "FSDP", "ZeRO")
def _sharding() -> str:
    rows = (f"{stage} {ml.cost.bytes_a_gpu(7_000_000_000, 8, stage).total / 1e9:.1f} GB"
            for stage in ("ddp", "zero1", "zero2", "zero3"))  # fmt: skip
    return f"7 billion parameters, 8 GPUs, each: {', '.join(rows)} (zero3 is FSDP)"


@shows("FLOP", "multiply-accumulate")
def _flop() -> str:
    m, k, n = 2, 3, 4
    return f"[2, 3] x [3, 4]: {m * n} sums of {k} products = {m * k * n} MAC = {ml.cost.matmul(m, k, n).flops:g} FLOP"


@shows("memory map")
def _map() -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clips.npy"
        np.save(path, np.zeros((10_000, 272), np.float16))
        clips = np.load(path, mmap_mode="r")
        text = f"{clips.nbytes / 1e6:.1f} MB on disk, opened as {type(clips).__name__}; row 7 is read when asked for"
        del clips  # Windows cannot remove a file that is open
    return text


@shows("optimizer state")
def _state() -> str:
    model = nn.Linear(10, 10)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.rand(1, 10)).sum().backward()
    optimizer.step()
    numbers = sum(v.numel() for s in optimizer.state.values() for v in s.values() if v.numel() > 1)
    return f"AdamW keeps {numbers} numbers for {sum(p.numel() for p in model.parameters())} parameters"


@shows("peak memory")
def _peak() -> str:
    with ml.record_memory() as record:
        a = torch.rand(1000, 1000)
        b = a * 2
        del a
        c = b + 1
        del b, c
    return (
        f"three tensors of 4 MB, never more than two at once: peak {record.peak / 1e6:.0f} MB, at the end {record.end}"
    )


@shows("rank")
def _rank() -> str:
    world = ml.World.current()
    return f"this process is rank {world.rank} of {world.size}"


@shows("roofline")
def _roofline() -> str:
    bf16 = ml.cost.DATA_SHEETS["A100 80 GB"]["bf16"]
    speeds = [f"{bf16.attainable(i) / 1e12:.0f}" for i in (1, 10, 100, 1000)]
    return f"A100, 1, 10, 100, 1000 operations a byte: at most {', '.join(speeds)} TFLOP/s; ridge at {bf16.ridge:.0f}"


@shows("throughput")
def _throughput() -> str:
    layer, found = nn.Linear(256, 256), []
    with torch.inference_mode():
        for rows in (1, 256):
            x = torch.rand(rows, 256)
            found.append(rows / best_seconds(lambda x=x: layer(x), rounds=2))  # type: ignore[misc]
    return f"rows a second: {ml.about(found[0], 2)} one by one, {ml.about(found[1], 2)} in batches of 256"


@shows("TOPS")
def _tops() -> str:
    size = 512
    a, b = torch.rand(size, size), torch.rand(size, size)
    speed = ml.cost.matmul(size, size, size).flops / best_seconds(lambda: a @ b, rounds=2)
    peak = ml.cost.DATA_SHEETS["A100 80 GB"]["int8"].flops
    here = f"here, float32: {ml.about(speed / 1e12, 2)} T a second, measured"
    return f"{here}; an A100, int8: {peak / 1e12:g}, by its data sheet"
