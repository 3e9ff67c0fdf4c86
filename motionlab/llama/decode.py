"""One token through the decoder as one flat function: the numbers of `MotionLlama.step`, with less around them.

A small decoder spends most of a step on calling modules and starting kernels, not on arithmetic. So the layers are
written out, and everything that can be done once is done once:

* A norm's scale, and the sqrt(d) of its mean, go into the weights that follow, and so does the 1/sqrt(hd) of the
  scores: `rms_norm(x) * s @ W = x / hypot(|x|, sqrt(d eps)) @ (W * s * sqrt(d))`.
* Weights lie transposed, the way a product with few rows reads them fastest (up to twice as fast as `F.linear` here);
  gate and up are one product. Residual sums are part of the product before them (`addmm_`).
* Results go into memory that is taken once a batch (`_Desk`), and every view of it is made once, too: a view costs
  nothing to compute, but a microsecond to ask for.
* Query heads that share a key head are the rows of one product, instead of copies of the key.
"""

from __future__ import annotations

import math
import weakref

import torch
import torch.nn.functional as F
from torch import Tensor

from motionlab.llama.block import Block
from motionlab.llama.cache import KVCache
from motionlab.llama.model import MotionLlama


class FlatDecoder:
    """`step` of a model as it is now: the weights are copies. Get one by `flat_decoder`, which sees when they are old.

    The copies double the memory of the weights. `fits` says where that is worth it.
    Notation, here and below: B rows, G key-value heads, R query heads to each of them, hd width of a head.
    """

    @torch.no_grad()
    @torch.inference_mode(False)  # what is made here outlives the call, and inference tensors cannot be written later
    def __init__(self, model: MotionLlama) -> None:
        self.n_kv_heads, self.head_dim, self.eps = model.n_kv_heads, model.head_dim, model.norm_eps
        self.shared = model.n_head // model.n_kv_heads  # R
        self.table = model.rotary.table
        self.embedding = model.get_parameter("transformer.wte.weight").detach()
        self.layers = [_Layer(block) for block in model.blocks if isinstance(block, Block)]
        self.head = _lay_out(model.lm_head.weight, model.get_parameter("transformer.ln_f.scale"))
        self.floor = (model.dim * model.norm_eps) ** 0.5  # for the norms of the stream: sqrt(d eps)
        self._floor = torch.tensor(self.floor, dtype=self.head.dtype)
        self._desk: _Desk | None = None

    @staticmethod
    def fits(model: MotionLlama, limit: int = 2**28) -> bool:
        """True on a CPU in float32 with at most `limit` parameters (1 GiB). Larger ones wait for memory anyway."""
        weight = model.get_parameter("llama_proj.weight")
        plain = weight.device.type == "cpu" and weight.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
        # Something else than a matrix may stand in for the output layer.
        known = isinstance(getattr(model.lm_head, "weight", None), Tensor)
        return plain and known and sum(parameter.numel() for parameter in model.parameters()) <= limit

    def step(self, tokens: Tensor, positions: Tensor, cache: KVCache) -> Tensor:
        """As `MotionLlama.step`: tokens and positions int64 `[B]` to logits `[B, K + 1]`."""
        batch, groups = len(tokens), self.n_kv_heads
        if self._desk is None or self._desk.batch != batch:
            with torch.inference_mode(False):
                self._desk = _Desk(batch, groups, self.shared, self.head_dim, self.layers[0])
        desk = self._desk
        turn = self.table[positions].view(batch, 1, 1, -1)  # [B, 1, 1, hd/2]
        keys, values, new = cache.flat()  # of each layer: [B*G, hd, T], [B*G, T, hd], [2, B*G, hd]
        bias = cache.bias()  # [B*G, 1, T], or None when every slot is visible
        x = F.embedding(tokens, self.embedding)  # [B, dim]
        for layer, key, value, slot in zip(self.layers, keys, values, new, strict=True):
            self._normed_product(x, layer.qkv, desk.qkv)  # [B, G * (R + 2) * hd]
            if layer.q_norm is not None and layer.k_norm is not None:
                desk.query.copy_(F.rms_norm(desk.query, (self.head_dim,), layer.q_norm, self.eps))
                desk.key.copy_(F.rms_norm(desk.key, (self.head_dim,), layer.k_norm, self.eps))
            desk.pairs.mul_(turn)  # rotation of queries and keys, as complex numbers [B, G, R + 1, hd/2]
            slot.copy_(desk.key_value)
            if bias is None:
                scores = torch.bmm(desk.query, key)  # [B*G, R, T]
            else:
                scores = torch.baddbmm(bias, desk.query, key)
            torch.bmm(scores.softmax(-1), value, out=desk.heads)  # [B*G, R, hd]
            x.addmm_(desk.read, layer.out)  # [B, G * R * hd] @ [dim, dim]
            self._normed_product(x, layer.gate_up, desk.gate_up)  # [B, 2 * hidden]
            F.silu(desk.gate, inplace=True).mul_(desk.up)
            x.addmm_(desk.gate, layer.down)  # [B, dim]
        return self._normed_product(x, self.head, x.new_empty(batch, self.head.shape[1]))  # [B, K+1]

    def _normed_product(self, x: Tensor, weight: Tensor, out: Tensor) -> Tensor:
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)  # [B, 1]
        if len(x) == 1:  # one row has one length, which the product takes as a factor: two kernels instead of four
            factor = 1.0 / math.hypot(length.item(), self.floor)
            return torch.addmm(out, x, weight, beta=0.0, alpha=factor, out=out)
        return torch.mm(x / torch.hypot(length, self._floor), weight, out=out)


