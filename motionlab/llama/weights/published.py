"""Reading the checkpoints of the published MotionMillion decoder: safely, strictly, and at any size.

The released files also hold the optimizer, whose classes belong to DeepSpeed. `read_pth` replaces each of them by a
class that does nothing, so DeepSpeed is not needed and no foreign code runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.files.pth import read_pth, state_of
from motionlab.files.weights import FLOATS, check_tensors, headers, require_tensors, shapes_only
from motionlab.llama.model import MotionLlama
from motionlab.llama.sizes import SIZES
from motionlab.llama.variant import LlamaVariant


def load_motionmillion(
    path: str | Path, *, n_head: int | None = None, max_length: int = 301, dtype: torch.dtype = torch.float32
) -> MotionLlama:
    """The decoder of a published checkpoint, in eval mode. Its size is read from the weights.

    Args:
        n_head: query heads; None looks the size up in `SIZES` (weights do not tell the number of heads).
        max_length: longest sequence; published: 301.
        dtype: of the weights; the published 3B file is bfloat16 and is widened unless told otherwise.

    Raises:
        InputError: no such file, a damaged one, no decoder inside, weights whose names, shapes or kinds of numbers do
            not fit, or a weight beyond the range of `dtype`.
    """
    if str(dtype).removeprefix("torch.") not in FLOATS:
        raise InputError("dtype", found=dtype, expected=" or ".join(FLOATS), fix="Choose one of these.")
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
    with shapes_only():  # no memory and no random numbers for weights that are replaced at once
        variant = LlamaVariant(hidden=arguments.pop("hidden"))
        model = MotionLlama(**arguments, n_head=n_head, max_length=max_length, variant=variant)  # type: ignore[arg-type]
    fix = "Use weights and settings that belong together."
    require_tensors(headers(state), headers(model.state_dict()), path, model="MotionLlama", fix=fix)
    model = model.to(dtype).to_empty(device="cpu")
    model.load_state_dict(state, strict=True)
    check_tensors(model.state_dict(), f"{path} as {dtype}")  # float16 ends at 65,504
    return model.eval()


def read_decoder_state(path: str | Path) -> dict[str, Tensor]:
    """The decoder's tensors of a checkpoint under our names: key `trans`, without the names of wrappers (`bare_names`).

    Raises:
        InputError: no such file, not a checkpoint, or values that are not plain tensors of finite numbers.
    """
    fix = "Give the checkpoint of the decoder (stage 2)."
    return state_of(read_pth(path, skip_classes=True), "trans", path, fix)


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
    if min(vocabulary - 2, *state["llama_proj.weight"].shape, *state[needed[2]].shape) < 1:
        raise InputError(
            where,
            found=f"{vocabulary} rows of embeddings, or a matrix without numbers",
            expected="one code or more, END and PAD",
            fix="Give the checkpoint of the decoder (stage 2).",
        )
    layers = {name.split(".")[2] for name in state if name.startswith("transformer.h.")}
    return {
        "codebook_size": vocabulary - 2,  # the last two rows are END and PAD
        "n_layer": len(layers),
        "dim": dim,
        "text_dim": state["llama_proj.weight"].shape[1],
        "hidden": len(state["transformer.h.0.mlp.c_fc1.weight"]),
    }
