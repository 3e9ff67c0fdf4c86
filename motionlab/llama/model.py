"""MotionLlama: a LLaMA decoder that reads text features and writes motion codes.

The layers follow Touvron et al., "LLaMA", arXiv:2302.13971. The text enters as a prefix: the first W slots of the
sequence are filled by projected text features instead of token embeddings (MotionMillion, arXiv:2507.07095).

    tokens      [text slots: PAD id][motion codes 0..K-1][END = K][PAD = K+1]
    embeddings  [llama_proj(text)  ][wte(tokens)                            ]

The embedding table has K + 2 rows. The output has K + 1: codes and END, because PAD is never predicted.
Parameter names are those of the published checkpoint.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from motionlab.errors import InputError
from motionlab.llama.block import Block, swiglu_hidden
from motionlab.llama.cache import KVCache
from motionlab.llama.head import TiedHead
from motionlab.llama.masks import Mask, prefix_rule
from motionlab.llama.norm import RMSNorm
from motionlab.llama.rope import RopeSettings, Rotary


@dataclass(frozen=True, kw_only=True)
class LlamaVariant:
    """Where a decoder may differ from the published one. The defaults are the published choices.

    >>> LlamaVariant(tied_embeddings=True)
    LlamaVariant(hidden=None, qk_norm=False, tied_embeddings=True, mask_token=False, norm_eps=1e-05)
    """

    hidden: int | None = None
    """Width of the SwiGLU layer; None is the rule `swiglu_hidden(dim)`."""
    qk_norm: bool = False
    """Normalise query and key heads, see `Attention`."""
    tied_embeddings: bool = False
    """The output layer shares the weights of the embedding."""
    mask_token: bool = False
    """One more embedding row, MASK, for masked modelling (`strategies.py`, `masked.py`)."""
    norm_eps: float = 1e-5
    """Of every RMSNorm."""


class MotionLlama(nn.Module):
    """Text features and motion tokens to logits of the next token.

    Args:
        codebook_size: K, the number of motion codes of the tokenizer.
        n_layer, n_head, dim: size of the decoder; see `sizes.py` for the published table.
        text_dim: width of the text features (MiniLM 384, flan-t5-xl 2048).
        n_kv_heads: key-value heads; None is n_head (multi-head attention, as published).
        max_length: longest sequence: text + codes + END.
        rope: base and scaling of the rotary angles.
        variant: everything else in which a decoder may differ from the published one.

    >>> model = MotionLlama(codebook_size=10, n_layer=1, n_head=2, dim=16, text_dim=4)
    >>> tokens = torch.tensor([[11, 11, 3, 7, 10]])  # two text slots, two codes, END
    >>> model(tokens, text=torch.zeros(1, 2, 4), text_mask=torch.ones(1, 2)).shape
    torch.Size([1, 5, 11])
    """

    def __init__(
        self,
        codebook_size: int,
        *,
        n_layer: int,
        n_head: int,
        dim: int,
        text_dim: int,
        n_kv_heads: int | None = None,
        max_length: int = 301,
        rope: RopeSettings = RopeSettings(),  # noqa: B008 (frozen, so one object may serve every call)
        variant: LlamaVariant = LlamaVariant(),  # noqa: B008
    ) -> None:
        super().__init__()
        self.codebook_size, self.dim, self.text_dim, self.max_length = codebook_size, dim, text_dim, max_length
        self.n_head, self.head_dim = n_head, dim // n_head
        self.n_kv_heads = n_head if n_kv_heads is None else n_kv_heads
        self.hidden_dim = swiglu_hidden(dim) if variant.hidden is None else variant.hidden
        self.norm_eps = variant.norm_eps
        self.qk_norm, self.mask_token = variant.qk_norm, codebook_size + 2 if variant.mask_token else None
        shape = (dim, n_head, self.n_kv_heads, self.hidden_dim)
        blocks = [Block(*shape, qk_norm=self.qk_norm, eps=self.norm_eps) for _ in range(n_layer)]
        embedding = nn.Embedding(codebook_size + 2 + variant.mask_token, dim)
        self.transformer = nn.ModuleDict(
            {"wte": embedding, "h": nn.ModuleList(blocks), "ln_f": RMSNorm(dim, self.norm_eps)}
        )
        self.llama_proj = nn.Linear(text_dim, dim)
        outputs = codebook_size + 1
        self.lm_head = TiedHead(embedding, outputs) if variant.tied_embeddings else nn.Linear(dim, outputs, bias=False)
        self.rotary = Rotary(max_length, self.head_dim, rope.theta, rope.scaling)
        self.reset_parameters()

    @property
    def end_token(self) -> int:
        """K: the motion is over."""
        return self.codebook_size

    @property
    def pad_token(self) -> int:
        """K + 1: fills text slots and the tail of a batch. It can be read, never predicted."""
        return self.codebook_size + 1

    @property
    def blocks(self) -> nn.ModuleList:
        """The decoder layers."""
        return self.transformer["h"]  # type: ignore[return-value]

    @property
    def tied_embeddings(self) -> bool:
        """True when the output layer has no weights of its own."""
        return isinstance(self.lm_head, TiedHead)

    def reset_parameters(self) -> None:
        """Normal(0, 0.02) for every matrix, divided by sqrt(2 * n_layer) where a matrix writes to the residual stream.

        Each layer adds two terms to the stream, so the division keeps its size from growing with depth (GPT-2's rule).
        The published training code defines this rule but never calls it: its embeddings start at N(0, 1) and its
        matrices at torch's default. Checkpoints are not affected; a training from nothing is.
        """
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                writes_residual = name.endswith("c_proj.weight")
                nn.init.normal_(parameter, std=0.02 / (2 * len(self.blocks)) ** 0.5 if writes_residual else 0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)
            else:
                nn.init.ones_(parameter)

    def forward(self, tokens: Tensor, text: Tensor, text_mask: Tensor, mask: Tensor | None = None) -> Tensor:
        """Logits of the next token at every position.

        Args:
            tokens: int64 `[B, S]`; what stands in text slots does not matter.
            text: float `[B, W, text_dim]`, W <= S.
            text_mask: `[B, W]`, true where a text slot is in use; each row starts at slot 0.
            mask: bool `[B, 1, S, S]`, who may look at whom; None is `prefix_mask`.

        Returns:
            `[B, S, K + 1]`.
        """
        logits: Tensor = self.lm_head(self.hidden(tokens, text, text_mask, mask))
        return logits

    def hidden(self, tokens: Tensor, text: Tensor, text_mask: Tensor, mask: Tensor | None = None) -> Tensor:
        """As `forward`, but stops before `lm_head`: `[B, S, dim]`. The loss needs logits at labelled positions only.

        Raises:
            InputError: the sequence is longer than `max_length`, or a token is outside the vocabulary. The second is
                checked on a CPU only: on a GPU every step would have to wait for the answer.
        """
        length = tokens.shape[1]
        self._check_length("sequence", length)
        if tokens.device.type == "cpu" and tokens.numel() and not torch.compiler.is_compiling():
            self._check_tokens(tokens)
        text_mask = text_mask.bool()
        x = self._embed(tokens, text, text_mask)  # [B, S, dim]
        return self._layers(x, self.rotary(length), prefix_rule(text_mask, length) if mask is None else mask)

    def check_codebook(self, codebook_size: int) -> None:
        """Raise InputError unless a tokenizer with this many codes can read what this decoder writes."""
        if codebook_size != self.codebook_size:
            raise InputError(
                "codebook_size",
                found=f"a tokenizer with {codebook_size} codes and a decoder with {self.codebook_size}",
                expected="the same number",
                fix="Use the tokenizer whose codes the decoder was trained on.",
            )

    def new_cache(self, batch: int, length: int) -> KVCache:
        """An empty cache for `batch` rows of at most `length` positions, where the weights are.

        Raises:
            InputError: it would be longer than `max_length`.
        """
        self._check_length("cache", length)
        weight = self.llama_proj.weight
        return KVCache(len(self.blocks), batch, self.n_kv_heads, length, self.head_dim, weight.device, weight.dtype)

    def prefill(self, text: Tensor, text_mask: Tensor, cache: KVCache) -> Tensor:
        """Read the text into the cache; logits `[B, K + 1]` of the first motion code."""
        text_mask = text_mask.bool()
        batch, width = text_mask.shape
        slots = torch.full((batch, width), self.pad_token, device=text.device)  # [B, W]
        cache.used = width
        cache.show(text_mask)
        x = self._embed(slots, text, text_mask)  # [B, W, dim]
        x = self._layers(x, self.rotary(width), prefix_rule(text_mask, width), cache)
        last = text_mask.sum(1) - 1  # [B]: the last text slot of each row predicts the first code
        logits: Tensor = self.lm_head(x[torch.arange(batch, device=x.device), last])  # [B, K+1]
        return logits

    def step(self, tokens: Tensor, positions: Tensor, cache: KVCache) -> Tensor:
        """Read one more token a row; logits `[B, K + 1]` of the next.

        Args:
            tokens: int64 `[B]`.
            positions: int64 `[B]`, where each row stands: its text length plus the codes it has.
        """
        x = self.transformer["wte"](tokens[:, None])  # [B, 1, dim]
        x = self._layers(x, self.rotary(positions[:, None]), cache.mask(), cache)  # [B, 1, dim]
        logits: Tensor = self.lm_head(x[:, 0])  # [B, K+1]
        return logits

    def _embed(self, tokens: Tensor, text: Tensor, text_mask: Tensor) -> Tensor:
        width = text.shape[1]
        x = self.transformer["wte"](tokens)  # [B, S, dim]
        front = torch.where(text_mask[..., None], self.llama_proj(text), x[:, :width])  # [B, W, dim]
        return torch.cat([front, x[:, width:]], dim=1)

    def _check_length(self, where: str, length: int) -> None:
        if length > self.max_length:
            raise InputError(
                where,
                found=f"{length} positions",
                expected=f"at most max_length={self.max_length}",
                fix="Shorten the text or the motion, or build the model with a larger max_length.",
            )

    def _check_tokens(self, tokens: Tensor) -> None:
        low, high = (int(value) for value in tokens.aminmax())
        rows = self.codebook_size + 2 + (self.mask_token is not None)
        if low < 0 or high >= rows:
            raise InputError(
                "tokens",
                found=f"values {low} to {high}",
                expected=f"0 to {rows - 1}",
                fix=f"Use the tokenizer that the decoder was trained with: it has {self.codebook_size} codes.",
            )

    def _layers(self, x: Tensor, turn: Tensor, mask: Mask, cache: KVCache | None = None) -> Tensor:
        for layer, block in enumerate(self.blocks):
            x = block(x, turn, mask, cache, layer)
        x = self.transformer["ln_f"](x)
        return x
