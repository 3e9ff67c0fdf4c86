"""Tensors on disk: one safetensors file, written atomically, with a JSON description inside.

safetensors holds numbers and nothing else. A pickle (`torch.save`) is a program that runs when it is loaded, so a
checkpoint from a stranger could do anything; here loading can only fail with a message.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from motionlab.errors import InputError
from motionlab.files import atomic_path

# One key only: the format does not keep the order of several, and the same model should give the same bytes.
_METADATA_KEY = "motionlab"


def write_tensors(path: str | Path, tensors: Mapping[str, torch.Tensor], description: Mapping[str, Any]) -> None:
    """Write tensors (from any device) and a JSON-able description, whole or not at all.

    Raises:
        InputError: the folder cannot be written or the disk is full; an older file at `path` is untouched.
    """
    metadata = {_METADATA_KEY: json.dumps(description, sort_keys=True)}
    with atomic_path(path) as temporary:
        try:
            save_file(_separate(tensors), temporary, metadata=metadata)
        except SafetensorError as error:
            raise _as_os_error(error) from error


def read_tensors(path: str | Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Tensors (on the CPU) and the description of a file that `write_tensors` or any safetensors writer made.

    Raises:
        InputError: no such file, or it is not a whole safetensors file.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(path, found="no file", expected="a safetensors file", fix="Check the path.")
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
            description = json.loads((file.metadata() or {}).get(_METADATA_KEY, "{}"))
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(
            path, found=str(error), expected="a whole safetensors file", fix="Copy or download the file again."
        ) from error
    return tensors, description


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
        InputError: keys or shapes differ; the first differing ones are named and the model is untouched.
    """
    difference = first_differences(describe(state), describe(model.state_dict()))
    if difference:
        raise InputError(
            where,
            found=difference,
            expected=f"the weights of this {type(model).__name__}",
            fix="Use the configuration that the weights were trained with, or other weights.",
        )
    model.load_state_dict(dict(state), strict=True)


def describe(tensors: Mapping[str, torch.Tensor]) -> dict[str, str]:
    """What an architecture is, as far as its tensors tell: the shape for each key, as text.

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


def _as_os_error(error: SafetensorError) -> OSError:
    """safetensors reports a full disk as text; as an OSError it is handled like every other write error."""
    number = re.search(r"os error (\d+)", str(error))
    return OSError(int(number[1]), os.strerror(int(number[1]))) if number else OSError(None, str(error))


def _separate(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """CPU copies where needed, so that no two tensors share memory (safetensors refuses tied weights)."""
    seen: set[int] = set()
    result = {}
    for key, tensor in tensors.items():
        tensor = tensor.detach().cpu().contiguous()
        storage = tensor.untyped_storage()
        if storage.data_ptr() in seen or storage.nbytes() != tensor.nbytes:
            tensor = tensor.clone()
        seen.add(tensor.untyped_storage().data_ptr())
        result[key] = tensor
    return result
