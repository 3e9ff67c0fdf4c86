"""One token through the decoder as one flat function: the numbers of `MotionLlama.step`, with less around them.

A small decoder spends most of a step on calling modules and starting kernels, not on arithmetic. So the layers are
written out, and everything that can be done once is done once:

* A norm's scale, and the sqrt(d) of its mean, go into the weights that follow:
  `rms_norm(x) * s @ W = x / hypot(|x|, sqrt(d eps)) @ (W * s * sqrt(d))`, three kernels instead of six.
* Weights lie transposed, the way a product with few rows reads them fastest, and gate and up are one product.
* The residual sum is part of the product before it (`addmm`); rotation and activation happen in place.
* Query heads that share a key head are the rows of one product, instead of copies of the key.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from motionlab.llama.block import Block
from motionlab.llama.cache import KVCache
from motionlab.llama.model import MotionLlama
from motionlab.llama.norm import RMSNorm


class FlatDecoder:
    """`step` of a model as it is now: the weights are copies, so make a new one after training on.

    The copies double the memory of the weights. `fits` says where that is worth it.
    """

    def __init__(self, model: MotionLlama) -> None:
        self.n_head, self.n_kv_heads, self.head_dim = model.n_head, model.n_kv_heads, model.head_dim
        self.eps, self.table = model.norm_eps, model.rotary.table
        self.embedding = model.get_parameter("transformer.wte.weight")
        self.layers = [_Layer(block) for block in model.blocks if isinstance(block, Block)]
        last = model.get_parameter("transformer.ln_f.scale")
        self.head = _lay_out(model.lm_head.weight, last)
        # hypot wants a tensor: sqrt(d eps), for the norms of the stream.
        self.floor = torch.tensor((model.dim * model.norm_eps) ** 0.5, dtype=last.dtype, device=last.device)

    @staticmethod
    def fits(model: MotionLlama, limit: int = 2**28) -> bool:
        """True on a CPU in float32 with at most `limit` parameters (1 GiB). Larger ones wait for memory anyway."""
        weight = model.get_parameter("llama_proj.weight")
        plain = weight.device.type == "cpu" and weight.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
        # Something else than a matrix may stand in for the output layer.
        known = isinstance(getattr(model.lm_head, "weight", None), Tensor)
        return plain and known and sum(parameter.numel() for parameter in model.parameters()) <= limit

    def step(self, tokens: Tensor, positions: Tensor, cache: KVCache) -> Tensor:
        """As `MotionLlama.step`: tokens and positions int64 `[B]` to logits `[B, K + 1]`.

        Notation: H query heads, G key-value heads, hd width of a head, T slots in use.
        """
        batch, used, heads, groups, hd = len(tokens), cache.used, self.n_head, self.n_kv_heads, self.head_dim
        queries, turned, everything = heads * hd, (heads + groups) * hd, (heads + 2 * groups) * hd
        turn = self.table[positions][:, None]  # [B, 1, hd/2]
        mask = cache.mask()  # [B, 1, 1, T], or None when every slot is visible
        x = F.embedding(tokens, self.embedding)  # [B, dim]
        for layer, stored in zip(self.layers, cache.layers, strict=True):
            qkv = self._normed(x) @ layer.qkv  # [B, (H + 2G) hd]
            if layer.q_norm is not None and layer.k_norm is not None:
                query = F.rms_norm(qkv[:, :queries].view(batch, heads, hd), (hd,), layer.q_norm, self.eps)
                key = F.rms_norm(qkv[:, queries:turned].view(batch, groups, hd), (hd,), layer.k_norm, self.eps)
                qkv = torch.cat([query.flatten(1), key.flatten(1), qkv[:, turned:]], dim=1)
            pairs = qkv[:, :turned].view(batch, heads + groups, hd // 2, 2)
            torch.view_as_complex(pairs).mul_(turn)  # changes the queries and keys inside qkv
            key_value = qkv[:, queries:everything].view(batch, 2, groups, hd)
            stored[:, :, :, used - 1] = key_value.transpose(0, 1)  # [2, B, G, hd]
            keys, values = stored[:, :, :, :used].unbind(0)  # 2 x [B, G, T, hd]
            query = qkv[:, :queries].view(batch, groups, heads // groups, hd)  # the H/G queries of a key are its rows
            y = F.scaled_dot_product_attention(query, keys, values, attn_mask=mask)  # [B, G, H/G, hd]
            x = torch.addmm(x, y.reshape(batch, queries), layer.out)
            gate, up = (self._normed(x) @ layer.gate_up).chunk(2, dim=1)  # 2 x [B, hidden]
            x = torch.addmm(x, F.silu(gate, inplace=True).mul_(up), layer.down)
        return self._normed(x) @ self.head  # [B, K+1]

    def _normed(self, x: Tensor) -> Tensor:
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)  # [B, 1]
        return x / torch.hypot(length, self.floor)


class _Layer:
    """The weights of one layer, laid out for `FlatDecoder.step`: `[inputs, outputs]`."""

    def __init__(self, block: Block) -> None:
        attention, mlp = block.attn, block.mlp
        self.qkv = _lay_out(attention.c_attn.weight, block.rms_1.scale)
        self.q_norm, self.k_norm = _scale(attention.q_norm), _scale(attention.k_norm)
        self.out = _lay_out(attention.c_proj.weight)
        self.gate_up = _lay_out(torch.cat([mlp.c_fc1.weight, mlp.c_fc2.weight]), block.rms_2.scale)
        self.down = _lay_out(mlp.c_proj.weight)


def _scale(norm: RMSNorm | None) -> Tensor | None:
    return None if norm is None else norm.scale


def _lay_out(weight: Tensor, scale: Tensor | None = None) -> Tensor:
    """`[outputs, inputs]` to `[inputs, outputs]`, with the scale and sqrt(d) of the norm before it."""
    if scale is not None:
        weight = weight * (scale * len(scale) ** 0.5)
    return weight.T.contiguous()
