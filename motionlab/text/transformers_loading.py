"""Importing, loading and running transformers models without their progress bars and advice, offline."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from motionlab.errors import optional_module
from motionlab.text.encoder import check_finite, check_known, check_token_counts, encode_blocks

# Tokens of a block. On a CPU 256 took 0.6 to 0.75 of the time of 64 a token; 512 were hardly faster, and a caption
# that is encoded alone costs a whole block.
_ON_CPU, _ON_GPU = 256, 4096


def transformers_module(purpose: str) -> ModuleType:
    """The transformers package; its import takes about two seconds, so only call this when a model is needed.

    Raises:
        MissingExtra: it is not installed.
    """
    module: ModuleType = optional_module("transformers", extra="text", purpose=purpose)
    return module


@contextlib.contextmanager
def quiet_loading() -> Iterator[None]:
    """No progress bars, warnings or load reports inside the block; the settings are put back afterwards."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def hidden_states(tokenizer: Any, model: Any, captions: Sequence[str], max_tokens: int, device: str) -> list[Tensor]:
    """The last layer's states of each caption, one `[l_i, dim]` each, on the CPU in float32.

    Raises:
        InputError: a caption over `max_tokens`, one that the tokenizer does not know, or states with NaN or infinity.
    """
    ids = tokenizer(list(captions), truncation=False, verbose=False)["input_ids"]
    check_token_counts(captions, [len(row) for row in ids], max_tokens)
    check_known(captions, ids, tokenizer.unk_token_id, tokenizer.all_special_ids)

    def run(ids: Tensor, mask: Tensor) -> Tensor:
        states: Tensor = model(input_ids=ids.to(device), attention_mask=mask.to(device)).last_hidden_state
        return states

    states = encode_blocks(ids, run, _ON_CPU if torch.device(device).type == "cpu" else _ON_GPU)
    for caption, rows in zip(captions, states, strict=True):
        check_finite(rows[None], [caption], type(model).__name__)
    return states


def pool(states: Tensor) -> Tensor:
    """`[l, dim]` to `[1, dim]`: the mean over the tokens, scaled to length 1."""
    return F.normalize(states.mean(0, keepdim=True), dim=-1)
