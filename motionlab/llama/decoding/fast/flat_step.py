"""One token through the decoder as one flat function: the numbers of `MotionLlama.step`, with less around them.

A small decoder spends most of a step on calling modules and starting kernels, not on arithmetic. So the layers are
written out, and everything that can be done once is done once:

* A norm's scale, and the sqrt(d) of its mean, go into the weights that follow, and so does the 1/sqrt(hd) of the
  scores: `rms_norm(x) * s @ W = x / hypot(|x|, sqrt(d eps)) @ (W * s * sqrt(d))`. Gate and up are one product.
* Weights are laid out the way that a product with few rows reads them fastest, see `few_row_products.py`.
* Results go into memory that is taken once per batch (`_Desk`), and every view of it is made once, too: a view costs
  nothing to compute, but a microsecond to make. A norm's division and a residual sum are part of writing a product.
* Query heads that share a key head are the rows of one product, instead of copies of the key.
"""

from __future__ import annotations

import copy
import weakref

import torch
import torch.nn.functional as F
from torch import Tensor

from motionlab.llama.cache import KVCache
from motionlab.llama.decoding.fast.few_row_products import ROWS, Product, Source, Target
from motionlab.llama.decoding.fast.fingerprint import fingerprint, same
from motionlab.llama.model import Block, MotionLlama


class FlatDecoder:
    """`step` of a model as it is now: the weights are copies. Get one by `flat_decoder`, which sees when they are old.

    The copies double the memory of the weights. `fits` says where that is worth it.
    Notation, here and below: B rows, G key-value heads, R query heads to each of them, hd width of a head, T slots of
    the cache in use.
    """

    @torch.no_grad()
    @torch.inference_mode(False)  # what is made here outlives the call, and inference tensors cannot be written later
    def __init__(self, model: MotionLlama) -> None:
        self.n_kv_heads, self.head_dim, self.eps = model.n_kv_heads, model.head_dim, model.norm_eps
        self.shared = model.n_head // model.n_kv_heads  # R
        self.table = model.rotary.table
        self.embedding = model.get_parameter("transformer.wte.weight").detach()
        self.layers = [_Layer(block) for block in model.blocks if isinstance(block, Block)]
        self.head = _product(model.lm_head.weight, norm=model.get_parameter("transformer.ln_f.scale"), whole=True)
        self.outputs = len(model.lm_head.weight)  # K + 1
        self.floor = (model.dim * model.norm_eps) ** 0.5  # for the norms of the stream: sqrt(d eps)
        self._desk: _Desk | None = None

    @staticmethod
    def fits(model: MotionLlama, limit: int = 2**28) -> bool:
        """True on a CPU in float32 with at most `limit` parameters (1 GiB). Larger ones wait for memory anyway."""
        weight = model.get_parameter("llama_proj.weight")
        plain = weight.device.type == "cpu" and weight.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
        # The output layer may be something other than a matrix.
        known = isinstance(getattr(model.lm_head, "weight", None), Tensor)
        return plain and known and sum(parameter.numel() for parameter in model.parameters()) <= limit

    def step(self, tokens: Tensor, positions: Tensor, cache: KVCache) -> Tensor:
        """As `MotionLlama.step`: tokens and positions int64 `[B]` to logits `[B, K + 1]`."""
        batch = len(tokens)
        if self._desk is None or self._desk.batch != batch:
            self._desk = _Desk(self, batch)
        desk, x = self._desk, self._desk.stream.rows
        turn = self.table.index_select(0, positions).view(batch, 1, 1, -1)  # [B, 1, 1, hd/2]
        keys, values, newest = _views(cache)  # of each layer: [B*G, hd, T], [B*G, T, hd], [2, B*G, hd]
        bias = _bias(cache)  # [B*G, 1, T], or None: every slot is visible
        torch.index_select(self.embedding, 0, tokens, out=x)  # [B, dim]
        for layer, key, value, slot in zip(self.layers, keys, values, newest, strict=True):
            layer.qkv.write(desk.x, desk.qkv, desk.length())  # [B, G * (R + 2) * hd]
            if layer.q_norm is not None and layer.k_norm is not None:
                desk.query.copy_(F.rms_norm(desk.query, (self.head_dim,), layer.q_norm, self.eps))
                desk.key.copy_(F.rms_norm(desk.key, (self.head_dim,), layer.k_norm, self.eps))
            desk.pairs.mul_(turn)  # rotation of queries and keys, as complex numbers [B, G, R + 1, hd/2]
            slot.copy_(desk.key_value)
            scores = torch.bmm(desk.query, key) if bias is None else torch.baddbmm(bias, desk.query, key)
            torch.bmm(scores.softmax(-1), value, out=desk.heads)  # [B*G, R, T] to [B*G, R, hd]
            layer.out.add(desk.seen, desk.stream)  # [B, H * hd] to [B, dim]
            layer.gate_up.write(desk.x, desk.gate_up, desk.length())  # [B, 2 * hidden]
            F.silu(desk.gate.rows, inplace=True).mul_(desk.up)
            layer.down.add(desk.gate, desk.stream)  # [B, hidden] to [B, dim]
        logits = Target(x.new_empty(batch, self.head.outputs))
        self.head.write(desk.x, logits, desk.length())
        return logits.rows[:, : self.outputs]  # [B, K+1]


