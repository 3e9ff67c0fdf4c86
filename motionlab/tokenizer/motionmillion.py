"""From the published checkpoint's names to ours. They agree but for three habits of the published code."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor


def rename_published(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Rename the entries of a published state dict.

    * The prefixes `module.` (from distributed training) and `vqvae.` go away.
    * The patcher's constants `wavelets` and `_arange` are dropped: they are never trained.
    * A model without a patcher numbers the encoder's layers from 0. We, and the published model, leave place 0 to the
      patcher, so its layers move up by one.
    * Causal convolutions wrap a convolution: `.conv.weight` becomes `.weight`.

    >>> import torch
    >>> list(rename_published({"module.vqvae.encoder.model.0.conv.weight": torch.zeros(1)}))
    ['encoder.model.1.weight']
    """
    entries = state["net"] if isinstance(state.get("net"), Mapping) else state
    renamed: dict[str, Tensor] = {}
    for name, value in entries.items():
        name = re.sub(r"^(module\.)?(vqvae\.)?", "", name)
        if not name.endswith((".wavelets", "._arange")):
            renamed[name.replace(".conv.", ".")] = value
    if "encoder.model.0.weight" not in renamed:
        return renamed
    return {re.sub(r"^encoder\.model\.(\d+)", _next_place, name): value for name, value in renamed.items()}


def _next_place(match: re.Match[str]) -> str:
    return f"encoder.model.{int(match.group(1)) + 1}"
