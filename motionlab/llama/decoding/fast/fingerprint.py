"""Whether the weights of a model are those of an earlier call: a fingerprint that costs reading them once.

Copies of weights in another layout (`flat_step.py`, `llama/decoding/engine/session.py`) are kept between calls while it
stays. torch's own counters miss what is written through `parameter.data`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


@torch.no_grad()
@torch.inference_mode(False)
def fingerprint(model: nn.Module) -> list[Tensor]:
    """Each matrix times one fixed vector, which leaves a number per row; vectors as they are."""
    parameters = list(model.parameters())
    width = max(parameter.shape[-1] for parameter in parameters)
    probe = torch.linspace(1.0, 2.0, width, dtype=parameters[0].dtype)
    return [p.clone() if p.dim() == 1 else p @ probe[: p.shape[1]] for p in parameters]


def same(signs: Sequence[Tensor], others: Sequence[Tensor]) -> bool:
    """Whether two fingerprints are equal."""
    return len(signs) == len(others) and all(map(torch.equal, signs, others))
