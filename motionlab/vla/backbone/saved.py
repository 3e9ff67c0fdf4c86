"""A TinyVGGT in a file and back, and what identifies the weights of any backbone."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from motionlab.errors import InputError
from motionlab.files.tensors import read_tensors, write_tensors
from motionlab.files.weights import headers, require_tensors, shapes_only
from motionlab.vla.backbone.tiny_vggt import TinyVGGT

FORMAT = "tiny-vggt-1"
_FIX = "Use the file that the pretraining of a backbone wrote, or pretrain again."


def save_backbone(path: str | Path, backbone: TinyVGGT) -> str:
    """Write weights and settings, whole or not at all; return the digest of the file."""
    return write_tensors(path, backbone.state_dict(), {"format": FORMAT, "settings": backbone.settings})


def load_backbone(path: str | Path) -> TinyVGGT:
    """The TinyVGGT of a file, on the CPU.

    Raises:
        InputError: no such file, another kind of file, or tensors that are not those of its settings.
    """
    tensors, description = read_tensors(path)
    settings: Any = description.get("settings")
    if description.get("format") != FORMAT or not isinstance(settings, dict):
        raise InputError(path, found="no backbone", expected=f"a file of format {FORMAT}", fix=_FIX)
    wanted = {"image_size", "dim", "depth", "heads", "patch"}
    whole = all(isinstance(value, int) and 0 < value < 1 << 15 for value in settings.values())
    if set(settings) != wanted or not whole:
        found = json.dumps(settings)[:200]
        raise InputError(f"{path}: settings", found=found, expected=", ".join(sorted(wanted)), fix=_FIX)
    with shapes_only():  # shapes are compared before memory is asked for
        expected = headers(TinyVGGT(**settings).state_dict())
    require_tensors(headers(tensors), expected, path, model="TinyVGGT", fix=_FIX)
    model = TinyVGGT(**settings)
    model.load_state_dict(tensors)
    return model


@torch.no_grad()
def weights_digest(module: nn.Module) -> str:
    """sha256 over the names, kinds, shapes and numbers of all parameters and buffers; the device does not matter.

    >>> weights_digest(nn.Linear(2, 2)) == weights_digest(nn.Linear(2, 2))
    False
    """
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(_bytes(value))
    return digest.hexdigest()


def _bytes(value: Tensor) -> bytes:
    plain = value.detach().cpu().contiguous().flatten()  # a view as bytes needs one dimension or more
    return plain.view(torch.uint8).numpy().tobytes()
