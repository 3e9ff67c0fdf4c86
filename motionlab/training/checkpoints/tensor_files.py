"""Weights of a model on disk, and how to put them back.

`motionlab/files/tensors.py` has the format. Here is what a model adds: names and shapes must agree before anything is
loaded, and the first ones that do not are named.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from motionlab.errors import InputError
from motionlab.files.tensors import read_tensors, require_finite, write_tensors


def save_model(path: str | Path, model: nn.Module, config: Mapping[str, Any]) -> None:
    """Write the weights and buffers of a model with the settings that rebuild it, for inference.

    >>> import tempfile; path = Path(tempfile.mkdtemp()) / "model.safetensors"
    >>> save_model(path, nn.Linear(2, 1), {"inputs": 2})
    >>> state, config = load_model_state(path)
    >>> {key: tuple(value.shape) for key, value in state.items()}, config
    ({'bias': (1,), 'weight': (1, 2)}, {'inputs': 2})
    """
    write_tensors(path, model.state_dict(), config)


def load_model_state(path: str | Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The state dict (on the CPU) and the settings that `save_model` wrote."""
    return read_tensors(path)


def load_into(model: nn.Module, state: Mapping[str, torch.Tensor], where: object) -> None:
    """Load a state dict strictly; `where` names its file in the message.

    Raises:
        InputError: keys or shapes differ (the first ones are named), or a weight is not finite; the model is untouched.
    """
    difference = first_differences(describe(state), describe(model.state_dict()))
    if difference:
        raise InputError(
            where,
            found=difference,
            expected=f"the weights of this {type(model).__name__}",
            fix="Use the configuration that the weights were trained with, or other weights.",
        )
    require_finite(state, where, "Use weights from before the training diverged.")
    model.load_state_dict(dict(state), strict=True)


def describe(tensors: Mapping[str, torch.Tensor]) -> dict[str, str]:
    """An architecture, as far as its tensors show it: the shape for each key, as text.

    >>> describe(nn.Linear(2, 1).state_dict())
    {'weight': '[1, 2]', 'bias': '[1]'}
    """
    return {key: str(list(tensor.shape)) for key, tensor in tensors.items()}


def first_differences(stored: Mapping[str, object], present: Mapping[str, object], limit: int = 3) -> str:
    """The first few keys whose values differ, as one line of text; empty when the two are equal.

    >>> first_differences({"a": 1, "b": 2}, {"a": 1, "b": 3, "c": 4})
    'b 2 instead of 3, no c'
    """
    parts = []
    for key in [*present, *(key for key in stored if key not in present)]:
        if key not in stored:
            parts.append(f"no {key}")
        elif key not in present:
            parts.append(f"unknown {key} {stored[key]}")
        elif stored[key] != present[key]:
            parts.append(f"{key} {stored[key]} instead of {present[key]}")
    more = f" and {len(parts) - limit} more" if len(parts) > limit else ""
    return ", ".join(parts[:limit]) + more
