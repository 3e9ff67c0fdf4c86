"""Tensors on disk: one safetensors file, written atomically, with a JSON description inside.

safetensors holds numbers and nothing else. A pickle (`torch.save`) is a program that runs when it is loaded, so a
checkpoint from a stranger could do anything; here loading can only fail with a message.

The file is written here and not by the library's `save_file`: a thread writes checkpoints during training, and the
training would pause while `save_file` copies all tensors; and the hash is computed on the way instead of by
reading the file again.
    8 bytes: length n of the header | n bytes: JSON {name: {dtype, shape, data_offsets}} | the numbers, little-endian
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from motionlab.errors import InputError
from motionlab.files import atomic_path
from motionlab.reading.weights import bare_names, check_tensors, headers, require_tensors

# One key only: the format does not keep the order of several, and the same model should give the same bytes.
_METADATA_KEY = "motionlab"


_DTYPES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64",
    torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
}  # fmt: skip
_BLOCK = 1 << 24  # bytes written at once


def write_tensors(path: str | Path, tensors: Mapping[str, torch.Tensor], description: Mapping[str, Any]) -> str:
    """Write tensors (from any device) and a JSON-able description, whole or not at all; return the file's sha256.

    Raises:
        InputError: the folder cannot be written or the disk is full; an older file at `path` is untouched.
    """
    # The widest numbers first, so that each tensor begins at a multiple of its width.
    names = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    header: dict[str, Any] = {"__metadata__": {_METADATA_KEY: json.dumps(description, sort_keys=True)}}
    offset = 0
    for name in names:
        tensor, begin = tensors[name], offset
        offset += tensor.numel() * tensor.element_size()
        header[name] = {"dtype": _DTYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [begin, offset]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    digest = hashlib.sha256()
    with atomic_path(path) as temporary, open(temporary, "wb", buffering=0) as file:
        start = memoryview(len(text).to_bytes(8, "little") + text)
        for block in itertools.chain([start], _blocks(tensors[name] for name in names)):
            digest.update(block)
            rest = block
            while rest:  # without a buffer, a write may take a part only
                rest = rest[file.write(rest) :]
    return digest.hexdigest()


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
    check_tensors(bare, where)
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


def _blocks(tensors: Iterator[torch.Tensor]) -> Iterator[memoryview]:
    """The bytes of each tensor, a block at a time. Tied weights are written once for each name."""
    for tensor in tensors:
        numbers = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        whole = memoryview(numbers)  # type: ignore[arg-type]
        for begin in range(0, len(whole), _BLOCK):
            yield whole[begin : begin + _BLOCK]
