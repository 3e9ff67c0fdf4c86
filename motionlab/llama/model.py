"""MotionLlama, a LLaMA decoder that reads text features and writes motion codes: norm, attention, block, decoder.

The layers follow Touvron et al., "LLaMA", arXiv:2302.13971. The text enters as a prefix: the first W slots of the
sequence are filled by projected text features instead of token embeddings (MotionMillion, arXiv:2507.07095).

    tokens      [text slots: PAD id][motion codes 0..K-1][END = K][PAD = K+1]
    embeddings  [llama_proj(text)  ][wte(tokens)                            ]

The embedding table has K + 2 rows. The output has K + 1: codes and END, because PAD is never predicted.
Parameter names are those of the published checkpoint.

Notation in the shapes:
    B rows of the batch        S positions read now         W text slots, W <= S
    K codes of the tokenizer   dim width of the stream      hidden width inside SwiGLU
    H query heads              G key-value heads            hd = dim / H, width of a head
    T positions that attention looks at: S, or with a cache the slots in use

Next to this file: `rope.py` (positions), `masks.py` (which token sees which), `cache.py` (what generation keeps),
`attention_loop.py` (attention as plain loops), `initialise.py`, `variant.py`, `head.py`, `checks.py`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from motionlab.llama.cache import KVCache
from motionlab.llama.checks import check_codebook, check_heads, check_length, check_sizes, check_tokens
from motionlab.llama.head import TiedHead
from motionlab.llama.initialise import initialise
from motionlab.llama.masks import Mask, prefix_rule
from motionlab.llama.rope import RopeSettings, Rotary, apply_rope
from motionlab.llama.sizes import swiglu_hidden
from motionlab.llama.variant import LlamaVariant


class RMSNorm(nn.Module):
    """`x / rms(x) * scale` over the last dimension. Unlike LayerNorm it subtracts no mean and has no bias.

    Zhang and Sennrich, arXiv:1910.07467.

    >>> RMSNorm(2)(torch.tensor([3.0, 4.0])).detach()  # rms = sqrt((9 + 16) / 2) = 3.5355
    tensor([0.8485, 1.1314])
    """

    def __init__(self, dim: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.scale = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        # One fused kernel on a GPU. It takes the mean of the squares in float32 whatever the dtype of x.
        return F.rms_norm(x, self.scale.shape, self.scale, self.eps)


class Attention(nn.Module):
    """Causal self-attention with grouped queries (GQA) and rotary positions: `[B, S, dim] -> [B, S, dim]`.

    `n_kv_heads = n_head` is ordinary multi-head attention, `n_kv_heads = 1` is multi-query attention; between them,
    groups of H / G query heads share one key and one value head.  Ainslie et al., arXiv:2305.13245.

    Args:
        qk_norm: normalise each query and key head before it is turned. Scores then stay bounded, however large the
            weights grow, which keeps long trainings stable.  Henry et al., arXiv:2010.04245; here as in Qwen 3.
        eps: of these norms.

    Raises:
        InputError: the heads do not divide the width, or head_dim is odd (RoPE turns pairs).
    """

    def __init__(self, dim: int, n_head: int, n_kv_heads: int, *, qk_norm: bool = False, eps: float = 1e-5) -> None:
        super().__init__()
        check_heads(dim, n_head, n_kv_heads)
        self.n_head, self.n_kv_heads, self.head_dim = n_head, n_kv_heads, dim // n_head
        # One product for queries, keys and values: rows [0, H*hd) are queries, then G*hd keys, then G*hd values.
        self.c_attn = nn.Linear(dim, (n_head + 2 * n_kv_heads) * self.head_dim, bias=False)
        self.c_proj = nn.Linear(dim, dim, bias=False)
        self.q_norm = RMSNorm(self.head_dim, eps) if qk_norm else None
        self.k_norm = RMSNorm(self.head_dim, eps) if qk_norm else None

    def forward(
        self,
        x: Tensor,
        turn: Tensor,
        mask: Mask,
        cache: KVCache | None = None,
        layer: int = 0,
        places: Tensor | None = None,
    ) -> Tensor:
        """Each position gathers the values of the positions it may look at.

        Args:
            x: `[B, S, dim]`.
            turn: rotation of each position, `[S, hd/2]` or `[B, S, hd/2]`, from `Rotary`.
            mask: bool `[B, 1, S, T]`; or "causal"; or None, everyone at everyone.
            cache: keys and values of earlier positions; those of `x` are added to it.
            layer: the place of this layer in the cache.
            places: int64 `[n]`, see `Block`; the result is `[n, dim]` then.
        """
        heads, groups = self.n_head, self.n_kv_heads
        qkv = self.c_attn(x).unflatten(-1, (heads + 2 * groups, self.head_dim))  # [B, S, H+2G, hd]
        query_key, value = qkv.split((heads + groups, groups), dim=2)  # [B, S, H+G, hd], [B, S, G, hd]
        if self.q_norm is not None and self.k_norm is not None:
            query, key = query_key.split((heads, groups), dim=2)  # [B, S, H, hd], [B, S, G, hd]
            query_key = torch.cat([self.q_norm(query), self.k_norm(key)], dim=2)  # [B, S, H+G, hd]
        # Queries and keys are turned in one call; values carry no position.
        query, key = apply_rope(query_key, turn).split((heads, groups), dim=2)  # [B, S, H, hd], [B, S, G, hd]
        query, key, value = (part.transpose(1, 2) for part in (query, key, value))  # [B, H, S, hd], 2 x [B, G, S, hd]
        if cache is not None:
            key, value = cache.update(layer, key, value)  # 2 x [B, G, T, hd]
        causal, mask = (True, None) if isinstance(mask, str) else (False, mask)
        # softmax(query key^T / sqrt(hd)) value in one kernel, which lets H / G query heads read the same key and value.
        y = F.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, is_causal=causal, enable_gqa=groups < heads
        )  # [B, H, S, hd]
        output: Tensor = self.c_proj(_picked(y.transpose(1, 2).flatten(2), places))  # [B, S, H, hd] -> [B, S, dim]
        return output


class SwiGLU(nn.Module):
    """`W3 (silu(W1 x) * W2 x)`: one product decides how much of the other passes. The names are the checkpoint's.

    Shazeer, "GLU variants", arXiv:2002.05202.
    """

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.c_fc1 = nn.Linear(dim, hidden, bias=False)
        self.c_fc2 = nn.Linear(dim, hidden, bias=False)
        self.c_proj = nn.Linear(hidden, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gated = F.silu(self.c_fc1(x)) * self.c_fc2(x)  # [B, S, hidden]
        output: Tensor = self.c_proj(gated)  # [B, S, dim]
        return output


class Block(nn.Module):
    """One decoder layer, `[B, S, dim] -> [B, S, dim]`. `qk_norm`: see `Attention`; `eps` is that of the norms.

    The residual stream `x` is never normalised itself, so gradients reach every layer unchanged.

    With `places [n]`, numbers of positions in `[B * S]`, only these are computed after the attention, to `[n, dim]`;
    all are looked at. For the last layer of a training: nothing asks it for the states of text slots and padding.
    """

    def __init__(
        self, dim: int, n_head: int, n_kv_heads: int, hidden: int, *, qk_norm: bool = False, eps: float = 1e-5
    ) -> None:
        super().__init__()
        self.rms_1 = RMSNorm(dim, eps)
        self.attn = Attention(dim, n_head, n_kv_heads, qk_norm=qk_norm, eps=eps)
        self.rms_2 = RMSNorm(dim, eps)
        self.mlp = SwiGLU(dim, hidden)

    def forward(
        self,
        x: Tensor,
        turn: Tensor,
        mask: Mask,
        cache: KVCache | None = None,
        layer: int = 0,
        places: Tensor | None = None,
    ) -> Tensor:
        x = _picked(x, places) + self.attn(self.rms_1(x), turn, mask, cache, layer, places)
        x = x + self.mlp(self.rms_2(x))
        return x


def _picked(x: Tensor, places: Tensor | None) -> Tensor:
    """`[B, S, dim]` -> `[n, dim]`, or as it is without places."""
    return x if places is None else x.flatten(0, 1).index_select(0, places)


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

    Raises:
        InputError: a size below 1, or heads that do not divide the width.

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
        self.n_kv_heads = n_head if n_kv_heads is None else n_kv_heads
        self.hidden_dim = swiglu_hidden(dim) if variant.hidden is None else variant.hidden
        check_sizes(
            codebook_size=codebook_size, n_layer=n_layer, dim=dim, text_dim=text_dim, max_length=max_length,
            hidden=self.hidden_dim,
        )  # fmt: skip
        check_heads(dim, n_head, self.n_kv_heads)
        self.n_head, self.head_dim = n_head, dim // n_head
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
        """Fresh random weights, see `initialise.py`."""
        initialise(self, len(self.blocks))

    def check_codebook(self, codebook_size: int) -> None:
        """Raise InputError unless a tokenizer with this many codes can read what this decoder writes."""
        check_codebook(codebook_size, self.codebook_size)

    def forward(self, tokens: Tensor, text: Tensor, text_mask: Tensor, mask: Tensor | None = None) -> Tensor:
        """Logits of the next token at every position.

        Args:
            tokens: int64 `[B, S]`; the content of text slots does not matter.
            text: `[B, W, text_dim]` of any float dtype, W <= S; it is read in that of the weights.
            text_mask: `[B, W]`, true where a text slot is in use; each row starts at slot 0.
            mask: bool `[B, 1, S, S]`, which position sees which; None is `prefix_mask`.

        Returns:
            `[B, S, K + 1]`.
        """
        logits: Tensor = self.lm_head(self.hidden(tokens, text, text_mask, mask))  # [B, S, K+1]
        return logits

    def hidden(
        self, tokens: Tensor, text: Tensor, text_mask: Tensor, mask: Tensor | None = None, only: Tensor | None = None
    ) -> Tensor:
        """As `forward`, but stops before `lm_head`: `[B, S, dim]`. The loss needs logits at labelled positions only.

        Args:
            only: bool `[B, S]`; the result is `hidden(...)[only]`, `[n, dim]`, and the last layer computes no more.

        Raises:
            InputError: the sequence is longer than `max_length`, or a token is outside the vocabulary. The second is
                checked on a CPU only: on a GPU every step would have to wait for the answer.
        """
        length = tokens.shape[1]  # S
        check_length("sequence", length, self.max_length)
        check_tokens(tokens, self.codebook_size, rows=self.codebook_size + 2 + (self.mask_token is not None))
        text_mask = text_mask.bool()
        x = self._embed(tokens, text, text_mask)  # [B, S, dim]
        places = None if only is None else only.flatten().nonzero()[:, 0]  # [n]
        rule = prefix_rule(text_mask, length) if mask is None else mask
        return self._layers(x, self.rotary(length), rule, places=places)

    def _embed(self, tokens: Tensor, text: Tensor, text_mask: Tensor) -> Tensor:
        width = text.shape[1]  # W
        # Text comes in float32, weights may be bfloat16 or float16. Every way into the decoder passes here.
        text = text.to(self.llama_proj.weight.dtype)
        x = self.transformer["wte"](tokens)  # [B, S, dim]
        front = torch.where(text_mask[..., None], self.llama_proj(text), x[:, :width])  # [B, W, dim]
        return torch.cat([front, x[:, width:]], dim=1)  # [B, S, dim]

    def _layers(
        self, x: Tensor, turn: Tensor, mask: Mask, cache: KVCache | None = None, places: Tensor | None = None
    ) -> Tensor:
        last = len(self.blocks) - 1
        for layer, block in enumerate(self.blocks):
            x = block(x, turn, mask, cache, layer, places if layer == last else None)  # [B, S, dim]
        x = self.transformer["ln_f"](x)
        return x

    # Generation reads the text once, then one token per row at a time. `cache.py` explains the idea.

    def new_cache(self, batch: int, length: int) -> KVCache:
        """An empty cache for `batch` rows of at most `length` positions, where the weights are.

        Raises:
            InputError: it would be longer than `max_length`.
        """
        check_length("cache", length, self.max_length)
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
        """Read one more token per row; logits `[B, K + 1]` of the next.

        Args:
            tokens: int64 `[B]`.
            positions: int64 `[B]`, the position of each row: its text length plus the codes it has.
        """
        x = self.transformer["wte"](tokens[:, None])  # [B, 1, dim]
        x = self._layers(x, self.rotary(positions[:, None]), cache.mask(), cache)  # [B, 1, dim]
        logits: Tensor = self.lm_head(x[:, 0])  # [B, K+1]
        return logits
