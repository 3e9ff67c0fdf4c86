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

from motionlab.files.tensors import read_tensors, require_finite, write_tensors
from motionlab.files.weights import bare_names, headers, require_tensors


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
    """The state dict (on the CPU) and the settings that `save_model` wrote; names without wrappers (`bare_names`)."""
    tensors, description = read_tensors(path)
    return bare_names(tensors, path), description


def load_into(model: nn.Module, state: Mapping[str, torch.Tensor], where: object) -> None:
    """Load a state dict strictly; `where` names its file in the message.

    Names of wrappers are dropped on both sides (`bare_names`): a compiled model and a plain one have the same weights.

    Raises:
        InputError: names, shapes or kinds of numbers differ, or a number is not finite; the first ones are named and
            the model is untouched.
    """
    bare = bare_names(state, where)
    check_fits(model, bare, where)
    require_finite(bare, where, "Use weights from before the training diverged.")
    names = bare_names({name: name for name in model.state_dict()}, where)  # without wrappers: with them
    model.load_state_dict({names[short]: value for short, value in bare.items()}, strict=True)


def check_fits(model: nn.Module, state: Mapping[str, torch.Tensor], where: object) -> None:
    """Raise InputError unless names, shapes and kinds of numbers are those of the model, which may be on `meta`."""
    own = headers(bare_names(model.state_dict(), where))
    fix = "Use the configuration that the weights were trained with, or other weights."
    require_tensors(headers(state), own, where, model=type(model).__name__, fix=fix)


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
