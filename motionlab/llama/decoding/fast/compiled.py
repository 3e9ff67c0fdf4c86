"""One decode step through `torch.compile`: kernels are fused, so a GPU starts fewer of them for each token.

A compiler wants the same shapes at every step. So attention looks at every slot of the cache and hides those that are
not written yet, and rows whose motion has ended stay in the batch; their results are thrown away. On a GPU the cost of
a step is starting kernels, and this wins. On a CPU it is arithmetic, and the flat step of `flat_step.py` was faster.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
from collections.abc import Callable

import torch
from torch import Tensor

from motionlab.llama.cache import KVCache
from motionlab.llama.model import MotionLlama
from motionlab.runtime import Choice


def choose_compiled(device: str, requested: bool | None = None) -> Choice:
    """ "yes" or "no": whether `generate` compiles its steps, and why.

    Args:
        device: type of the model's device, such as "cuda".
        requested: what the caller wants; None leaves it to the machine.

    >>> print(choose_compiled("cpu"))
    no (on a CPU the flat step is faster, and compiling takes half a minute)
    >>> print(choose_compiled("cpu", False))
    no (asked for)
    """
    if requested is False:
        return Choice("no", "asked for")
    if requested is None and device != "cuda":
        return Choice("no", f"on a {device.upper()} the flat step is faster, and compiling takes half a minute")
    missing = missing_compiler(device)
    if missing is not None:
        return Choice("no", missing)
    return Choice("yes", "asked for" if requested else "a GPU waits for the start of kernels, and fused ones are fewer")


def missing_compiler(device: str) -> str | None:
    """One line that says what `torch.compile` lacks on a kind of device; None where it works."""
    if device == "cuda" and importlib.util.find_spec("triton") is None:
        return "no compiler: the package triton is not installed"
    compilers = [os.environ["CXX"]] if os.environ.get("CXX") else ["g++", "clang++"]
    if device == "cpu" and not any(shutil.which(name) for name in compilers):
        return f"no compiler: {' or '.join(compilers)} not found"
    return None


class CompiledDecoder:
    """`step` of a model with a cache, compiled; the first step takes seconds to minutes, later ones reuse the code."""

    def __init__(self, model: MotionLlama) -> None:
        self.model = model

    def step(self, tokens: Tensor, positions: Tensor, cache: KVCache) -> Tensor:
        """As `MotionLlama.step`: tokens and positions int64 `[B]` to logits `[B, K + 1]`."""
        newest = torch.full((1,), cache.used - 1, device=tokens.device)  # a tensor: a number would be compiled in
        return _compiled_step()(self.model, tokens, positions, cache.stored, cache.visible, newest)


class _WholeCache:
    """A cache as one block for `Attention`: writes at the slot `newest`, returns every slot."""

    def __init__(self, stored: Tensor, visible: Tensor, newest: Tensor) -> None:
        self.stored, self.visible, self.newest = stored, visible, newest

    def update(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values `[B, G, 1, hd]` to those of all slots `[B, G, length, hd]`."""
        keys, values = self.stored[layer, 0], self.stored[layer, 1]
        keys.index_copy_(2, self.newest, key)
        values.index_copy_(2, self.newest, value)
        return keys, values

    def mask(self) -> Tensor:
        """Slots that are written and not a gap, bool `[B, 1, 1, length]`."""
        slots = torch.arange(self.visible.shape[1], device=self.visible.device)
        return (self.visible & (slots <= self.newest))[:, None, None]


def _step(
    model: MotionLlama, tokens: Tensor, positions: Tensor, stored: Tensor, visible: Tensor, newest: Tensor
) -> Tensor:
    return model.step(tokens, positions, _WholeCache(stored, visible, newest))  # type: ignore[arg-type]


@functools.cache
def _compiled_step() -> Callable[..., Tensor]:
    """Made once per process, so that another call with the same shapes finds its code."""
    return torch.compile(_step)
