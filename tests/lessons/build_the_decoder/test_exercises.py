"""The checks of lesson 18: the references are the package's parts, and each typical mistake is named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from lessons.build_the_decoder.attention import attend, head, turn
from lessons.build_the_decoder.layers import block, rms_norm, swiglu
from lessons.build_the_decoder.sequence import block_parameters, next_token_loss, sees, write
from lessons.shared.answers import normal
from motionlab.llama.attention_loop import attention_loop
from motionlab.llama.masks import prefix_mask
from motionlab.llama.model import Attention, Block, RMSNorm, SwiGLU
from motionlab.llama.rope import apply_rope, rope_table
from motionlab.teaching.exercise import run_check


def _head(query, key, value, sees, divide=None, over=-1, hide=True, late=False):
    scores = query @ key.mT / (query.shape[-1] ** 0.5 if divide is None else divide)
    if hide:
        scores = scores.masked_fill(~sees, float("-inf"))
    weights = scores.softmax(over)
    return (weights * sees if late else weights) @ value


def _attend(query, key, value, sees, reads, reads_value=None, dim=1):
    """Query head h reads key head `reads(h, H, G)`."""
    heads, groups = query.shape[1], key.shape[1]
    reads_value = reads_value or reads
    numbers = [(h, reads(h, heads, groups), reads_value(h, heads, groups)) for h in range(heads)]
    return torch.stack([head(query[:, h], key[:, g], value[:, v], sees[:, 0]) for h, g, v in numbers], dim=dim)


def _right(h, heads, groups):
    return h // (heads // groups)


def _angle(places, hd, exponent=-1.0, heads=True):
    angle = torch.outer(places.float(), 10_000.0 ** (exponent * torch.arange(0, hd, 2) / hd))
    return angle[:, None] if heads else angle


def _turn(x, angle, pairs="neighbours", weave=True, sign=1.0, both=1.0):
    a, b = (x[..., 0::2], x[..., 1::2]) if pairs == "neighbours" else x.chunk(2, dim=-1)
    first, second = a * angle.cos() - sign * b * angle.sin(), sign * both * a * angle.sin() + b * angle.cos()
    if pairs == "halves" or not weave:
        return torch.cat([first, second], dim=-1)
    return torch.stack([first, second], dim=-1).flatten(-2)


def _write(next_logits, end, most, keep_end=False, stop=True, drop=0, ignore_limit=False, read=True, tensor=False):
    tokens: list[Any] = []
    while len(tokens) < (20 if ignore_limit else most):
        token = next_logits(tokens if read else []).argmax()
        token = token if tensor else int(token)
        if token == end and stop:
            if keep_end:
                tokens.append(token)
            break
        tokens.append(token)
    return tokens[: len(tokens) - drop]


def _parameters(wrong):
    return lambda *settings: block_parameters(*settings) + wrong(*settings)


def _loss(first, labels_of, reduce="mean"):
    return lambda logits, tokens, words, end: F.cross_entropy(
        logits[first(words) :][: len(labels_of(tokens, end))], labels_of(tokens, end), reduction=reduce
    )


def _with_end(tokens, end):
    return torch.cat([tokens, torch.tensor([end])])


MUTANTS = {
    "decoder.rms_norm": {
        "no division": (lambda x, scale, eps: x * scale, "nothing is divided"),
        "no scale": (lambda x, scale, eps: rms_norm(x, torch.ones_like(scale), eps), "scale is missing"),
        "LayerNorm": (lambda x, scale, eps: F.layer_norm(x, scale.shape, scale, None, 0.0), "LayerNorm"),
        "length": (lambda x, scale, eps: F.normalize(x, dim=-1) * scale, "SUM of the squares"),
        "no root": (lambda x, scale, eps: x / x.pow(2).mean(-1, keepdim=True) * scale, "Take its root"),
        "one for all": (lambda x, scale, eps: x / x.pow(2).mean().sqrt() * scale, "each position"),
        "over positions": (lambda x, scale, eps: x / x.pow(2).mean(1, keepdim=True).sqrt() * scale, "the positions"),
        "multiplied": (lambda x, scale, eps: x * x.pow(2).mean(-1, keepdim=True).sqrt() * scale, "instead of"),
        "no eps": (lambda x, scale, eps: rms_norm(x, scale, 0.0), "eps matters"),
        "a number": (lambda x, scale, eps: 1.0, "should be a tensor"),
    },
    "decoder.turn": {
        "not turned": (lambda x, p: x, "nothing is turned"),
        "along heads": (lambda x, p: _turn(x, _angle(p, x.shape[-1], heads=False)), "run along the heads"),
        "not woven": (lambda x, p: _turn(x, _angle(p, x.shape[-1]), weave=False), "not woven"),
        "halves": (lambda x, p: _turn(x, _angle(p, x.shape[-1]), pairs="halves"), "Hugging Face"),
        "backwards": (lambda x, p: _turn(x, _angle(p, x.shape[-1]), sign=-1.0), "wrong way"),
        "too slow": (lambda x, p: _turn(x, _angle(p, x.shape[-1], -0.5)), "counting PAIRS"),
        "ever faster": (lambda x, p: _turn(x, _angle(p, x.shape[-1], 1.0)), "ever faster"),
        "all the same": (lambda x, p: _turn(x, _angle(p, x.shape[-1], 0.0)), "same angle"),
        "from one": (lambda x, p: turn(x, p + 1), "one position too far"),
        "a sign": (lambda x, p: _turn(x, _angle(p, x.shape[-1]), both=-1.0), "keeps the length"),
        "twice": (lambda x, p: turn(x, 2 * p), "at place 1"),
        "own places": (lambda x, p: turn(x, torch.arange(x.shape[1])), "use the arguments"),
        "one vector": (lambda x, p: turn(x, p)[0, 0, 0], "like x, got (8,)"),
        "nothing": (lambda x, p: None, "like x, got NoneType"),
    },
    "decoder.head": {
        "not divided": (lambda q, k, v, m: _head(q, k, v, m, divide=1), "not divided"),
        "divided by hd": (lambda q, k, v, m: _head(q, k, v, m, divide=q.shape[-1]), "by its root"),
        "sees the future": (lambda q, k, v, m: _head(q, k, v, m, hide=False), "nothing is hidden"),
        "upside down": (lambda q, k, v, m: _head(q, k, v, ~m | torch.eye(m.shape[-1]).bool()), "upside down"),
        "over queries": (lambda q, k, v, m: _head(q, k, v, m, over=-2), "over the queries"),
        "too late": (lambda q, k, v, m: _head(q, k, v, m, hide=False, late=True), "after the softmax"),
        "all hidden": (lambda q, k, v, m: _head(q, k, v, torch.zeros_like(m)), "NaN"),
        "mixes keys": (lambda q, k, v, m: head(q, k, k, m), "mix the values"),
        "scores only": (lambda q, k, v, m: q @ k.mT, "like the query"),
        "twice": (lambda q, k, v, m: 2 * head(q, k, v, m), "position 0 sees only itself"),
        "other mask": (
            lambda q, k, v, m: head(q, k, v, torch.ones(m.shape[-2:], dtype=torch.bool).tril()), "another mask"
        ),
        "not transposed": (lambda q, k, v, m: head(q, k.mT, v, m), "your function raised"),
    },
    "decoder.attend": {
        "dealt": (lambda q, k, v, m: _attend(q, k, v, m, lambda h, heads, groups: h % groups), "like cards"),
        "the first": (lambda q, k, v, m: _attend(q, k, v, m, lambda h, heads, groups: 0), "key-value head 0"),
        "values dealt": (
            lambda q, k, v, m: _attend(q, k, v, m, _right, lambda h, heads, groups: h % groups), "values are not"
        ),
        "one query": (lambda q, k, v, m: attend(q[:, :1].expand_as(q), k[:, :1].expand_as(k), v[:, :1].expand_as(v), m),
                      "every head is the same"),
        "no sharing": (lambda q, k, v, m: _attend(q, k, v, m, lambda h, heads, groups: h), "your function raised"),
        "two a group": (lambda q, k, v, m: _attend(q, k, v, m, lambda h, heads, groups: h // groups), "6 heads on 3"),
        "in front": (lambda q, k, v, m: _attend(q, k, v, m, _right, dim=0), "stacked in front"),
        "behind positions": (lambda q, k, v, m: _attend(q, k, v, m, _right, dim=2), "before the positions"),
        "joined": (lambda q, k, v, m: attend(q, k, v, m).transpose(1, 2).flatten(2), "Keep them apart"),
        "cat": (lambda q, k, v, m: attend(q, k, v, m).flatten(1, 2), "torch.stack does"),
        "per group": (lambda q, k, v, m: attend(q, k, v, m)[:, :2], "QUERY head"),
        "one head": (lambda q, k, v, m: attend(q, k, v, m)[:, 0], "Return the results of all four"),
        "a list": (lambda q, k, v, m: list(attend(q, k, v, m).unbind(1)), "torch.stack makes one"),
        "other shape": (lambda q, k, v, m: attend(q, k, v, m)[..., :1], "like the query"),
        "sees the future": (lambda q, k, v, m: attend(q, k, v, torch.ones_like(m)), "nothing is hidden"),
        "all hidden": (lambda q, k, v, m: attend(q, k, v, torch.zeros_like(m)), "NaN"),
        "wrong head": (lambda q, k, v, m: 2 * attend(q, k, v, m), "no head is right"),
        "last two exchanged": (lambda q, k, v, m: attend(q, k, v, m)[:, [0, 1, 3, 2]], "result 2 is wrong"),
        "other mask": (
            lambda q, k, v, m: attend(q, k, v, torch.ones_like(m).tril()), "another mask"
        ),
    },
    "decoder.swiglu": {
        "other branch": (lambda x, gate, up, down: swiglu(x, up, gate, down), "wrong branch"),
        "sigmoid": (lambda x, gate, up, down: ((x @ gate.T).sigmoid() * (x @ up.T)) @ down.T, "sigmoid"),
        "relu": (lambda x, gate, up, down: ((x @ gate.T).relu() * (x @ up.T)) @ down.T, "ReGLU"),
        "gelu": (lambda x, gate, up, down: (F.gelu(x @ gate.T) * (x @ up.T)) @ down.T, "GeGLU"),
        "added": (lambda x, gate, up, down: (F.silu(x @ gate.T) + (x @ up.T)) @ down.T, "added"),
        "one branch": (lambda x, gate, up, down: F.silu(x @ gate.T) @ down.T, "second branch"),
        "linear": (lambda x, gate, up, down: ((x @ gate.T) * (x @ up.T)) @ down.T, "silu is missing"),
        "on the product": (lambda x, gate, up, down: F.silu((x @ gate.T) * (x @ up.T)) @ down.T, "the product"),
        "not back": (lambda x, gate, up, down: F.silu(x @ gate.T) * (x @ up.T), "like x"),
        "twice": (lambda x, gate, up, down: 2 * swiglu(x, gate, up, down), "first vector"),
    },
    "decoder.sees": {
        "causal": (lambda text, n: sees(torch.zeros_like(text), n), "plain causal"),
        "transposed": (lambda text, n: sees(text, n).mT, "exchanged"),
        "not itself": (lambda text, n: sees(text, n) & ~torch.eye(n).bool(), "themselves"),
        "whole width": (lambda text, n: sees(torch.ones_like(text), n), "every slot"),
        "everything": (lambda text, n: torch.ones(len(text), 1, n, n, dtype=torch.bool), "everything sees"),
        "floats": (lambda text, n: sees(text, n).float(), "should be bool"),
        "no head": (lambda text, n: sees(text, n)[:, 0], "(2, 1, 5, 5)"),
        "one off": (lambda text, n: sees(text, n) | torch.ones(n, n).tril(1).bool(), "should not see"),
    },
    "decoder.block": {
        "no first": (lambda x, n1, a, n2, m: a(n1(x)) + m(n2(a(n1(x)))), "stream is lost"),
        "no second": (lambda x, n1, a, n2, m: m(n2(x + a(n1(x)))), "not added to the stream"),
        "chain": (lambda x, n1, a, n2, m: m(n2(a(n1(x)))), "chain of layers"),
        "parallel": (lambda x, n1, a, n2, m: x + a(n1(x)) + m(n2(x)), "GPT-J"),
        "post-norm": (lambda x, n1, a, n2, m: n2(n1(x + a(x)) + m(n1(x + a(x)))), "post-norm"),
        "no norms": (lambda x, n1, a, n2, m: x + a(x) + m(x + a(x)), "norms are not used"),
        "other order": (lambda x, n1, a, n2, m: x + m(n1(x)) + a(n2(x + m(n1(x)))), "exchanged"),
        "only attention": (lambda x, n1, a, n2, m: x + a(n1(x)), "gated layer is missing"),
        "old x": (lambda x, n1, a, n2, m: x + m(n2(x + a(n1(x)))), "original x"),
        "zero": (lambda x, n1, a, n2, m: 0 * x, "should become"),
    },
    "decoder.write": {
        "END kept": (lambda f, end, most: _write(f, end, most, keep_end=True), "END is part"),
        "one short": (lambda f, end, most: _write(f, end, most, drop=1), "last token before END"),
        "never ends": (lambda f, end, most: _write(f, end, 6, stop=False), "continues after END"),
        "no limit": (lambda f, end, most: _write(f, end, most, ignore_limit=True), "with most = 3"),
        "tensors": (lambda f, end, most: _write(f, end, most, tensor=True), "list of ints"),
        "reads nothing": (lambda f, end, most: _write(f, end, 4, read=False), "4 2 2 7"),
        "nothing": (lambda f, end, most: [], "nothing was written"),
    },
    "decoder.block_parameters": {
        "no norms": (_parameters(lambda dim, h, g, hidden: -2 * dim), "two norms"),
        "two matrices": (_parameters(lambda dim, h, g, hidden: -dim * hidden), "three matrices"),
        "as many keys": (_parameters(lambda dim, h, g, hidden: 2 * dim * (dim - g * dim // h)), "not n_head"),
        "matrices, all heads": (lambda dim, h, g, hidden: 4 * dim**2 + 3 * dim * hidden, "and there are two norms"),
        "no way out": (_parameters(lambda dim, h, g, hidden: -dim * dim), "one more matrix"),
        "keys only": (_parameters(lambda dim, h, g, hidden: -dim * g * dim // h), "keys AND values"),
        "a float": (lambda *settings: float(block_parameters(*settings)), "whole numbers"),
        "one setting": (lambda *settings: block_parameters(128, 4, 2, 384), "should give"),
    },
    "decoder.next_token_loss": {
        "itself": (_loss(lambda words: words, lambda tokens, end: tokens), "shift by one"),
        "no END": (_loss(lambda words: words - 1, lambda tokens, end: tokens), "END is not asked"),
        "no first": (_loss(lambda words: words, lambda tokens, end: _with_end(tokens, end)[1:]), "first token"),
        "sum": (_loss(lambda words: words - 1, _with_end, "sum"), "sum"),
        "three words": (lambda logits, tokens, words, end: next_token_loss(logits, tokens, 3, end), "your function"),
        "logits": (
            lambda logits, tokens, words, end: F.nll_loss(logits[words - 1 :], _with_end(tokens, end)),
            "no probabilities",
        ),
        "a float": (lambda *parts: float(next_token_loss(*parts)), "single number, as a tensor"),
    },
}  # fmt: skip


def test_every_mistake_is_named(missed_mistakes) -> None:
    assert missed_mistakes(MUTANTS) == {}


def test_other_ways_to_the_right_answer_pass() -> None:
    other: dict[str, Callable[..., Any]] = {
        "decoder.rms_norm": lambda x, scale, eps: F.rms_norm(x, scale.shape, scale, eps),
        "decoder.turn": lambda x, places: apply_rope(x, rope_table(20, x.shape[-1])[places]),
        "decoder.head": lambda q, k, v, sees: F.scaled_dot_product_attention(q, k, v, attn_mask=sees),
        "decoder.attend": lambda q, k, v, sees: F.scaled_dot_product_attention(
            q, k, v, attn_mask=sees, enable_gqa=True
        ),
        "decoder.swiglu": lambda x, gate, up, down: F.linear(F.silu(F.linear(x, gate)) * F.linear(x, up), down),
        "decoder.sees": prefix_mask,
    }
    assert [run_check(name, function)[0] for name, function in other.items()] == ["✓"] * 6


def test_all_heads_as_a_reshape_over_one_head_pass() -> None:
    def attend_at_once(query, key, value, sees):
        shared = query.shape[1] // key.shape[1]
        return head(query, key.repeat_interleave(shared, dim=1), value.repeat_interleave(shared, dim=1), sees)

    assert run_check("decoder.attend", attend_at_once)[0] == "✓"


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_the_references_are_the_parts_of_the_package(groups: int) -> None:
    x, scale = normal(2, 5, 16), normal(16, seed=1)
    norm = RMSNorm(16)
    norm.scale.data = scale
    assert torch.allclose(rms_norm(x, scale, 1e-5), norm(x), atol=1e-6)
    mlp = SwiGLU(16, 24)
    assert torch.allclose(swiglu(x, mlp.c_fc1.weight, mlp.c_fc2.weight, mlp.c_proj.weight), mlp(x), atol=1e-6)
    query, key, value = normal(2, 4, 5, 8), normal(2, groups, 5, 8, seed=1), normal(2, groups, 5, 8, seed=2)
    text_mask = torch.tensor([[True, True], [True, False]])
    mask = sees(text_mask, 5)
    assert torch.equal(mask, prefix_mask(text_mask, 5))
    every = attention_loop(query, key, value, mask)
    assert torch.allclose(attend(query, key, value, mask), every, atol=1e-5)
    shared = 4 // groups
    for h in range(4):
        one = head(query[:, h], key[:, h // shared], value[:, h // shared], mask[:, 0])
        assert torch.allclose(one, every[:, h], atol=1e-5)
    assert block_parameters(16, 4, groups, 24) == sum(p.numel() for p in Block(16, 4, groups, 24).parameters())


def test_block_and_writing_by_hand() -> None:
    x = torch.tensor([1.0])
    assert block(x, lambda v: v, lambda v: 2 * v, lambda v: v, lambda v: 10 * v).item() == 33.0
    assert write(lambda tokens: F.one_hot(torch.tensor(3 - len(tokens)), 4), end=1, most=9) == [3, 2]


@pytest.mark.parametrize("h", range(4))
def test_one_head_is_a_slice_of_the_attention_of_the_package(h: int) -> None:
    attention, x, places, found = Attention(32, 4, 2), normal(2, 5, 32), torch.arange(5), []
    attention.c_proj.register_forward_hook(lambda module, inputs, output: found.append(inputs[0]))
    attention(x, rope_table(5, 8), "causal")
    every = attention.c_attn(x).unflatten(-1, (8, 8))  # 4 queries, 2 keys, 2 values
    turned, before = turn(every, places), torch.ones(2, 5, 5, dtype=torch.bool).tril()
    one = head(turned[:, :, h], turned[:, :, 4 + h // 2], every[:, :, 6 + h // 2], before)
    assert torch.allclose(one, found[0][..., 8 * h : 8 * h + 8], atol=1e-5)