def flat_decoder(model: MotionLlama) -> FlatDecoder:
    """The flat form of a model: the one of an earlier call, while the weights are still the same.

    Laying out weights costs as much as ten tokens or more. Whether they have changed is asked of their values, at the
    cost of reading them once: torch's own counters miss what is written through `parameter.data`.
    """
    signs = _signs(model)
    made, old_signs = _MADE.get(model, (None, []))
    if made is None or len(signs) != len(old_signs) or not all(map(torch.equal, signs, old_signs)):
        made = FlatDecoder(model)
        _MADE[model] = made, signs
    return made


_MADE: weakref.WeakKeyDictionary[MotionLlama, tuple[FlatDecoder, list[Tensor]]] = weakref.WeakKeyDictionary()


@torch.no_grad()
@torch.inference_mode(False)
def _signs(model: MotionLlama) -> list[Tensor]:
    """What tells weights from others: each matrix times one fixed vector, which leaves a number a row."""
    parameters = list(model.parameters())
    width = max(parameter.shape[-1] for parameter in parameters)
    probe = torch.linspace(1.0, 2.0, width, dtype=parameters[0].dtype)
    return [p.clone() if p.dim() == 1 else p @ probe[: p.shape[1]] for p in parameters]


class _Desk:
    """Memory for the results of one layer with `batch` rows, and the views of it that a step needs.

    The columns of `qkv` are sorted by key-value head: R queries, the key, the value. So rows and groups can be merged
    into one dimension without a copy.
    """

    def __init__(self, batch: int, groups: int, shared: int, hd: int, layer: _Layer) -> None:
        self.batch = batch
        weight = layer.qkv
        self.qkv = weight.new_empty(batch, groups * (shared + 2) * hd)
        parts = self.qkv.view(batch * groups, shared + 2, hd)  # [B*G, R + 2, hd]
        self.query, self.key = parts[:, :shared], parts[:, shared]  # [B*G, R, hd], [B*G, hd]
        self.key_value = parts[:, shared:].transpose(0, 1)  # [2, B*G, hd]
        turning = parts[:, : shared + 1].unflatten(0, (batch, groups)).unflatten(-1, (-1, 2))
        self.pairs = torch.view_as_complex(turning)  # [B, G, R + 1, hd/2]
        self.heads = weight.new_empty(batch * groups, shared, hd)
        self.read = self.heads.view(batch, groups * shared * hd)
        self.gate_up = weight.new_empty(batch, layer.gate_up.shape[1])
        self.gate, self.up = self.gate_up.chunk(2, dim=1)  # 2 x [B, hidden]


class _Layer:
    """The weights of one layer, laid out for `FlatDecoder.step`: `[inputs, outputs]`."""

    def __init__(self, block: Block) -> None:
        attention, mlp = block.attn, block.mlp
        groups, hd = attention.n_kv_heads, attention.head_dim
        query, key, value = attention.c_attn.weight.split((attention.n_head * hd, groups * hd, groups * hd))
        scale = hd**-0.5  # of the scores; behind a norm it has to wait until after it
        self.q_norm = None if attention.q_norm is None else attention.q_norm.scale * scale
        self.k_norm = None if attention.k_norm is None else attention.k_norm.scale
        query = query * (scale if self.q_norm is None else 1.0)
        by_group = torch.cat([part.view(groups, -1, part.shape[1]) for part in (query, key, value)], dim=1)
        self.qkv = _lay_out(by_group.flatten(0, 1), block.rms_1.scale)
        self.out = _lay_out(attention.c_proj.weight)
        self.gate_up = _lay_out(torch.cat([mlp.c_fc1.weight, mlp.c_fc2.weight]), block.rms_2.scale)
        self.down = _lay_out(mlp.c_proj.weight)


def _lay_out(weight: Tensor, scale: Tensor | None = None) -> Tensor:
    """`[outputs, inputs]` to `[inputs, outputs]`, with the scale and sqrt(d) of the norm before it."""
    weight = weight.T.clone(memory_format=torch.contiguous_format)
    return weight if scale is None else weight.mul_(scale[:, None] * len(scale) ** 0.5)
