"""The tensors of safetensors files by name, unread: a folder may be larger than the memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from motionlab.errors import InputError
from motionlab.files.reading import refusing
from motionlab.files.weights import Header, check_names

# The format's names for the numbers that a model may have; others keep them, and are refused with them.
_DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}


class Stored(NamedTuple):
    """A tensor in a file."""

    header: Header
    read: Callable[[], Tensor]


def open_safetensors(paths: Iterable[Path]) -> dict[str, Stored]:
    """The tensors of some files together.

    Raises:
        InputError: a file that is missing or damaged, a name as in `check_names`, or two tensors of the same name.
    """
    from safetensors import safe_open

    stored: dict[str, Stored] = {}
    for path in paths:
        with refusing(path, expected="a whole safetensors file", fix="Copy or download it again."):
            file = safe_open(path, framework="pt", device="cpu")
            here = {name: _stored(file, name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        check_names(here, path)
        twice = [name for name in here if name in stored]
        if twice:
            raise InputError(
                f"{path}: {twice[0]}",
                found="it in another file as well",
                expected="every tensor once",
                fix="Remove the files that belong to another copy of the model.",
            )
        stored |= here
    return stored


def _stored(file: object, name: str) -> Stored:
    part = file.get_slice(name)  # type: ignore[attr-defined]
    header = Header(tuple(part.get_shape()), _DTYPES.get(part.get_dtype(), part.get_dtype()))
    return Stored(header, partial(file.get_tensor, name))  # type: ignore[attr-defined]
