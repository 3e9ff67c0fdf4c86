"""Reading the checkpoints of the published MotionMillion decoder: safely, strictly, and at any size.

A `.pth` file is a pickle, that is, a program. `torch.load(weights_only=True)` runs only the instructions that build
tensors. The released files also hold the optimizer, whose classes belong to DeepSpeed. Each such name is answered by
`Inert`, a class that takes anything and does nothing, so DeepSpeed is not needed and no foreign code runs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from motionlab.errors import InputError
from motionlab.llama.model import MotionLlama
from motionlab.llama.sizes import SIZES
from motionlab.llama.variant import LlamaVariant

NAMED = 3  # differences that a message lists


class Inert:
    """Replaces an unwanted class of a pickle; its arguments are thrown away."""

    def __init__(self, *arguments: object, **named: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


def load_motionmillion(
    path: str | Path, *, n_head: int | None = None, max_length: int = 301, dtype: torch.dtype = torch.float32
) -> MotionLlama:
    """The decoder of a published checkpoint, in eval mode. Its size is read from the weights.

    Args:
        n_head: query heads; None looks the size up in `SIZES` (weights do not tell the number of heads).
        max_length: longest sequence; published: 301.
        dtype: of the weights; the published 3B file is bfloat16 and is widened unless told otherwise.

    Raises:
        InputError: no such file, a damaged one, no decoder inside, or weights whose names or shapes do not fit.
    """
    state = read_decoder_state(path)
    arguments = infer_arguments(state, path)
    if n_head is None:
        sizes = {(size.n_layer, size.dim): size.n_head for size in SIZES.values()}
        n_head = sizes.get((arguments["n_layer"], arguments["dim"]))
        if n_head is None:
            raise InputError(
                path,
                found=f"{arguments['n_layer']} layers of width {arguments['dim']}",
                expected="a published size: " + ", ".join(SIZES),
                fix="Say n_head: the weights do not tell the number of heads.",
            )
    with torch.device("meta"):  # no memory and no random numbers for weights that are replaced at once
        variant = LlamaVariant(hidden=arguments.pop("hidden"))
        model = MotionLlama(**arguments, n_head=n_head, max_length=max_length, variant=variant)  # type: ignore[arg-type]
    model = model.to(dtype).to_empty(device="cpu")
    load_strictly(model, state, path)
    return model.eval()


def read_decoder_state(path: str | Path) -> dict[str, Tensor]:
    """The decoder's tensors of a checkpoint under our names: key `trans`, without the prefixes of wrappers.

    Raises:
        InputError: no such file, not a checkpoint, or nothing that could be a decoder.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(path, found="no such file", expected="a published checkpoint (.pth)", fix="Check the path.")
    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
        with torch.serialization.safe_globals([(Inert, name) for name in names]):
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # a broken file can fail anywhere: zip, pickle, or torch itself
        raise InputError(
            path,
            found=f"{type(error).__name__}: {' '.join(str(error).split())[:160]}",
            expected="a whole checkpoint of the published training, in torch's zip format",
            fix="Copy or download the file again.",
        ) from error
    state = content.get("trans", content) if isinstance(content, Mapping) else content
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()) or not state:
        raise InputError(
            path,
            found=f"no tensors by name, but {_kinds(content)}",
            expected="the key 'trans', or a state dict",
            fix="Give the checkpoint of the decoder (stage 2).",
        )
    return {re.sub(r"^((module|_orig_mod)\.)+", "", name): value for name, value in state.items()}


def infer_arguments(state: Mapping[str, Tensor], where: object) -> dict[str, int]:
    """The arguments of `MotionLlama` that shapes tell: codebook_size, n_layer, dim, text_dim and hidden."""
    needed = ("transformer.wte.weight", "llama_proj.weight", "transformer.h.0.mlp.c_fc1.weight")
    absent = [name for name in needed if name not in state or state[name].dim() != 2]
    if absent:
        raise InputError(
            where,
            found=f"no matrix {absent[0]} among {len(state)} tensors",
            expected="a MotionMillion decoder",
            fix="Give the checkpoint of the decoder (stage 2); the tokenizer's is read by MotionTokenizer.",
        )
    vocabulary, dim = state["transformer.wte.weight"].shape
    layers = {name.split(".")[2] for name in state if name.startswith("transformer.h.")}
    return {
        "codebook_size": vocabulary - 2,  # the last two rows are END and PAD
        "n_layer": len(layers),
        "dim": dim,
        "text_dim": state["llama_proj.weight"].shape[1],
        "hidden": len(state["transformer.h.0.mlp.c_fc1.weight"]),
    }


def load_strictly(model: nn.Module, state: Mapping[str, Tensor], where: object) -> None:
    """Copy every tensor of `state` into `model`.

    Raises:
        InputError: a name is missing or unknown, or a shape differs; the first are named, and nothing was copied.
    """
    own = model.state_dict()
    wrong = [f"no {name}" for name in own if name not in state]
    wrong += [f"unknown {name}" for name in state if name not in own]
    wrong += [
        f"{name} {list(state[name].shape)} instead of {list(own[name].shape)}"
        for name in own
        if name in state and state[name].shape != own[name].shape
    ]
    if wrong:
        more = f" and {len(wrong) - NAMED} more" if len(wrong) > NAMED else ""
        raise InputError(
            where,
            found=", ".join(wrong[:NAMED]) + more,
            expected=f"the weights of this {type(model).__name__}",
            fix="Use weights and settings that belong together.",
        )
    model.load_state_dict(state, strict=True)


def _kinds(content: Any) -> str:
    if isinstance(content, Mapping):
        return "keys " + ", ".join(str(key) for key in list(content)[:5])
    return type(content).__name__
