"""The state of every random generator, as JSON values.

A resumed run equals the uninterrupted one only if dropout and code resets draw the same numbers, so the generators
belong in the checkpoint. They are plain text there: nothing has to be unpickled.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch


def rng_state() -> dict[str, Any]:
    """The generators of Python, numpy, torch and every CUDA device.

    >>> state = rng_state(); first = torch.rand(1)
    >>> set_rng_state(state); bool(torch.rand(1) == first)
    True
    """
    version, words, gauss = random.getstate()
    numpy_state: Any = np.random.get_state(legacy=False)
    key = numpy_state["state"]["key"]
    return {
        "python": [version, np.array(words, dtype="<u4").tobytes().hex(), gauss],
        "numpy": {**numpy_state, "state": {**numpy_state["state"], "key": key.astype("<u4").tobytes().hex()}},
        "torch": _to_hex(torch.get_rng_state()),
        "cuda": [_to_hex(state) for state in torch.cuda.get_rng_state_all()] if torch.cuda.is_available() else [],
    }


def set_rng_state(state: dict[str, Any]) -> None:
    """Put back what `rng_state` returned. CUDA generators are put back only on a machine with as many devices."""
    python, numpy_state = _parsed(state)
    random.setstate(python)
    np.random.set_state(numpy_state)
    torch.set_rng_state(_from_hex(state["torch"]))
    if torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([_from_hex(text) for text in state["cuda"]])


def check_rng_state(state: dict[str, Any]) -> None:
    """Try what `set_rng_state` will do, on generators that nobody uses.

    Raises:
        Exception: of any kind, from the generator that does not take its state.
    """
    python, numpy_state = _parsed(state)
    random.Random().setstate(python)
    np.random.RandomState(0).set_state(numpy_state)
    torch.Generator().set_state(_from_hex(state["torch"]))
    for text in state["cuda"]:
        _from_hex(text)


def _parsed(state: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The states of Python's and numpy's generators as these libraries take them."""
    version, words, gauss = state["python"]
    numpy_state = state["numpy"]
    key = _words(numpy_state["state"]["key"])
    numbers = {**numpy_state, "state": {**numpy_state["state"], "key": key}}
    return (version, tuple(_words(words).tolist()), gauss), numbers


def _words(text: str) -> np.ndarray[Any, np.dtype[np.uint32]]:
    return np.frombuffer(bytes.fromhex(text), dtype="<u4").astype(np.uint32)


def _to_hex(state: torch.Tensor) -> str:
    return bytes(state.cpu().numpy()).hex()


def _from_hex(text: str) -> torch.Tensor:
    return torch.frombuffer(bytearray.fromhex(text), dtype=torch.uint8)
