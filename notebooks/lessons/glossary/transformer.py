"""Demonstrations: the decoder and its parts."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F

import motionlab as ml
from lessons.glossary.kit import kit
from lessons.glossary.registry import shows
from motionlab.llama.masks import causal_mask
from motionlab.llama.rope import rope_frequencies


@shows("attention")
def _attention() -> str:
    query, keys = torch.tensor([4.0, 0.0]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    values = torch.tensor([[10.0], [20.0]])
    weights = torch.softmax(keys @ query / 2**0.5, dim=0)
    return (
        f"weights {[round(float(w), 2) for w in weights]}, so the value is {ml.about(float((weights @ values)[0]), 3)}"
    )


@shows("attention head")
def _head() -> str:
    llama = kit.llama
    return (
        f"{llama.n_head} heads of {llama.head_dim} channels = {llama.n_head * llama.head_dim} = the width {llama.dim}"
    )


@shows("attention mask")
def _mask() -> str:
    scores, allowed = torch.tensor([1.0, 1.0, 5.0]), torch.tensor([True, True, False])
    weights = scores.masked_fill(~allowed, -torch.inf).softmax(0)
    return f"the third token is hidden, however well it fits: weights {weights.tolist()}"


@shows("causal mask")
def _causal() -> str:
    return f"{causal_mask(3).int().tolist()}: row = who looks"


@shows("cross-attention")
def _cross() -> str:
    layer = torch.nn.MultiheadAttention(8, 2, batch_first=True)
    motion, words = torch.rand(1, 5, 8), torch.rand(1, 3, 8)
    out, weights = layer(motion, words, words)
    return f"5 queries of one sequence, 3 keys of another: weights {tuple(weights.shape)}, result {tuple(out.shape)}"


@shows("embedding")
def _embedding() -> str:
    table = kit.llama.transformer["wte"].weight
    row = kit.llama.transformer["wte"](torch.tensor([7]))[0]
    return f"table {tuple(table.shape)}; the vector of token 7 is row 7: {torch.equal(row, table[7])}"


@shows("GQA", "MHA", "MQA")
def _groups() -> str:
    sizes = {name: ml.Attention(128, 4, heads) for name, heads in (("MHA", 4), ("GQA", 2), ("MQA", 1))}
    rows = (f"{name}: {a.n_head} query, {a.n_kv_heads} key heads" for name, a in sizes.items())
    return "; ".join(rows)


@shows("half-split layout", "interleaved layout")
def _layouts() -> str:
    channels = torch.arange(4.0).reshape(4, 1)  # a head of 4 channels
    half = ml.to_half_split(channels, heads=1).flatten().int().tolist()
    return f"interleaved pairs (0 1)(2 3); half-split puts them in the order {half}, pairs (0 2)(1 3)"


@shows("key", "query", "value")
def _query() -> str:
    attention = kit.llama.blocks[0].attn
    out, width = attention.c_attn.out_features, attention.head_dim
    parts = (attention.n_head * width, attention.n_kv_heads * width, attention.n_kv_heads * width)
    return f"one product gives {out} numbers a token: {parts[0]} of queries, {parts[1]} of keys, {parts[2]} of values"


@shows("key-value cache")
def _cache() -> str:
    cache = kit.llama.new_cache(1, 30)
    with torch.no_grad():
        kit.llama.prefill(kit.text.states, kit.text.mask, cache)
        before, cache.used = cache.used, cache.used + 1
        kit.llama.step(torch.tensor([5]), torch.tensor([before]), cache)
    return f"{before} words are kept; one more token adds one place: {cache.used}; {cache.nbytes:,} bytes for 30 places"


@shows("norm")
def _norm() -> str:
    return f"of (3, 4): {float(torch.tensor([3.0, 4.0]).norm()):g} = the root of 9 + 16"


@shows("past_key_values")
def _past() -> str:
    model = ml.to_huggingface(kit.decoder)
    with torch.no_grad():
        first = model(input_ids=torch.tensor([[1, 2, 3]]), past_key_values=None, use_cache=True)
        second = model(input_ids=torch.tensor([[4]]), past_key_values=first.past_key_values, use_cache=True)
    return f"None before three tokens; after one more it holds {second.past_key_values.get_seq_length()}"


@shows("position encoding")
def _positions() -> str:
    x = torch.randn(1, 4, 1, 8)  # [B, S, heads, hd]
    alone = torch.allclose(x[:, [1, 0, 2, 3]].sum(1), x.sum(1), atol=1e-6)
    turned = ml.apply_rope(x, ml.rope_table(4, 8))
    swapped = ml.apply_rope(x[:, [1, 0, 2, 3]], ml.rope_table(4, 8))
    same = torch.allclose(turned.sum(1), swapped.sum(1), atol=1e-3)
    return f"a sum cannot tell the order of two tokens: {alone}; once turned by position it can: {not same}"


@shows("residual connection")
def _residual() -> str:
    x, slopes = torch.tensor(1.0, dtype=torch.float64, requires_grad=True), []
    for keeps in (1.0, 0.0):  # with x + f(x), and with f(x) alone
        y = x
        for _ in range(20):
            y = keeps * y + 0.001 * torch.tanh(y)  # twenty layers that do next to nothing
        slopes.append(torch.autograd.grad(y, x)[0].item())
    return f"gradient through 20 layers: {ml.about(slopes[0], 3)} with x + f(x), {ml.about(slopes[1], 1)} with f(x)"


@shows("residual stream")
def _stream() -> str:
    x = kit.llama.transformer["wte"](kit.codes)  # [1, 9, 128]
    shapes = {tuple(x.shape)}
    for block in kit.llama.blocks:
        x = block(x, kit.llama.rotary(x.shape[1]), "causal")
        shapes.add(tuple(x.shape))
    return f"the shape before and after each of {len(kit.llama.blocks)} blocks: {shapes}"


@shows("RMSNorm")
def _rms() -> str:
    one, two = ml.RMSNorm(2)(torch.tensor([3.0, 4.0])).tolist()
    return f"(3, 4) / root of 12.5 = ({ml.about(one, 3)}, {ml.about(two, 3)})"


@shows("RoPE")
def _rope() -> str:
    query, key = torch.randn(8), torch.randn(8)
    turned = ml.rope_table(20, 8)

    def score(i: int, j: int) -> float:
        q, k = (ml.apply_rope(v.view(1, 1, 1, 8), turned[n : n + 1]).flatten() for v, n in ((query, i), (key, j)))
        return float(q @ k)

    same = abs(score(3, 1) - score(13, 11)) < 1e-4
    return f"score of places 3 and 1 = score of 13 and 11: {same}; only the gap counts"


@shows("RoPE base")
def _base() -> str:
    slow = [float(1 / rope_frequencies(32, theta)[-1]) for theta in (10_000.0, 1_000_000.0)]
    return f"the slowest pair needs ≈{slow[0]:,.0f} positions a radian with base 10,000, ≈{slow[1]:,.0f} with a million"


@shows("RoPE scaling")
def _scaling() -> str:
    scaling = ml.make_scaling("linear", 2.0, 301)
    plain, slowed = ml.rope_table(601, 32), ml.rope_table(601, 32, scaling=scaling)
    return f"slowed by 2, position 600 has the angle of 300: {torch.allclose(plain[300], slowed[600], atol=1e-3)}"


@shows("stale cache")
def _stale() -> str:
    decoder, cache = copy.deepcopy(kit.llama), kit.llama.new_cache(1, 20)
    text, mask = kit.text.states, kit.text.mask
    with torch.no_grad():
        decoder.prefill(text, mask, cache)
        decoder.llama_proj.weight.mul_(2)  # the weights change, the cache does not know
        fresh = decoder.new_cache(1, 20)
        decoder.prefill(text, mask, fresh)
    same = torch.equal(cache.keys[..., :3, :], fresh.keys[..., :3, :])
    return f"the kept keys are still right: {same}; errors raised: 0"


@shows("SwiGLU")
def _swiglu() -> str:
    layer, x = kit.llama.blocks[0].mlp, torch.randn(1, 128)
    by_hand = layer.c_proj(F.silu(layer.c_fc1(x)) * layer.c_fc2(x))
    same = torch.allclose(layer(x), by_hand)
    return f"W3 (silu(W1 x) * W2 x) is the layer: {same}; {layer.c_fc1.out_features} wide inside"


@shows("Transformer")
def _transformer() -> str:
    parts = [name for name, _ in kit.llama.blocks[0].named_children()]
    return f"{len(kit.llama.blocks)} times {' -> '.join(parts)}, on one residual stream"


@shows("weight tying")
def _tying() -> str:
    sizes = []
    for tied in (False, True):
        variant = ml.LlamaVariant(tied_embeddings=tied)
        model = ml.MotionLlama(1000, n_layer=1, n_head=2, dim=64, text_dim=16, variant=variant)
        sizes.append(sum(weight.numel() for weight in model.parameters()))
    return f"{sizes[0]:,} parameters, tied {sizes[1]:,}: the output layer's table is gone"
