"""Checkpoint files of the published code: read safely and strictly, written whole.

A `net_*.pth` is a pickle made by `torch.save`: `{"net": state dict, "optimizer": ..., "nb_iter": ...}`. It is read as
data only, see `motionlab/files/pth.py`.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.files import atomic_path
from motionlab.files.pth import read_pth, state_of
from motionlab.files.weights import check_tensors, headers, require_tensors
from motionlab.quantizers.base import Quantizer
from motionlab.quantizers.fsq import FSQ
from motionlab.quantizers.levels import LEVELS, levels_for
from motionlab.quantizers.vq import VQ
from motionlab.quantizers.vq_ema import VQEMA
from motionlab.tokenizer.weights.motionmillion import COUNTS, published_names, rename_published

FEATURES = 272
NAMED = 4  # keys that a message lists


def read_checkpoint(path: str | Path) -> dict[str, Tensor]:
    """The state dict of a checkpoint, on the CPU, without the names of wrappers (`bare_names`).

    Raises:
        InputError: no such file; a file that is cut short, damaged or no checkpoint; an entry that is no plain tensor
            of finite numbers.
    """
    return state_of(read_pth(path), "net", path, fix="Give the net_*.pth that the tokenizer's training wrote.")


def write_checkpoint(path: str | Path, state: Mapping[str, Tensor], iteration: int = 0) -> None:
    """Write `{"net": state, "nb_iter": iteration}`, whole or not at all.

    Raises:
        InputError: the folder cannot be written or the disk is full; an older file at `path` is untouched.
    """
    content = io.BytesIO()  # in memory first: torch reports a full disk as a RuntimeError about positions
    torch.save({"net": dict(state), "nb_iter": iteration}, content)
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.getbuffer())


def settings_of(state: Mapping[str, Any], norm: str = "LN") -> dict[str, Any]:
    """The arguments of `MotionTokenizer` that names and shapes tell, and `code_dim`.

    Args:
        norm: which norm it is if there is one without running averages: LN and GN look alike.
    """
    names, ours = published_names(state), rename_published(state)
    first = _need(ours, "encoder.model.1.weight")  # [width, F p, kernel]
    width, channels, kernel = first.shape
    down_t = sum(f"encoder.model.{place}.0.weight" in ours for place in range(3, 3 + len(ours)))
    last = _need(ours, f"encoder.model.{3 + down_t}.weight")  # [code_dim, width, kernel]
    block = "encoder.model.3.1.model.{}.conv1.weight"
    depth = sum(block.format(i) in ours for i in range(len(ours)))
    inner = {_need(ours, name).shape[2] for name in ours if name.endswith("conv1.weight")}
    if inner - {kernel}:
        raise InputError(
            block.format(0),
            found=f"kernel size {min(inner)} where the first convolution has {kernel}",
            expected="one kernel size",
            fix="The published causal blocks ignore their kernel size and dilate the others; such models do not load.",
        )
    if "encoder.model.3.1.model.0.norm1.weight" not in ours:
        found_norm = None
    else:
        found_norm = "BN" if "encoder.model.3.1.model.0.norm1.running_mean" in ours else norm
    patcher, patch_size = None, 1
    if "encoder.model.0.wavelets" in names:
        patch_size = channels // FEATURES if channels % FEATURES == 0 else 1
        patcher = "wavelet" if patch_size > 1 else "compat"
    return {
        "input_dim": channels // patch_size,
        "width": width,
        "depth": depth,
        "down_t": down_t,
        "kernel_size": kernel,
        "norm": found_norm,
        "causal": any(".conv." in name for name in names),
        "patcher": patcher,
        "patch_size": patch_size,
        "code_dim": last.shape[0],
    }


def quantizer_of(state: Mapping[str, Any], code_dim: int, codebook_size: int | None = None) -> Quantizer:
    """A new quantizer of the kind and size in a published state: FSQ, or a codebook (averaged or learned).

    Raises:
        InputError: it is another kind, or FSQ whose number of dimensions fits several sizes.
    """
    ours = rename_published(state)
    if "quantizer.codebook" in ours:
        return VQEMA(_rows(ours, "quantizer.codebook"), code_dim)
    if "quantizer.embedding.weight" in ours:
        return VQ(_rows(ours, "quantizer.embedding.weight"), code_dim)
    if "quantizer.project_in.weight" not in ours:
        names = [name for name in ours if name.startswith("quantizer.")]
        raise InputError(
            "quantizer",
            found=", ".join(names[:NAMED]) or "nothing",
            expected="project_in (FSQ), codebook (moving averages) or embedding.weight (learned)",
            fix="Build the quantizer yourself and pass it: from_motionmillion(path, quantizer=...).",
        )
    dims = _rows(ours, "quantizer.project_in.weight")
    if codebook_size is None:
        # 64 and 128 are our own sizes; no published checkpoint has them.
        fitting = [size for size, levels in LEVELS.items() if len(levels) == dims and size >= 256]
        if len(fitting) != 1:
            sizes = " or ".join(map(str, fitting)) or "a size of the table"
            raise InputError(
                "codebook_size",
                found=f"an FSQ of {dims} dimensions",
                expected=f"the codebook size it was trained with: {sizes}",
                fix="Say which: from_motionmillion(path, codebook_size=...), or pass quantizer=FSQ(levels, dim).",
            )
        codebook_size = fitting[0]
    return FSQ(levels_for(codebook_size), code_dim)


def fit_state(state: Mapping[str, Any], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A published state under our names, if it fits the state dict `own` exactly.

    Raises:
        InputError: names, shapes or kinds of numbers differ, or an entry is no plain tensor of finite numbers; the
            first ones are named.
    """
    entries = state["net"] if isinstance(state.get("net"), Mapping) else state
    check_tensors(entries, "checkpoint")
    ours = rename_published(entries)
    absent = set(own) & set(COUNTS)
    if absent.isdisjoint(ours):
        # A published codebook comes without its averages. One count each lets them start from it.
        ours |= {name: value for name, value in _fresh_counts(ours).items() if name in absent}
    fix = "Build the tokenizer with the settings of the checkpoint."
    require_tensors(headers(ours), headers(own), "checkpoint", model="MotionTokenizer", fix=fix)
    return ours


def _fresh_counts(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state that `COUNTS` names, as after one hit of each code."""
    book = state.get("quantizer.codebook", torch.zeros(0))
    return dict(zip(COUNTS, (book.new_ones(len(book)), book.clone(), torch.tensor(True)), strict=True))


@contextlib.contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """Put the file's name before the place in every `InputError` of a block."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{path}: {error.where}", found=error.found, expected=error.expected, fix=error.fix) from None


def _rows(state: Mapping[str, Tensor], name: str) -> int:
    return len(_need(state, name, ndim=2, kind="a matrix"))


def _need(state: Mapping[str, Tensor], name: str, ndim: int = 3, kind: str = "the weight of a convolution") -> Tensor:
    value = state.get(name)
    if value is None or value.ndim != ndim or value.numel() == 0:
        raise InputError(
            name,
            found="nothing of this name" if value is None else f"shape {tuple(value.shape)}",
            expected=kind,
            fix="Give a checkpoint of the motion tokenizer (not of the text-to-motion model).",
        )
    return value
