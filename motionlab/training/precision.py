"""Mixed precision: which dtype the matrix products use, and the loss scale that fp16 needs.

| name | weights | products | exponent bits | fraction bits | needs |
|---|---|---|---|---|---|
| fp32 | fp32 | fp32 | 8 | 23 | |
| tf32 | fp32 | fp32 rounded on the way in | 8 | 10 | an Nvidia GPU from 2020 on |
| bf16 | fp32 | bf16 | 8 | 7 | |
| fp16 | fp32 | fp16 | 5 | 10 | a loss scale |
| bf16_pure | bf16 | bf16 | 8 | 7 | a reason: `pure_bf16.py` shows what it loses |

fp16 has 5 exponent bits: gradients below about 6e-8 become zero. Micikevicius et al., "Mixed Precision Training"
(2018), multiply the loss by a large number before the backward pass and divide the gradients by it afterwards. When
the number was too large the gradients are inf; that step is skipped and the number halved. bf16 has the 8 exponent
bits of fp32 and does not need this.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import nn

from motionlab.runtime import Choice, choose_precision
from motionlab.training import pure_bf16

DTYPES = {"fp32": None, "tf32": None, "bf16": torch.bfloat16, "fp16": torch.float16, "bf16_pure": torch.bfloat16}


@dataclass
class Precision:
    """The dtype with the reason it was chosen, and a gradient scaler that does nothing unless it is fp16."""

    choice: Choice
    device_type: str
    scaler: torch.amp.GradScaler
    scales: list[nn.Parameter] = field(default_factory=list)  # norm scales under bf16_pure
    last_scale: float | None = None  # of the loss, after the step before

    def prepare(self, model: nn.Module, lr: float) -> str:
        """Round the weights for bf16_pure and return a warning. Call it before the optimizer is made."""
        if self.choice.value != "bf16_pure":
            return ""
        self.scales = pure_bf16.to_bf16(model)
        return pure_bf16.warning(self.scales, lr)

    def evidence(self, steps: int) -> str:
        """The losses of bf16_pure so far, as a message; empty for the others."""
        return pure_bf16.evidence(self.scales, steps) if self.choice.value == "bf16_pure" else ""

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        """tf32 on for tf32 and off otherwise, for the time of a training.

        torch itself lets convolutions use tf32 and matrix products not, so "fp32" would mean two things at once.
        """
        matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
        before = matmul.allow_tf32, cudnn.allow_tf32
        matmul.allow_tf32 = cudnn.allow_tf32 = self.choice.value == "tf32"
        try:
            yield
        finally:
            matmul.allow_tf32, cudnn.allow_tf32 = before

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        """The context of every forward pass, in training and in validation alike."""
        dtype = DTYPES[self.choice.value]
        if dtype is None:
            return contextlib.nullcontext()
        return torch.autocast(self.device_type, dtype=dtype)

    def step(self, optimizer: torch.optim.Optimizer, bad: torch.Tensor | None = None) -> bool:
        """Step the optimizer and update the scale; return False when the step was skipped.

        The scaler does not say whether it skipped. It lowers the scale exactly when it did, so the scale tells.

        Args:
            bad: a flag on the device of a fused optimizer, which changes no weight when it is 1; no sync is needed.
        """
        if not self.scaler.is_enabled():
            with _unless(bad, optimizer):
                optimizer.step()
            return True
        before = self.scaler.get_scale() if self.last_scale is None else self.last_scale
        self.scaler.step(optimizer)
        self.scaler.update()
        self.last_scale = self.scaler.get_scale()  # the one number that fp16 waits for at every step
        return self.last_scale >= before


def make_precision(device: str | torch.device, requested: str = "auto") -> Precision:
    """Choose the precision for a device.

    >>> precision = make_precision("cpu", "bf16")
    >>> with precision.autocast():
    ...     print(torch.nn.Linear(2, 2)(torch.ones(1, 2)).dtype)
    torch.bfloat16
    >>> precision.scaler.is_enabled(), make_precision("cpu", "fp16").scaler.is_enabled()
    (False, True)
    """
    device = torch.device(device)
    choice = choose_precision(str(device), requested)
    scaler = torch.amp.GradScaler(device.type, enabled=choice.value == "fp16")
    return Precision(choice, device.type, scaler)


@contextlib.contextmanager
def deterministic(wanted: bool) -> Iterator[None]:
    """Inside, only operations that give the same bits every time; an operation without such a form is an error.

    On a CPU a run is the same every time without it, as long as the number of threads is the same. On a GPU sums whose
    order is free (scatter, some backward passes) differ from run to run.
    """
    if not wanted:
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS has two work areas that are always the same
    cudnn = torch.backends.cudnn
    before = torch.are_deterministic_algorithms_enabled(), cudnn.benchmark, cudnn.deterministic
    torch.use_deterministic_algorithms(True)
    cudnn.benchmark, cudnn.deterministic = False, True
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        cudnn.benchmark, cudnn.deterministic = before[1:]


@contextlib.contextmanager
def _unless(bad: torch.Tensor | None, optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """The two attributes in which torch's fused optimizers look for a loss scale and for its flag."""
    if bad is None:
        yield
        return
    optimizer.grad_scale, optimizer.found_inf = None, bad  # type: ignore[attr-defined]
    try:
        yield
    finally:
        del optimizer.grad_scale, optimizer.found_inf  # type: ignore[attr-defined]
