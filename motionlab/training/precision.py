"""Mixed precision: which dtype the forward pass uses, and the loss scale that fp16 needs.

fp16 has 5 exponent bits: gradients below about 6e-8 become zero. Micikevicius et al., "Mixed Precision Training"
(2018), multiply the loss by a large number before the backward pass and divide the gradients by it afterwards. When
the number was too large the gradients are inf; that step is skipped and the number halved. bf16 has the 8 exponent
bits of fp32 and needs none of this.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import torch

from motionlab.runtime import Choice, choose_precision

DTYPES = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Precision:
    """The autocast dtype with the reason it was chosen, and a gradient scaler that does nothing unless it is fp16."""

    choice: Choice
    device_type: str
    scaler: torch.amp.GradScaler

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        """The context of every forward pass, in training and in validation alike."""
        dtype = DTYPES[self.choice.value]
        if dtype is None:
            return contextlib.nullcontext()
        return torch.autocast(self.device_type, dtype=dtype)

    def step(self, optimizer: torch.optim.Optimizer) -> bool:
        """Step the optimizer and update the scale; return False when the step was skipped.

        The scaler does not say whether it skipped. It lowers the scale exactly when it did, so the scale tells.
        """
        before = self.scaler.get_scale()
        self.scaler.step(optimizer)
        self.scaler.update()
        return self.scaler.get_scale() >= before


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
