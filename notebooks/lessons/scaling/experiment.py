"""Lesson 15, scaling: the experiments with two processes, and what the published runs cost. Exercises are in
`exercises.py`.

`two_processes` really starts two processes and trains the small decoder of lesson 10 in them, with DDP and with FSDP.
Nearly all of its time goes into starting Python and torch twice.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from lessons.shared.small_models import sequence_batches, small_decoder, small_store
from motionlab.config import TrainConfig
from motionlab.cost.roofline import Machine, Work, best_seconds, decoder_flops, elementwise, gpu_hours, matmul
from motionlab.llama.model import MotionLlama
from motionlab.llama.objectives.losses import sequence_losses
from motionlab.llama.sequence import Sequences
from motionlab.llama.sizes import SIZES, parameter_count
from motionlab.training.distributed import World, run_processes
from motionlab.training.loop import fit
from motionlab.training.parallel import Parallel, plain
from motionlab.training.stage import FunctionStage, Losses

MICRO, STEPS = 2, 6  # clips per micro-batch, so few that their numbers of labels differ; optimizer steps
PUBLISHED = {"codes": 64_000, "text_dim": 2048, "clips": 640, "length": 301, "steps": 240_000, "gpus": 40}
WAYS = ("global share", "mean of means")


# ---- how fast this machine is ----------------------------------------------------------------------------------------
def measure_operations(size: int = 768) -> dict[str, tuple[Work, float]]:
    """Three operations of a decoder: name -> (what it does, measured operations a second)."""
    a, b = torch.rand(size, size), torch.rand(size, size)
    table, token = torch.rand(3072, 3072), torch.rand(1, 3072)  # 36 MiB of weights: more than the caches hold
    x = torch.rand(2**24)
    cases = {
        "matrix x matrix": (matmul(size, size, size), lambda: a @ b),
        "one token x matrix": (matmul(1, 3072, 3072), lambda: token @ table),
        "x + 1": (elementwise(x.numel()), lambda: x.add_(1.0)),
    }
    with torch.inference_mode():
        return {name: (work, work.flops / best_seconds(run)) for name, (work, run) in cases.items()}


# ---- two processes ---------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Together:
    """The report of a process.

    Fields:
        losses: "ddp" or "fsdp" -> the training loss of each step.
        held: "ddp" or "fsdp" -> numbers of the weights in this process.
        errors: a way of weighting -> relative error of the gradient, for each of three seeds.
        seconds: of a training step under DDP, the fastest.
    """

    losses: dict[str, list[float]]
    held: dict[str, int]
    errors: dict[str, list[float]]
    seconds: float


def two_processes() -> Together:
    """Train and measure in two new processes; what process 0 reports."""
    small_store()  # composed here once; the processes find it in the cache
    return run_processes(work_together, 2)[0]


def work_together() -> Together:
    """The work of each process; a single process is the reference, with the same global batches."""
    losses, held, seconds = {}, {}, 0.0
    for how in ("ddp", "fsdp"):
        losses[how], held[how], took = train(how)
        seconds = took if how == "ddp" else seconds
    return Together(losses, held, {way: gradient_errors(way) for way in WAYS}, seconds)


def train(how: str, steps: int = STEPS) -> tuple[list[float], int, float]:
    """Losses of all steps, numbers of the weights that this process holds, seconds of the fastest step."""
    world, batches, model = World.current(), sequence_batches(MICRO), small_decoder()
    settings = TrainConfig(
        steps=steps, batch_size=MICRO, grad_accum_steps=4 // world.size, lr=3e-3, warmup_steps=2, log_every=1,
        precision="fp32", parallel=how,  # type: ignore[arg-type]
    )  # fmt: skip

    def step(batch: Sequences) -> Losses:
        return Losses(sequence_losses(model, batch).loss)

    with tempfile.TemporaryDirectory() as folder:
        place = world.from_first(folder)  # a sharded checkpoint is written by all processes
        stage = FunctionStage(model, batches, step, count=lambda batch: batch.n_labels, title=how)
        history = fit(stage, settings, place)
        world.barrier()  # no process removes the folder while another needs it
    held = sum(local(parameter).numel() for parameter in model.parameters())
    labels = [row["items_per_second"] for row in history.rows]
    items = history.column("items")
    each = [b - a for a, b in zip([0.0, *items], items, strict=False)]
    return history.column("loss"), held, min(n / speed for n, speed in zip(each, labels, strict=True))


def local(parameter: Tensor) -> Tensor:
    """The part of a parameter that is in this process."""
    part: Tensor = parameter.to_local() if hasattr(parameter, "to_local") else parameter
    return part


def gradient_errors(way: str, groups: int = 6, seeds: Sequence[int] = (0, 1, 2)) -> list[float]:
    """DDP's gradient against that of one big batch: mean relative error over groups of two clips, for each seed.

    Args:
        way: "global share": each process weighs its mean loss by labels / labels of all processes; "mean of means": as
            most published code does, each takes the mean over its own labels and DDP averages the processes.
    """
    world = World.current()
    size = 2 // world.size
    errors = []
    for seed, group in itertools.product(seeds, range(groups)):
        batches, model = sequence_batches(1, seed=seed), small_decoder(seed)
        ddp = Parallel(model, lambda batch, model=model: sequence_losses(model, batch).loss, world)  # type: ignore[misc]
        mine = [batches(number) for number in world.numbers(2 * group, size)]
        total = world.sum([sum(batch.n_labels for batch in mine)])[0]
        for i, batch in enumerate(mine):
            share = batch.n_labels / total if way == "global share" else 1 / 2
            with ddp.accumulating(more=i + 1 < size):
                (ddp(batch) * share * world.size).backward()
        errors.append(_distance(model, small_decoder(seed), [batches(2 * group), batches(2 * group + 1)]))
    return [sum(errors[i : i + groups]) / groups for i in range(0, len(errors), groups)]


def _distance(model: torch.nn.Module, whole: MotionLlama, pair: list[Sequences]) -> float:
    """Relative distance of the gradients in `model` from those of the mean over all labels, made in `whole`."""
    total = sum(batch.n_labels for batch in pair)
    for batch in pair:
        (sequence_losses(whole, batch).loss * (batch.n_labels / total)).backward()
    found, right = (
        torch.cat([plain(p.grad).flatten() for p in m.parameters() if p.grad is not None]) for m in (model, whole)
    )
    return float((found - right).norm() / right.norm())


def largest_difference(a: Mapping[str, list[float]], b: Mapping[str, list[float]]) -> float:
    """Between two sets of curves, relative."""
    pairs = [(x, y) for name in a for x, y in zip(a[name], b[name], strict=True)]
    return max(abs(x - y) / abs(y) for x, y in pairs)


# ---- what the published runs cost ------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Cost:
    """Of a whole training: operations, hours of one GPU, hours on all GPUs of the run."""

    flops: float
    gpu_hours: float
    hours: float


def published_cost(size: str, machine: Machine, utilisation: float) -> Cost:
    """The published training of a decoder of this size: 240,000 steps of 640 clips on 40 GPUs.

    Every clip is padded to 301 positions and all of them are computed. The text encoder is not counted.
    """
    shape = SIZES[size]
    count = parameter_count(PUBLISHED["codes"], **shape._asdict(), text_dim=PUBLISHED["text_dim"])
    matrices = count - (PUBLISHED["codes"] + 2) * shape.dim  # the embedding is looked up, not multiplied
    step = decoder_flops(matrices, shape.n_layer, shape.dim, PUBLISHED["clips"], PUBLISHED["length"])
    flops = PUBLISHED["steps"] * step
    hours = gpu_hours(flops, machine, utilisation)
    return Cost(flops, hours, hours / PUBLISHED["gpus"])


def count_flops(batch: Sequences) -> tuple[int, float]:
    """Operations of a forward and backward pass of the small decoder: as torch counts them, and by the formula.

    torch counts no fused attention on a CPU, so attention runs as plain products here.
    """
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    model, counter = small_decoder(), FlopCounterMode(display=False)
    with sdpa_kernel(SDPBackend.MATH), counter:
        logits = model(batch.tokens, batch.text, batch.text_mask)  # [B, S, K + 1]
        F.cross_entropy(logits.flatten(0, 1), batch.labels.flatten()).backward()
    looked_up = ("transformer.wte.weight", "llama_proj.weight")  # the text is a few positions of the sequence
    matrices = sum(p.numel() for name, p in model.named_parameters() if p.dim() == 2 and name not in looked_up)
    rows, length = batch.tokens.shape
    return counter.get_total_flops(), decoder_flops(matrices, len(model.blocks), model.dim, rows, length)
