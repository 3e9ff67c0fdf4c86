"""Settings of stage 2, the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from motionlab.config.fields import Section, setting


@dataclass
class LlamaConfig(Section):
    """Stage 2: text and earlier tokens -> next token."""

    NAME: ClassVar[str] = "llama"

    n_layer: int = setting(12, "transformer blocks", at_least=1)
    n_head: int = setting(12, "query heads", at_least=1)
    n_kv_heads: int | None = setting(None, "key and value heads (GQA); null means one for each query head", at_least=1)
    dim: int = setting(768, "width of the residual stream", at_least=1)
    hidden: int | None = setting(
        None, "width inside the SwiGLU; null means 8/3 dim rounded up to a multiple of 256", at_least=1
    )
    rope_theta: float = setting(10000.0, "base of the rotary frequencies", above=0)
    rope_scaling: Literal["linear", "ntk", "llama3"] | None = setting(
        None, "slower rotations for sequences longer than training had; null is none"
    )
    rope_factor: float = setting(1.0, "new length divided by trained length, for rope_scaling", at_least=1)
    rope_original_length: int = setting(301, "trained length in tokens, for rope_scaling: llama3", at_least=1)
    qk_norm: bool = setting(False, "normalise query and key heads; keeps attention scores bounded")
    tied_embeddings: bool = setting(False, "one table for reading and writing codes")
    strategy: Literal["next_token", "scheduled_sampling"] = setting(
        "next_token", "codes that are not kept become random ones, or (scheduled_sampling) the model's own"
    )
    keep_codes: float = setting(
        1.0, "chance that an input code is kept in training; 1 is plain teacher forcing", at_least=0, at_most=1
    )
    keep_rate: Literal["fixed", "batch", "sample"] = setting(
        "fixed", "keep_codes is the chance itself, or the lower end of a chance drawn for each batch or sample"
    )
    label_smoothing: float = setting(0.0, "probability mass spread over all codes in the loss", at_least=0, at_most=1)
    text_drop: float = setting(
        0.0, "chance that a clip loses its text in training; needed for sampling.guidance", at_least=0, at_most=1
    )
    edge_drop: float = setting(
        0.0, "chance that a clip loses its first or last code; published: 1/3", at_least=0, at_most=1
    )

    def check_relations(self) -> None:
        self.require("dim", self.dim % (2 * self.n_head) == 0, f"a multiple of 2 x n_head ({self.n_head})")
        divides = self.n_kv_heads is None or self.n_head % self.n_kv_heads == 0
        self.require("n_kv_heads", divides, f"a divisor of n_head ({self.n_head})")
        fits = self.rope_factor == 1 or self.rope_scaling is not None
        self.require("rope_factor", fits, "1 without rope_scaling", "Choose a rope_scaling, or set it to 1.")
