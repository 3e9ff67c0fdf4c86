"""Tensors by name from files that somebody else may have written: which they are, before a model is built for them.

Three things load in silence and give nonsense: quantised numbers that are read without their scales, adapters and
biases for which a model has no place, and integers that a copy casts to floats. So a state dict has to hold exactly the
tensors that a model has, of its shapes and of its kind of numbers, and every other name is refused with its reason.

Nothing here opens a file; `pth.py` and the loaders of safetensors do.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from motionlab.errors import InputError

NAMED = 3  # names that a message lists
LONGEST = 300  # characters of a name
FLOATS = ("float64", "float32", "float16", "bfloat16")
WRAPPERS = frozenset({"module", "_orig_mod", "_forward_module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})
"""Attributes under which wrappers keep a model: DataParallel and DistributedDataParallel, `torch.compile`, Lightning
Fabric, FSDP, activation checkpointing."""

BIASES = "biases"
# Names that tell why a tensor is there; the first pattern that fits is the reason.
_REASONS = (
    (
        "quantised weights",
        re.compile(
            r"(^|\.)(qweight|qzeros|scales|g_idx|SCB|weight_format|absmax|quant_map|nested_absmax|nested_quant_map"
            r"|quant_state\..*|(weight|input|output|k|v)_scale(_inv|_2)?|weight_(packed|shape|zero_point|global_scale)"
            r"|\w+_(blocks|scales))$"
        ),
    ),
    ("a LoRA adapter", re.compile(r"lora_|^base_model\.|(^|\.)(base_layer|modules_to_save)\.")),
    (BIASES, re.compile(r"(^|\.)bias$")),
)
Entry = TypeVar("Entry")


class Header(NamedTuple):
    """A tensor without its numbers; `dtype` is torch's name such as "float32", or the file's own for others."""

    shape: tuple[int, ...]
    dtype: str


@contextmanager
def shapes_only() -> Iterator[None]:
    """Models that are made inside have shapes, and neither memory nor numbers.

    >>> with shapes_only():
    ...     model = torch.nn.Embedding(10**9, 64)
    >>> model.weight.device.type, tuple(model.weight.shape)
    ('meta', (1000000000, 64))
    """
    with torch.device("meta"), _NothingDrawn():
        yield


class _NothingDrawn(TorchFunctionMode):
    """Leaves out normal numbers: torch imports its compiler to draw them without memory, which takes a second."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in (Tensor.normal_, torch.nn.init.normal_):
            tensor = kwargs["tensor"] if "tensor" in kwargs else args[0]
            if tensor.is_meta:  # one that was put on another device on purpose gets its numbers
                return tensor
        return func(*args, **kwargs)


def headers(state: Mapping[str, Tensor]) -> dict[str, Header]:
    """The headers of a state dict.

    >>> headers({"a": torch.zeros(2, 3)})
    {'a': Header(shape=(2, 3), dtype='float32')}
    """
    return {name: Header(tuple(value.shape), str(value.dtype).removeprefix("torch.")) for name, value in state.items()}


def bare_names(state: Mapping[str, Entry], where: object) -> dict[str, Entry]:
    """The same entries without the names of wrappers, which a training leaves in its checkpoints, at every level.

    Raises:
        InputError: as `check_names`, or two names that are the same without their wrappers.

    >>> bare_names({"module._orig_mod.h.0.module.weight": 1}, "net.pth")
    {'h.0.weight': 1}
    """
    check_names(state, where)
    bare: dict[str, Entry] = {}
    for name, value in state.items():
        short = ".".join(part for part in name.split(".") if part not in WRAPPERS)
        if short in bare:
            raise InputError(
                f"{where}: {short}", found="it twice, with and without a wrapper", expected="one tensor of this name",
                fix="Save the state dict of one model.",
            )  # fmt: skip
        bare[short] = value
    return bare


