"""The checks of lesson 06: the reference passes, and each typical mistake gets the message that names it."""

from __future__ import annotations

import torch

from lessons.gqa_and_kv_cache.exercises import cache_size, cached_attention, kv_head_of, positions_read
from motionlab.cost import kv_cache as formulas
from motionlab.llama.attention_loop import attention_loop
from motionlab.llama.cache import KVCache

HEAD_MUTANTS = {
    "dealt out": (lambda h, n, g: h % g, "like cards"),
    "divided by the groups": (lambda h, n, g: h // g, "how many queries share one"),
    "a fraction": (lambda h, n, g: h / (n // g), "whole number"),
    "one further": (lambda h, n, g: h // (n // g) + 1, "only 0 and 1"),
    "reversed": (lambda h, n, g: g - 1 - h // (n // g), "0 0 0 0 1 1 1 1"),
    "fixed": (lambda h, n, g: h // 4, "right for 8 and 2"),
}

BYTES_MUTANTS = {
    "keys only": (lambda lay, h, g, d, b, s, n: lay * b * g * s * (d // h) * n, "keys AND values"),
    "query heads": (lambda lay, h, g, d, b, s, n: 2 * lay * b * h * s * (d // h) * n, "n_kv_heads = 4"),
    "one layer": (lambda lay, h, g, d, b, s, n: 2 * b * g * s * (d // h) * n, "one layer"),
    "no batch": (lambda lay, h, g, d, b, s, n: 2 * lay * g * s * (d // h) * n, "batch is missing"),
    "full width": (lambda lay, h, g, d, b, s, n: 2 * lay * b * g * s * d * n, "width of a HEAD"),
    "squared": (lambda lay, h, g, d, b, s, n: 2 * lay * b * g * s * s * (d // h) * n, "not squared"),
    "no length": (lambda lay, h, g, d, b, s, n: 2 * lay * b * g * (d // h) * n, "length is missing"),
    "wrong width": (lambda lay, h, g, d, b, s, n: 2 * lay * b * g * s * (d // g) * n, "all dim numbers"),
    "a float": (lambda lay, h, g, d, b, s, n: 2 * lay * b * g * s * d / h * n, "whole numbers"),
    "always half": (lambda lay, h, g, d, b, s, n: 2 * lay * b * g * s * (d // h) * 2, "should give"),
}

POSITIONS_MUTANTS = {
    "the last one read": (lambda p, n, c: p + n if c else positions_read(p, n, c), "but never read"),
    "no text": (lambda p, n, c: n if c else positions_read(p, n, c), "text has to be read"),
    "not growing": (lambda p, n, c: p + n - 1 if c else n * (p + n), "sequence grows"),
    "from one": (lambda p, n, c: p + n - 1 if c else sum(p + t + 1 for t in range(n)), "not 11"),
    "text read once": (lambda p, n, c: p + n - 1 if c else n * (n - 1) // 2, "read again in every pass"),
    "exchanged": (lambda p, n, c: positions_read(p, n, not c), "exchanged"),
    "the same": (lambda p, n, c: p + n - 1, "same number"),
    "a float": (lambda p, n, c: p + n - 1 if c else n * p + n * (n - 1) / 2, "whole numbers"),
    "one prompt": (lambda p, n, c: positions_read(10, n, c), "right for (10, 100)"),
}


def _attend(query, keys, values, scale=True):
    scores = keys @ query / (len(query) ** 0.5 if scale else 1.0)
    return scores.softmax(0) @ values


def _step(slots, scale=True, place=0, store=True):
    """`cached_attention` with one thing wrong: slots looked at, scale, where it stores."""

    def wrong(query, key, value, keys, values, used):
        if store:
            keys[used + place], values[used + place] = key, value
        seen = slots(used)
        return _attend(query, keys[:seen], values[:seen], scale)

    return wrong


def _overwrite(query, key, value, keys, values, used):
    keys[: used + 1], values[: used + 1] = key, value
    return _attend(query, keys[: used + 1], values[: used + 1])


STEP_MUTANTS = {
    "all slots": (_step(lambda used: 8), "not in use"),
    "not itself": (_step(lambda used: max(used, 1)), "does not look at itself"),
    "nothing at first": (_step(lambda used: used), "look at itself"),
    "no scale": (_step(lambda used: used + 1, scale=False), "sqrt"),
    "next slot": (_step(lambda used: used + 1, place=1), "went into slot 1"),
    "not stored": (_step(lambda used: used + 1, store=False), "not stored"),
    "overwritten": (_overwrite, "overwritten"),
    "a list": (lambda *arguments: cached_attention(*arguments).tolist(), "shape (4,)"),
}


def _keep(text_rule, code_rule):
    def wrong(old_text, old_codes, new_text, new_codes):
        kept = text_rule(old_text, new_text)
        return kept if kept < len(old_text) or old_text != new_text else kept + code_rule(old_codes, new_codes)

    return wrong


def _prefix(old, new):
    same = 0
    while same < min(len(old), len(new)) and old[same] == new[same]:
        same += 1
    return same


def _equal(old, new):
    return len(old) if old == new else 0


KEEP_MUTANTS = {
    "prefix of the text": (_keep(_prefix, _prefix), "both directions"),
    "text never looked at": (lambda ot, oc, nt, nc: len(ot) + _prefix(oc, nc), "both directions"),
    "only the codes": (lambda ot, oc, nt, nc: _prefix(oc, nc) if ot == nt else 0, "text has slots too"),
    "all equal places": (
        _keep(_equal, lambda old, new: sum(a == b for a, b in zip(old, new, strict=False))),
        "stop at the first change",
    ),
    "the changed one too": (_keep(_equal, lambda o, n: min(_prefix(o, n) + 1, len(o))), "changed code itself"),
    "as a set": (_keep(_equal, lambda old, new: len(set(old) & set(new))), "stop at the first change"),
    "all or nothing": (_keep(_equal, lambda old, new: len(old) if old == new else 0), "3 + 2 slots"),
    "always": (lambda ot, oc, nt, nc: len(ot) + len(oc), "both directions"),
    "nothing": (lambda ot, oc, nt, nc: 0, "keeps all 8"),
    "a bool list": (lambda ot, oc, nt, nc: [True], "whole numbers"),
}

MUTANTS = {
    "cache.kv_head_of": HEAD_MUTANTS,
    "cache.cache_size": BYTES_MUTANTS,
    "cache.positions_read": POSITIONS_MUTANTS,
    "cache.cached_attention": STEP_MUTANTS,
    "cache.slots_to_keep": KEEP_MUTANTS,
}


def test_every_mistake_is_named(missed_mistakes) -> None:
    assert missed_mistakes(MUTANTS) == {}


def test_references_agree_with_the_package() -> None:
    cache = KVCache(n_layer=3, batch=2, n_kv_heads=2, length=11, head_dim=16)
    assert cache_size(3, 4, 2, 64, 2, 11, 4) == cache.nbytes
    for cached in (True, False):
        assert positions_read(9, 33, cached) == formulas.positions_read(9, 33, cached=cached)
    query, key, value = torch.randn(3, 1, 4, 5, 8, generator=torch.Generator().manual_seed(0)).unbind(0)
    keys, values = torch.zeros(5, 8), torch.zeros(5, 8)
    mask = torch.ones(5, 5, dtype=torch.bool).tril()
    whole = attention_loop(query, key[:, :2], value[:, :2], mask)[0]  # [4, 5, 8]: four heads read two
    for head in (1, 3):
        read = kv_head_of(head, 4, 2)
        rows = [
            cached_attention(query[0, head, t], key[0, read, t], value[0, read, t], keys, values, t) for t in range(5)
        ]
        assert torch.allclose(torch.stack(rows), whole[head], atol=1e-6)
