"""The two packages of the extra `fast`, imported where they are needed, and the names of the engines."""

from __future__ import annotations

import importlib.util
from typing import Any

from motionlab.errors import InputError, MissingExtra

ENGINES = ("torch", "onnx", "onnx-int8")
"""`torch` is the definition. `onnx` writes the same tokens. `onnx-int8` has rounded weights, so tokens may differ."""


def check_engine(engine: str) -> None:
    """Raise InputError for a name that is no engine, MissingExtra where its packages are not installed."""
    if engine not in ENGINES:
        raise InputError("engine", found=repr(engine), expected=" or ".join(ENGINES), fix="Choose one of these.")
    if engine != "torch":
        for package in ("onnx", "onnxruntime"):
            if importlib.util.find_spec(package) is None:
                raise missing(package)


def onnx_package() -> Any:
    """The package `onnx`, which describes graphs."""
    try:
        import onnx
        import onnx.helper
        import onnx.numpy_helper
    except ImportError as error:
        raise missing("onnx") from error
    return onnx


def onnxruntime_package() -> Any:
    """The package `onnxruntime`, which runs them."""
    try:
        import onnxruntime
    except ImportError as error:
        raise missing("onnxruntime") from error
    return onnxruntime


def missing(package: str) -> MissingExtra:
    """The error that names the extra."""
    return MissingExtra(package, extra="fast", purpose="write tokens with ONNX Runtime")
