"""From the published checkpoint's names to ours, and back. They agree except for four habits of the published code.

* Training wraps the model: `vqvae.` precedes every name, and so may wrappers such as `module.`, see `bare_names`.
* The wavelet patcher saves two constants at each end, `wavelets` (of Haar's) and `_arange`. They are never trained.
* A model without a patcher numbers the encoder's layers from 0. We, and the published model, leave place 0 to the
  patcher, so its layers move up by one.
* Causal convolutions wrap a convolution: `.conv.weight` instead of `.weight`, but not inside the residual blocks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.files.weights import bare_names

# State of a codebook with moving averages, besides the codebook, that the published code does not save.
COUNTS = tuple(f"quantizer.{name}" for name in ("cluster_size", "cluster_sum", "initialised"))
PATCHER_CONSTANTS = {"wavelets": torch.full((2,), 0.5).sqrt(), "_arange": torch.arange(2)}


def rename_published(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Names of a published state dict (or of a whole checkpoint, by its key `net`) to ours.

    Raises:
        InputError: constants of another wavelet, or two names that become the same.

    >>> import torch
    >>> list(rename_published({"module.vqvae.encoder.model.0.conv.weight": torch.zeros(1)}))
    ['encoder.model.1.weight']
    """
    renamed: dict[str, Tensor] = {}
    for name, value in published_names(state).items():
        if _is_constant(name, value):
            continue
        short = name.replace(".conv.", ".")
        if short in renamed:
            raise InputError(
                f"checkpoint: {short}", found="it twice, with and without .conv", expected="one tensor of this name",
                fix="Give the checkpoint of one model.",
            )  # fmt: skip
        renamed[short] = value
    return _shift_encoder(renamed, 1) if "encoder.model.0.weight" in renamed else renamed


def to_published(state: Mapping[str, Tensor], *, patcher: bool, causal: bool) -> dict[str, Tensor]:
    """Our names to those of the published code, which `rename_published` takes back.

    Args:
        patcher: the model has one (at its published size it does nothing, and its constants are still saved).
        causal: the model's convolutions are causal.
    """
    # The published code does not save the averages of a codebook; `published.fit_state` restarts them.
    kept = {name: value.detach().cpu().contiguous() for name, value in state.items() if name not in COUNTS}
    places = [int(match[1]) for name in kept if (match := re.match(r"decoder\.model\.(\d+)", name))]
    if causal:
        kept = {_wrap(name): value for name, value in kept.items()}
    if not patcher:
        kept = _shift_encoder(kept, -1)
    else:
        for end in ("encoder.model.0", f"decoder.model.{max(places) + 1}"):
            kept |= {f"{end}.{name}": value.clone() for name, value in PATCHER_CONSTANTS.items()}
    return {f"vqvae.{name}": value for name, value in kept.items()}


def published_names(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """The entries of a published state or checkpoint without the names of wrappers and without `vqvae.`."""
    entries = state["net"] if isinstance(state.get("net"), Mapping) else state
    return {name.removeprefix("vqvae."): value for name, value in bare_names(entries, "checkpoint").items()}


def _is_constant(name: str, value: Tensor) -> bool:
    """Whether this is a constant of a patcher; InputError if it is one of a wavelet that is not Haar's."""
    match = re.fullmatch(r"(?:encoder\.model\.0|decoder\.model\.\d+)\.(wavelets|_arange)", name)
    if match is None:
        return False
    haar = PATCHER_CONSTANTS[match[1]]
    if value.shape != haar.shape or not torch.allclose(value.float(), haar.float(), rtol=0, atol=1e-2):  # bfloat16
        raise InputError(
            f"checkpoint: {name}", found=f"{value.tolist()!s:.60}", expected=f"{haar.tolist()}, of Haar's wavelet",
            fix="Tokenizers with another wavelet do not load.",
        )  # fmt: skip
    return True


def _wrap(name: str) -> str:
    *path, last = name.split(".")
    # A convolution in a residual block is called conv1 or conv2; one outside has only its number.
    outside = path[0] in ("encoder", "decoder") and path[-1].isdigit()
    return ".".join([*path, "conv", last]) if outside else name


def _shift_encoder(state: Mapping[str, Tensor], step: int) -> dict[str, Tensor]:
    def shifted(match: re.Match[str]) -> str:
        return f"encoder.model.{int(match[1]) + step}"

    return {re.sub(r"^encoder\.model\.(\d+)", shifted, name): value for name, value in state.items()}