def _views(cache: KVCache) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Three views per layer, made for all layers at once, because a view costs time.

    Returns:
        keys in use `[B * G, hd, T]`; values in use `[B * G, T, hd]`; and where the newest slot is to be written, keys
        first, `[2, B * G, hd]`.
    """
    n_layer, kinds, batch, groups, length, head_dim = cache.stored.shape
    rows = cache.stored.view(n_layer, kinds, batch * groups, length, head_dim)  # [n_layer, 2, B*G, length, hd]
    keys, values = rows[:, :, :, : cache.used].unbind(1)  # 2 x [n_layer, B*G, T, hd]
    return keys.transpose(2, 3).unbind(0), values.unbind(0), rows[:, :, :, cache.used - 1].unbind(0)


def _bias(cache: KVCache) -> Tensor | None:
    """The mask of the cache as numbers to add to scores: 0 or minus infinity, `[B * G, 1, T]`."""
    mask = cache.mask()  # [B, 1, 1, T]
    if mask is None:
        return None
    hidden = ~mask[:, 0].repeat_interleave(cache.stored.shape[3], dim=0)  # [B*G, 1, T]
    return cache.stored.new_zeros(hidden.shape).masked_fill_(hidden, -torch.inf)


def flat_decoder(model: MotionLlama) -> FlatDecoder:
    """The flat form of a model; with the copies of an earlier call, while the weights are still the same.

    Laying out weights costs as much as ten tokens or more. A fingerprint tells whether they have changed.
    """
    signs = fingerprint(model)
    made, old_signs = _MADE.get(model, (None, []))
    if made is None or not same(signs, old_signs):
        made = FlatDecoder(model)
        _MADE[model] = made, signs
    return copy.copy(made)  # shares the weights; the desk belongs to this call


_MADE: weakref.WeakKeyDictionary[MotionLlama, tuple[FlatDecoder, list[Tensor]]] = weakref.WeakKeyDictionary()


class _Layer:
    """The weights of one layer. They hold no module, so that a model can go while its flat form is kept."""

    def __init__(self, block: Block) -> None:
        attention, mlp = block.attn, block.mlp
        heads, groups, hd = attention.n_head, attention.n_kv_heads, attention.head_dim
        norm_1, norm_2, c_attn = block.rms_1.scale, block.rms_2.scale, attention.c_attn.weight
        scale = hd**-0.5  # of the scores; behind a norm it has to wait until after it
        self.q_norm = None if attention.q_norm is None else attention.q_norm.scale.detach() * scale
        self.k_norm = None if attention.k_norm is None else attention.k_norm.scale.detach()
        before = scale if self.q_norm is None else 1.0
        self.qkv = Product(
            (len(c_attn), c_attn.shape[1]), lambda: _by_group(_folded(norm_1, c_attn), heads, groups, before)
        )
        self.out = _product(attention.c_proj.weight)
        self.gate_up = _product(mlp.c_fc1.weight, mlp.c_fc2.weight, norm=norm_2)
        self.down = _product(mlp.c_proj.weight)
        self.products = (self.qkv, self.out, self.gate_up, self.down)


def _product(*weights: Tensor, norm: Tensor | None = None, whole: bool = False) -> Product:
    """The product with weights `[outputs, inputs]`, one below the other, behind a norm with this scale.

    Args:
        whole: add rows of zeros until blocks of the product are whole.
    """
    rows, inputs = sum(map(len, weights)), weights[0].shape[1]
    spare = -rows % ROWS if whole else 0

    def weight() -> Tensor:
        return F.pad(torch.cat(weights) if norm is None else _folded(norm, *weights), (0, 0, 0, spare))

    return Product((rows + spare, inputs), weight)


def _folded(norm: Tensor, *weights: Tensor) -> Tensor:
    """Weights with the scale of the norm before them, and the sqrt(d) of its mean."""
    folded: Tensor = torch.cat(weights) * (norm * len(norm) ** 0.5)
    return folded


def _by_group(weight: Tensor, heads: int, groups: int, scale: float) -> Tensor:
    """Rows of queries, keys and values sorted by key-value head: its R queries (times `scale`), its key, its value.

    So the rows of a batch and the groups can be merged into one dimension without a copy.
    """
    by_head = weight.view(heads + 2 * groups, -1, weight.shape[1])  # [H + 2G, hd, inputs]
    query, key, value = by_head.split((heads, groups, groups))
    query = (query * scale).unflatten(0, (groups, -1))  # [G, R, hd, inputs]
    return torch.cat([query, key[:, None], value[:, None]], dim=1).flatten(0, 2)


class _Desk:
    """Memory for the results of one layer with `batch` rows, and the views of it that a step needs."""

    @torch.inference_mode(False)  # as in FlatDecoder
    def __init__(self, flat: FlatDecoder, batch: int) -> None:
        self.batch, layer = batch, flat.layers[0]
        groups, shared, hd = flat.n_kv_heads, flat.shared, flat.head_dim
        self.qkv, self.gate_up = (
            Target(flat.embedding.new_empty(batch, product.outputs)) for product in (layer.qkv, layer.gate_up)
        )
        # The stream, followed by sqrt(d eps): the length of such a row is what a norm divides by.
        self.wide_stream = flat.embedding.new_zeros(batch, layer.down.outputs + ROWS)
        self.wide_stream[:, -1] = flat.floor
        self.stream = Target(self.wide_stream[:, :-ROWS])
        parts = self.qkv.rows.view(batch * groups, shared + 2, hd)  # [B*G, R + 2, hd]
        self.query, self.key = parts[:, :shared], parts[:, shared]  # [B*G, R, hd], [B*G, hd]
        self.key_value = parts[:, shared:].transpose(0, 1)  # [2, B*G, hd]
        turning = parts[:, : shared + 1].unflatten(0, (batch, groups)).unflatten(-1, (-1, 2))
        self.pairs = torch.view_as_complex(turning)  # [B, G, R + 1, hd/2]
        self.heads = flat.embedding.new_empty(batch * groups, shared, hd)
        gate, self.up = self.gate_up.rows.chunk(2, dim=1)  # 2 x [B, hidden]
        self._length = flat.embedding.new_empty(batch, 1)
        # The inputs of products: the stream, attention's result, and the gate.
        self.x, self.gate = Source(self.stream.rows), Source(gate)
        self.seen = Source(self.heads.view(batch, groups * shared * hd))

    def length(self) -> Tensor | float:
        """`hypot(|x|, sqrt(d eps))` of each row of the stream, `[B, 1]`; of one row, a plain number."""
        torch.linalg.vector_norm(self.wide_stream, dim=-1, keepdim=True, out=self._length)
        return self._length.item() if self.batch == 1 else self._length