def check_names(names: Iterable[object], where: object) -> None:
    """Raise InputError unless every name is a text that a message can show on one line."""
    for name in names:
        if not isinstance(name, str) or len(name) > LONGEST or not name.isprintable():
            raise InputError(
                where, found=f"the key {name!r:.60}", expected="names of tensors", fix="Give a state dict of a model."
            )


def check_tensors(state: Mapping[str, object], where: object) -> None:
    """Raise InputError unless every value is a plain tensor of finite numbers; the first other one is named.

    Plain: dense, with as many numbers behind it as its shape says, not on the device `meta`.
    """
    for name, value in state.items():
        found = _fault(value)
        if found:
            raise InputError(
                f"{where}: {name}",
                found=found,
                expected="a tensor of finite numbers",
                fix="Use a checkpoint from before the training diverged, or copy the file again.",
            )


def require_tensors(
    found: Mapping[str, Header], expected: Mapping[str, Header], where: object, *, model: str, fix: str
) -> None:
    """Raise InputError unless `found` has exactly the names, shapes and kinds of numbers of `expected`.

    Floating point numbers of 16 bits or more stand for each other. Everything else has to be the same: integers and
    float8 where a model has floats are quantised, and would need their scales.

    Args:
        model: the name of the model, for the message.
        fix: the advice of the message.
    """
    extra = [name for name in found if name not in expected]
    unlike = [name for name in expected if name in found and not _same_kind(found[name].dtype, expected[name].dtype)]
    reason = next((word for word, pattern in _REASONS if any(map(pattern.search, extra))), "")
    if reason == BIASES and any(name not in found for name in expected):
        reason = ""  # weights of another model, which has biases among others
    if reason:
        named = [name for name in extra if dict(_REASONS)[reason].search(name)]
        parts = f"{reason} ({_count(named)})"
    elif unlike:
        parts = f"{_count([f'{name} of {found[name].dtype}' for name in unlike])}"
    else:
        parts = _few([_difference(name, found, expected) for name in [*expected, *extra]])
    if parts:
        raise InputError(where, found=parts, expected=f"the weights of this {model}, as plain numbers", fix=fix)


def _difference(name: str, found: Mapping[str, Header], expected: Mapping[str, Header]) -> str:
    """The words for a tensor that is missing, unknown or of another shape; empty when it is as expected."""
    if name not in found:
        return f"no {name}"
    shape = list(found[name].shape)
    if name not in expected:
        return f"unknown {name} {shape}"
    wanted = list(expected[name].shape)
    return "" if shape == wanted else f"{name} {shape} instead of {wanted}"


def _fault(value: object) -> str:
    """The words for a value that is no plain tensor of finite numbers; empty for one that is."""
    if type(value) not in (Tensor, torch.nn.Parameter) or not isinstance(value, Tensor):
        return type(value).__name__
    if value.layout != torch.strided or value.device.type == "meta":
        return f"a tensor of {value.dtype}, {value.layout} on {value.device}"
    if value.numel() * value.element_size() > value.untyped_storage().nbytes():  # one number may pretend to be many
        return f"the shape {list(value.shape)} with {value.untyped_storage().nbytes()} bytes behind it"
    if str(value.dtype).removeprefix("torch.") not in FLOATS or value.numel() == 0:
        return ""
    low, high = value.detach().aminmax()  # a NaN is both; no memory for a mask of the whole
    return "" if math.isfinite(low) and math.isfinite(high) else "NaN or infinity"


def _same_kind(found: str, expected: str) -> bool:
    return found in FLOATS if expected in FLOATS else found == expected


def _count(names: list[str]) -> str:
    return f"{len(names)} tensors: {_few(names)}" if len(names) > 1 else names[0]


def _few(parts: Iterable[str]) -> str:
    parts = [part for part in parts if part]
    more = f" and {len(parts) - NAMED} more" if len(parts) > NAMED else ""
    return ", ".join(parts[:NAMED]) + more
