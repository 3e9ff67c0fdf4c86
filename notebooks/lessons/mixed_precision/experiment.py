"""Lesson 09, mixed precision: the experiments. The exercises are in `exercises.py`.

The numbers that the lesson shows of longer runs are kept in `notebooks/results`:

    cd notebooks && python -m lessons.mixed_precision.runs results/mixed_precision.json
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lessons.shared.small_models import sequence_batches, small_decoder
from motionlab.llama.model import MotionLlama
from motionlab.llama.sequence import IGNORE, Sequences
from motionlab.training.optimizer import make_optimizer
from motionlab.training.pure_bf16 import to_bf16

HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}
KINDS = ("fp32", "bf16", "fp16", "bf16 weights", "frozen norms")


# ---- one backward pass -----------------------------------------------------------------------------------------------
def logits_loss(model: MotionLlama, batch: Sequences, dtype: torch.dtype | None = None) -> Tensor:
    """Mean cross entropy, with autocast to `dtype` (None is float32).

    As in the published code, the last layer runs in half precision too and only the softmax is float32. (The package's
    own loss keeps that layer's gradient in float32; here we want to see what half precision does to it.)
    """
    with _autocast(batch, dtype):
        logits = model(batch.tokens, batch.text, batch.text_mask)  # [B, S, K + 1]
    return F.cross_entropy(logits.float().flatten(0, 1), batch.labels.flatten(), ignore_index=IGNORE)


def _autocast(batch: Sequences, dtype: torch.dtype | None) -> torch.autocast:
    return torch.autocast(batch.tokens.device.type, dtype=dtype or torch.bfloat16, enabled=dtype is not None)


def logit_gradients(codebook_size: int, dtype: torch.dtype | None, scale: float = 1.0, rows: int = 20) -> Tensor:
    """The gradient that arrives at the logits of the labelled positions, `[n_labels, K + 1]`, divided by the scale."""
    batch, model = sequence_batches(rows, codebook_size=codebook_size)(0), small_decoder(codebook_size=codebook_size)
    there = batch.labels != IGNORE
    with torch.no_grad(), _autocast(batch, dtype):
        hidden = model.hidden(batch.tokens, batch.text, batch.text_mask)[there]  # [n_labels, dim]
    with _autocast(batch, dtype):
        logits = model.lm_head(hidden)
    loss = F.cross_entropy(logits.float(), batch.labels[there])
    gradient: Tensor = torch.autograd.grad(loss * scale, logits)[0]  # has the dtype of the logits
    return gradient.float() / scale


def weight_gradients(model: nn.Module) -> Tensor:
    """Every gradient of a model in one row, in the order of its parameters."""
    return torch.cat([p.grad.flatten().float() for p in model.parameters() if p.grad is not None])


def scan_scales(model: MotionLlama, batch: Sequences, exponents: Sequence[int]) -> tuple[float, list[float]]:
    """Backward passes of one batch in fp16 at scales 2^e: the largest e without inf, and the share lost at each e.

    Lost is a number that is not 0 in float32 and is 0 in fp16. Where a gradient is inf the share counts as it is.
    """
    model.zero_grad()
    logits_loss(model, batch).backward()
    there = weight_gradients(model) != 0
    ceiling, lost = float(exponents[0] - 1), []
    for exponent in exponents:
        model.zero_grad()
        (logits_loss(model, batch, torch.float16) * 2.0**exponent).backward()
        found = weight_gradients(model)
        if bool(found.isfinite().all()):
            ceiling = float(exponent)
        lost.append(float((found[there] == 0).float().mean()))
    model.zero_grad()
    return ceiling, lost


# ---- short trainings -------------------------------------------------------------------------------------------------
@dataclass
class Training:
    """The record of a short training: `losses` and `scales` per step, the number of skipped ones, and the model."""

    losses: list[float]
    scales: list[float]
    skipped: int
    model: MotionLlama

    @property
    def final(self) -> float:
        """Mean loss of the last ten steps; nan when one of them is."""
        return sum(self.losses[-10:]) / len(self.losses[-10:])


def train(
    kind: str,
    *,
    seed: int = 0,
    steps: int = 60,
    lr: float = 1e-3,
    scale: float | None = None,
    interval: int = 2000,
    rows: int = 16,
) -> Training:
    """Train the small decoder with AdamW, without clipping, on batches that depend on the step number only.

    Args:
        kind: "fp32"; autocast to "bf16" or "fp16"; "bf16 weights": the model itself and so its gradients and both
            averages of AdamW; "frozen norms": fp32, with every norm scale left at 1.
        scale: a fixed loss scale, for fp16. None is `GradScaler`, which begins at 2^16 and adapts.
        interval: good steps after which `GradScaler` doubles.
        rows: clips a batch.
    """
    model = small_decoder(seed)
    if kind == "bf16 weights":
        to_bf16(model)
    if kind == "frozen norms":
        for parameter in norm_scales(model):
            parameter.requires_grad_(False)
    batches, optimizer = sequence_batches(rows, seed=seed), make_optimizer(model, lr=lr, betas=(0.9, 0.999))
    scaler = torch.amp.GradScaler("cpu", enabled=kind == "fp16" and scale is None, growth_interval=interval)
    losses, scales, skipped = [], [], 0
    for step in range(steps):
        batch = batches(step)
        if kind == "bf16 weights":
            batch = Sequences(batch.tokens, batch.labels, batch.text.bfloat16(), batch.text_mask)
        loss = logits_loss(model, batch, HALF.get(kind))
        before = scaler.get_scale() if scale is None else scale
        if scale is None:
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            skipped += scaler.get_scale() < before
        else:
            (loss * scale).backward()
            skipped += not _step_scaled(model, optimizer, scale)
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
        scales.append(before)
    return Training(losses, scales, skipped, model)


def _step_scaled(model: nn.Module, optimizer: torch.optim.Optimizer, scale: float) -> bool:
    """A scaler with one fixed scale: divide in float32, and step unless something is not finite."""
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    for gradient in gradients:
        gradient.div_(scale)
    finite = all(bool(gradient.isfinite().all()) for gradient in gradients)
    if finite:
        optimizer.step()
    return finite


def norm_scales(model: MotionLlama) -> list[nn.Parameter]:
    """The scale vectors of every RMSNorm; they begin at 1."""
    return [p for name, p in model.named_parameters() if name.endswith(".scale")]


def moved_share(before: MotionLlama, after: MotionLlama) -> dict[str, float]:
    """The share of numbers that training changed, for the norm scales and for the matrices of the layers."""
    old, new = dict(before.named_parameters()), dict(after.named_parameters())
    groups = {"norm scales": [n for n in old if n.endswith(".scale")], "matrices": [n for n in old if ".h." in n]}
    groups["matrices"] = [n for n in groups["matrices"] if old[n].ndim == 2]
    return {
        group: float(torch.cat([(old[n].to(new[n].dtype) != new[n]).flatten() for n in names]).float().mean())
        for group, names in groups.items()
    }


def train_clipped(
    clip: Callable[[torch.amp.GradScaler, torch.optim.Optimizer, list[nn.Parameter]], object],
    *,
    optimizer: str = "adamw",
    seed: int = 0,
    steps: int = 40,
    rows: int = 16,
) -> tuple[list[float], list[float]]:
    """Losses, and the gradient norm that the optimizer sees, of an fp16 training that unscales and clips with `clip`.

    Args:
        clip: called with the scaler, the optimizer and the parameters, after the backward pass of the scaled loss.
        optimizer: "adamw" or "sgd".
    """
    model, batches = small_decoder(seed), sequence_batches(rows, seed=seed)
    chosen: torch.optim.Optimizer = (
        make_optimizer(model, lr=1e-3) if optimizer == "adamw" else torch.optim.SGD(model.parameters(), lr=0.3)
    )
    scaler = torch.amp.GradScaler("cpu")
    losses, norms = [], []
    for step in range(steps):
        loss = logits_loss(model, batches(step), torch.float16)
        scaler.scale(loss).backward()
        clip(scaler, chosen, list(model.parameters()))
        norms.append(float(weight_gradients(model).norm()))
        scaler.step(chosen)
        scaler.update()
        chosen.zero_grad()
        losses.append(float(loss.detach()))
    return losses, norms


# ---- what autocast does ----------------------------------------------------------------------------------------------
def _operations(device: str) -> dict[str, Callable[[Tensor], Tensor]]:
    """Operations by name; each takes `[2, 8, 8]` and may meet float32 companions."""
    wide = torch.ones(2, 8, 8, device=device)
    zeros = torch.zeros(8, dtype=torch.long, device=device)
    return {
        "linear": lambda x: F.linear(x, wide[0]),
        "matmul": lambda x: x @ wide,
        "conv1d": lambda x: F.conv1d(x, wide[:1, :, :3].expand(8, 8, 3)),
        "attention": lambda x: F.scaled_dot_product_attention(x[:, None], x[:, None], x[:, None]),
        "softmax": lambda x: x.softmax(-1),
        "layer_norm": lambda x: F.layer_norm(x, (8,)),
        "rms_norm": lambda x: F.rms_norm(x, (8,)),
        "exp": torch.exp,
        "rsqrt": lambda x: x.abs().rsqrt(),
        "sum": torch.sum,
        "mean": torch.mean,
        "cumsum": lambda x: x.cumsum(0),
        "cross_entropy": lambda x: F.cross_entropy(x[0], zeros),
        "smooth_l1": lambda x: F.smooth_l1_loss(x, x),
        "mse": lambda x: F.mse_loss(x, x),
        "cdist": lambda x: torch.cdist(x, x),
        "relu": torch.relu,
        "silu": F.silu,
        "round": torch.round,
        "add (one fp32)": lambda x: x + wide,
        "mul (one fp32)": lambda x: x * wide,
        "cat (one fp32)": lambda x: torch.cat([x, wide]),
    }


def probe_autocast(device: str = "cpu", dtype: torch.dtype = torch.bfloat16) -> dict[str, list[str]]:
    """Run each operation under autocast, on float32 and on half inputs, and sort them by what came out.

    Returns:
        "in half": half from float32 inputs. "in float32": float32 from half inputs. "as it comes": the dtype of the
        input. "widest": float32 when one of several inputs is.
    """
    found: dict[str, list[str]] = {"in half": [], "in float32": [], "as it comes": [], "widest": []}
    with warnings.catch_warnings(), torch.autocast(device, dtype=dtype):
        warnings.simplefilter("ignore")
        for name, operation in _operations(device).items():
            wide, half = (operation(torch.rand(2, 8, 8, device=device).to(d)).dtype for d in (torch.float32, dtype))
            if wide == dtype:
                found["in half"].append(name)
            elif half == torch.float32:
                found["widest" if "one fp32" in name else "in float32"].append(name)
            else:
                found["as it comes"].append(name)
    return found


@contextmanager
def caught_warnings() -> Iterator[list[str]]:
    """Collect the first line of every warning of a block, cut at the first full stop."""
    lines: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield lines
    lines += [" ".join(str(item.message).split()).split(". ")[0] for item in caught]


# ---- time and memory on this machine ---------------------------------------------------------------------------------
def time_step(device: str, precision: str, *, repeats: int = 5, dim: int = 64, rows: int = 16) -> float:
    """Median seconds of a forward and backward pass of the small decoder, after one that does not count.

    Args:
        precision: "fp32", "tf32" (CUDA only: fp32 whose products are rounded to 10 mantissa bits), "bf16", "fp16".
    """
    model, batch = small_decoder(dim=dim).to(device), sequence_batches(rows)(0).to(device)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    seconds = []
    try:
        for _ in range(repeats + 1):
            began = time.perf_counter()
            logits_loss(model, batch, HALF.get(precision)).backward()
            if device == "cuda":
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - began)
    finally:
        torch.set_float32_matmul_precision(before)
    return sorted(seconds[1:])[repeats // 2]
