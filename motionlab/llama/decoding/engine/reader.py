"""`OnnxReader`: the part of a model that `generate` uses, with ONNX Runtime for every step after the text.

The text is read by torch, once (`MotionLlama.prefill`): it is one call, and its attention looks in both directions.
After it the keys and values move into the engine's cache, and the engine reads and writes that memory in place.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.llama.decoding.engine.session import step_session
from motionlab.llama.decoding.engine.step_graph import wide_head
from motionlab.llama.model import MotionLlama


class OnnxReader:
    """A `Reader` (see `next_logits.py`): logits `[rows, K + 1]`, float32.

    Args:
        text: `[B, W, text_dim]`; text_mask: bool `[B, W]`.
        max_tokens: codes at most; the cache has room for them.
        int8: weights of 7 bits.
        folder: where the exported step is kept; None keeps it in memory only.

    Raises:
        InputError: the model is not on a CPU, or too large for a file.
        MissingExtra: the extra `fast` is not installed.
    """

    def __init__(
        self,
        model: MotionLlama,
        text: Tensor,
        text_mask: Tensor,
        max_tokens: int,
        *,
        int8: bool = False,
        folder: Path | None = None,
    ) -> None:
        device = model.llama_proj.weight.device
        if device.type != "cpu":
            raise InputError(
                "engine", found=f"a model on {device}", expected="one on a CPU", fix="Use engine=torch, or model.cpu()."
            )
        self.session = step_session(model, int8=int8, folder=folder)
        self.model, self.text, self.text_mask = model, text, text_mask
        self.length = text.shape[1] + max_tokens
        self.places = text_mask.sum(1).int()  # int32 [B]: the position of each row's next token
        # Keys and values of every layer, [n_layer, 2, B, G, length, hd]; made by `first`.
        self.stored = torch.empty(0)
        self.binding: Any = None

    def first(self) -> Tensor:
        """Read the text."""
        model, width = self.model, self.text.shape[1]
        cache = model.new_cache(len(self.text), width)
        logits = model.prefill(self.text, self.text_mask, cache)
        shape = (len(model.blocks), 2, len(self.text), model.n_kv_heads, self.length, wide_head(model.head_dim))
        self.stored = torch.zeros(shape)
        # Slots behind a short text hold numbers of its padding: the row's codes are written over them before the
        # engine looks there.
        self.stored[..., :width, : model.head_dim] = cache.stored
        self._bind()
        return logits.float()

    def next(self, chosen: Tensor) -> Tensor:
        """Read one more code per row, int64 `[rows]`."""
        self.tokens[:, 0] = chosen
        logits = torch.empty(len(chosen), 1, self.model.codebook_size + 1)
        self.binding.bind_output("logits", "cpu", 0, np.float32, list(logits.shape), logits.data_ptr())
        self.session.run_with_iobinding(self.binding)
        self.places += 1
        return logits[:, 0]

    def keep(self, rows: Tensor) -> None:
        """Continue with these rows, int64; a row may be named several times."""
        self.stored, self.places = self.stored.index_select(2, rows), self.places[rows]
        self._bind()

    def _bind(self) -> None:
        """Tell the engine where its inputs and outputs lie: addresses, which stay until the rows change."""
        batch = self.stored.shape[2]
        self.tokens = torch.zeros(batch, 1, dtype=torch.int64)
        self.slots = torch.tensor(self.length, dtype=torch.int32)
        binding = self.binding = self.session.io_binding()
        for name, tensor in (("tokens", self.tokens), ("places", self.places), ("slots", self.slots)):
            whole = np.int64 if tensor.dtype == torch.int64 else np.int32
            binding.bind_input(name, "cpu", 0, whole, list(tensor.shape), tensor.data_ptr())
        for layer, both in enumerate(self.stored):
            for kind, part in zip(("key", "value"), both, strict=True):  # [B, G, length, hd]
                place = ("cpu", 0, np.float32, list(part.shape), part.data_ptr())
                # The same memory as input and output: the engine adds one slot and copies nothing.
                binding.bind_input(f"past_{kind}_{layer}", *place)
                binding.bind_output(f"present_{kind}_{layer}", *place)
