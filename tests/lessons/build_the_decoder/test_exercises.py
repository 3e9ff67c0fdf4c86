"""The checks of lesson 18: the references are the package's parts, and each typical mistake is named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from lessons.build_the_decoder.layers import attend, block, rms_norm, swiglu
from lessons.build_the_decoder.sequence import block_parameters, next_token_loss, sees, write
from lessons.shared.answers import normal
from motionlab.llama.attention_loop import attention_loop
from motionlab.llama.masks import prefix_mask
from motionlab.llama.model import Block, RMSNorm, SwiGLU
from motionlab.teaching.exercise import run_check


def _shared(key, query):
    return key.repeat_interleave(query.shape[1] // key.shape[1], dim=1)


def _attend(query, key, value, sees, divide=None, over=-1, hide=True, late=False, share=_shared):
    key, value = share(key, query), share(value, query)
    scores = query @ key.mT / (query.shape[-1] ** 0.5 if divide is None else divide)
    if hide:
        scores = scores.masked_fill(~sees, float("-inf"))
    weights = scores.softmax(over)
    return (weights * sees if late else weights) @ value


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
    "decoder.attend": {
        "not divided": (lambda q, k, v, m: _attend(q, k, v, m, divide=1), "not divided"),
        "divided by hd": (lambda q, k, v, m: _attend(q, k, v, m, divide=q.shape[-1]), "by its root"),
        "dealt": (
            lambda q, k, v, m: _attend(q, k, v, m, share=lambda key, _: key.repeat(1, len(q[0]) // len(k[0]), 1, 1)),
            "repeat_interleave",
        ),
        "sees the future": (lambda q, k, v, m: _attend(q, k, v, m, hide=False), "nothing is hidden"),
        "upside down": (lambda q, k, v, m: _attend(q, k, v, ~m | torch.eye(m.shape[-1]).bool()), "upside down"),
        "over queries": (lambda q, k, v, m: _attend(q, k, v, m, over=-2), "over the queries"),
        "too late": (lambda q, k, v, m: _attend(q, k, v, m, hide=False, late=True), "after the softmax"),
        "all hidden": (lambda q, k, v, sees: _attend(q, k, v, torch.zeros_like(sees)), "NaN"),
        "four on two": (
            lambda q, k, v, m: _attend(q, k, v, m, share=lambda key, query: key[:, :2].repeat_interleave(2, dim=1)),
            "your function raised",
        ),
        "other mask": (
            lambda q, k, v, sees: _attend(q, k, v, torch.ones(sees.shape[-2:], dtype=torch.bool).tril()),
            "another mask",
        ),
        "one head": (lambda q, k, v, sees: attend(q, k, v, sees)[:, :1], "like the query"),
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
        "decoder.attend": lambda q, k, v, sees: F.scaled_dot_product_attention(
            q, k, v, attn_mask=sees, enable_gqa=True
        ),
        "decoder.swiglu": lambda x, gate, up, down: F.linear(F.silu(F.linear(x, gate)) * F.linear(x, up), down),
        "decoder.sees": prefix_mask,
    }
    assert [run_check(name, function)[0] for name, function in other.items()] == ["✓"] * 4


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
    assert torch.allclose(attend(query, key, value, mask), attention_loop(query, key, value, mask), atol=1e-5)
    assert block_parameters(16, 4, groups, 24) == sum(p.numel() for p in Block(16, 4, groups, 24).parameters())


def test_block_and_writing_by_hand() -> None:
    x = torch.tensor([1.0])
    assert block(x, lambda v: v, lambda v: 2 * v, lambda v: v, lambda v: 10 * v).item() == 33.0
    assert write(lambda tokens: F.one_hot(torch.tensor(3 - len(tokens)), 4), end=1, most=9) == [3, 2]
