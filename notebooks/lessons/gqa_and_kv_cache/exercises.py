"""Exercises of lesson 06, "What do GQA and past_key_values save?": references, and checks that name the mistake."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from lessons.shared.answers import short
from motionlab.teaching.exercise import Exercise, register


# ---- 1. who reads which head -----------------------------------------------------------------------------------------
def kv_head_of(query_head: int, n_head: int, n_kv_heads: int) -> int:
    """The key-value head that a query head reads: neighbours share one."""
    return query_head // (n_head // n_kv_heads)


def _diagnose_head(function: Callable[..., Any]) -> str | None:
    heads = [function(head, 8, 2) for head in range(8)]
    if not all(isinstance(head, int) for head in heads):
        return f"a head has a whole number; query head 3 of 8 with 2 key-value heads gave {heads[3]!r}: use //."
    if heads == [0, 1] * 4:
        return "this deals the heads out like cards (0, 1, 0, 1, ...). Here neighbours share: the first four read 0."
    if heads == [head // 2 for head in range(8)]:
        return "you divided by n_kv_heads. Divide by how many queries share one head: n_head / n_kv_heads."
    if min(heads) < 0 or max(heads) > 1:
        return f"with 2 key-value heads there are only 0 and 1, got {sorted(set(heads))}."
    if heads != [0, 0, 0, 0, 1, 1, 1, 1]:
        return f"8 query heads on 2 key-value heads should read 0 0 0 0 1 1 1 1, got {' '.join(map(str, heads))}."
    for n_head, groups in ((8, 8), (12, 3), (6, 1)):
        for head in range(n_head):
            if function(head, n_head, groups) != kv_head_of(head, n_head, groups):
                return f"right for 8 and 2, but head {head} of {n_head} with {groups} should read " + (
                    f"{kv_head_of(head, n_head, groups)}, got {function(head, n_head, groups)}."
                )
    return None


# ---- 2. the bytes of a cache -----------------------------------------------------------------------------------------
def cache_size(n_layer: int, n_head: int, n_kv_heads: int, dim: int, batch: int, length: int, number_bytes: int) -> int:
    """Bytes of the keys and values of all layers."""
    return 2 * n_layer * batch * n_kv_heads * length * (dim // n_head) * number_bytes


def _diagnose_bytes(function: Callable[..., Any]) -> str | None:
    settings = (12, 12, 4, 768, 3, 301, 2)
    value, right = function(*settings), cache_size(*settings)
    if isinstance(value, bool) or not isinstance(value, int):
        return f"bytes are counted in whole numbers; you returned {value!r}: use // for the width of a head."
    known = {
        right // 2: "half of it: keys AND values are kept.",
        right * 3: "all dim numbers of a position are counted. Only n_kv_heads = 4 heads of 64 are kept.",
        right // 12: "this is one layer. Each layer has its own cache.",
        right // 3: "this is one motion: the batch is missing.",
        right // 2 // 2: "numbers, and only of the keys: keys AND values, and number_bytes each.",
        right * 12: "the width of a HEAD is dim / n_head; this takes dim for each head.",
        right * 12 // 2: "the width of a HEAD is dim / n_head, and keys AND values are kept.",
        right * 301: "a key for each pair of positions? One key a position is kept: length once, not squared.",
        right // 301: "this is one position: the length is missing.",
    }
    if value != right:
        return known.get(value, f"(12, 12, 4, 768, 3, 301, 2) should give {right:,} bytes, got {value:,}.")
    for other in ((12, 12, 12, 768, 1, 301, 4), (36, 32, 8, 4096, 5, 1000, 2)):
        if function(*other) != cache_size(*other):
            return f"right for (12, 12, 4, 768, 3, 301, 2), but {other} should give {cache_size(*other):,}."
    return None


# ---- 3. how much is read ---------------------------------------------------------------------------------------------
def positions_read(prompt: int, new: int, cached: bool) -> int:
    """Positions that go through the layers to write `new` tokens after `prompt` text slots."""
    if cached:
        return prompt + new - 1  # the last token is written, never read
    return sum(prompt + before for before in range(new))


def _diagnose_positions(function: Callable[..., Any]) -> str | None:
    cached, plain = function(10, 100, True), function(10, 100, False)
    if not all(isinstance(value, int) for value in (cached, plain)):
        return f"positions are counted in whole numbers; you returned {cached!r} and {plain!r}."
    if cached == plain:
        return "both ways give the same number: only without a cache is everything read again for each token."
    if (cached, plain) == (positions_read(10, 100, False), positions_read(10, 100, True)):
        return "the two are exchanged: with the cache each position is read once."
    if cached == 110:
        return "with the cache: 10 + 100 counts the last token too. It is written, but never read."
    if cached in (99, 100):
        return "with the cache: the text has to be read as well, once."
    if cached != 109:
        return f"with the cache: 10 text slots and 99 tokens are read once each, 109; got {cached}."
    known = {
        11_000: "without: the sequence grows. The first pass reads 10 positions, the second 11, ...",
        6_050: "without: the first token is written after 10 positions, not 11. The passes read 10, 11, ..., 109.",
        4_950: "without: the text is read again in every pass too.",
        5_050: "without: the text is read again in every pass too, and the first pass reads no token.",
    }
    if plain != 5_950:
        return known.get(plain, f"without: 10 + 11 + ... + 109 = 5,950; got {plain}.")
    for prompt, new in ((1, 1), (30, 150)):
        for way in (True, False):
            if function(prompt, new, way) != positions_read(prompt, new, way):
                return (
                    f"right for (10, 100), but ({prompt}, {new}, {way}) should be {positions_read(prompt, new, way)}."
                )
    return None


# ---- 4. one step with a cache ----------------------------------------------------------------------------------------
def cached_attention(query: Tensor, key: Tensor, value: Tensor, keys: Tensor, values: Tensor, used: int) -> Tensor:
    """Store the new key and value `[hd]` in slot `used`, then attend to all slots in use; `[hd]`."""
    keys[used], values[used] = key, value
    scores: Tensor = keys[: used + 1] @ query / len(query) ** 0.5  # [used + 1]
    return scores.softmax(0) @ values[: used + 1]  # [hd]


def _diagnose_step(function: Callable[..., Any]) -> str | None:
    drawn = torch.randn(3, 6, 4, generator=torch.Generator().manual_seed(0))  # queries, keys, values of 6 tokens
    # Slots that are not in use hold what an earlier motion left there.
    keys, values = torch.full((8, 4), 3.0), torch.full((8, 4), -50.0)
    for t in range(6):
        query, key, value = drawn[:, t]
        y = function(query.clone(), key.clone(), value.clone(), keys, values, t)
        if not isinstance(y, Tensor) or y.shape != (4,):
            return f"the result should have shape (4,), one head vector; got {getattr(y, 'shape', y)}."
        if not torch.equal(keys[t], key) or not torch.equal(values[t], value):
            stored = [slot for slot in range(8) if torch.equal(keys[slot], key)]
            if stored:
                return f"the new key belongs into slot `used` = {t}; it went into slot {stored[0]}."
            return "the new key and value were not stored: write into keys[used] and values[used], in place."
        if t == 0 and (y.isnan().any() or not y.any()):
            return "the first token gets nothing: it may look at itself, so store first and attend to used + 1 slots."
        if t and not torch.equal(keys[:t], drawn[1, :t]):
            return f"a key of an earlier token was overwritten at step {t}: only slot `used` changes."
        scores = drawn[1, : t + 1] @ query  # [t + 1]
        right = (scores / 2).softmax(0) @ drawn[2, : t + 1]
        if torch.allclose(y, right, atol=1e-5):
            continue
        if torch.allclose(y, scores.softmax(0) @ drawn[2, : t + 1], atol=1e-5):
            return "the scores are not divided by sqrt(head width): the softmax is too sharp."
        if float(y.min()) < -4:
            return "the result contains values of slots that are not in use: look at keys[:used + 1] only."
        if t and torch.allclose(y, (scores[:t] / 2).softmax(0) @ drawn[2, :t], atol=1e-5):
            return "the new token does not look at itself: used + 1 slots are in use after storing."
        return f"step {t} should give {short(right)}, got {short(y)}."
    return None


# ---- 5. what may stay when something changes -------------------------------------------------------------------------
def slots_to_keep(
    old_text: Sequence[int], old_codes: Sequence[int], new_text: Sequence[int], new_codes: Sequence[int]
) -> int:
    """Slots of the cache that are still right for the new sequence.

    Text slots see the whole text, so one other word changes them all; a code sees only what is before it.
    """
    if list(old_text) != list(new_text):
        return 0
    same = 0
    for old, new in zip(old_codes, new_codes, strict=False):
        if old != new:
            break
        same += 1
    return len(old_text) + same


def _diagnose_keep(function: Callable[..., Any]) -> str | None:
    text, codes = [7, 8, 9], [1, 2, 3, 4, 5]

    def ask(new_text: list[int], new_codes: list[int]) -> Any:
        return function(list(text), list(codes), new_text, new_codes)

    if not isinstance(ask(text, codes), int):
        return f"slots are counted in whole numbers; you returned {ask(text, codes)!r}."
    if ask(text, codes) == 5:
        return "the text has slots too: the same sequence again keeps all 3 + 5."
    if ask(text, codes) != 8:
        return f"the same sequence again keeps all 8 slots, got {ask(text, codes)}."
    other = ask([7, 8, 1], codes)
    if other in (2, 5, 7, 8):
        return (
            f"another last word, and you keep {other}. Text slots see each other in both directions, and every code "
            "sees the text: nothing is right any more."
        )
    if other != 0:
        return f"another text keeps nothing, got {other}."
    if ask([7, 8], codes) != 0 or ask([7, 8, 9, 9], codes) != 0:
        return "a text that is shorter or longer is another text: its slots saw other words."
    again = ask(text, [1, 2, 9, 4, 5])
    if again == 7:
        return "codes 4 and 5 are the same, but they were computed after another third code: stop at the first change."
    if again == 6:
        return "this keeps the slot of the changed code itself: 3 + 2 slots are right."
    if again != 5:
        return f"with the third of five codes changed, 3 + 2 slots are right, got {again}."
    if ask(text, [1, 2]) != 5 or ask(text, [1, 2, 3, 4, 5, 6]) != 8:
        return "sequences of different lengths: count up to the end of the shorter one."
    if ask(text, [2, 3, 4, 5, 1]) != 3:
        return "codes that occur somewhere else do not count: compare place by place."
    return None


EXERCISES = register(
    Exercise(
        "cache.kv_head_of",
        kv_head_of,
        _diagnose_head,
        "The other order runs too, and gives other numbers: checkpoints must agree on it.",
        (
            "How many query heads share one key-value head?",
            "With 8 and 2 it is 4: heads 0 to 3 read 0, heads 4 to 7 read 1. Which division does that?",
        ),
        form="three ints -> int",
    ),
    Exercise(
        "cache.cache_size",
        cache_size,
        _diagnose_bytes,
        "It is the number that decides how many motions fit on a card at once.",
        (
            "Each layer keeps, for each motion and position, n_kv_heads vectors of dim / n_head numbers. Twice.",
            "2 * n_layer * batch * length * n_kv_heads * (dim // n_head) * number_bytes",
        ),
        form="seven ints -> int",
    ),
    Exercise(
        "cache.positions_read",
        positions_read,
        _diagnose_positions,
        "Linear against quadratic: that is the whole saving.",
        (
            "Write 3 tokens after a text of 2 by hand: which positions does each pass read?",
            "With the cache: prompt, then 1 per token, but not the last. Without: sum(prompt + t for t in range(new)).",
        ),
        form="two ints, cached: bool -> int",
    ),
    Exercise(
        "cache.cached_attention",
        cached_attention,
        _diagnose_step,
        "With layers, heads and a batch around it, this is `KVCache.update` and the attention after it.",
        (
            "Store first, so that the token can look at itself. How many slots are in use then?",
            "scores = keys[: used + 1] @ query / len(query) ** 0.5, then scores.softmax(0) @ values[: used + 1].",
        ),
        form="query, key, value [hd]; keys, values [slots, hd]; used: int -> [hd]",
    ),
    Exercise(
        "cache.slots_to_keep",
        slots_to_keep,
        _diagnose_keep,
        "So: clear it for every new text; go back to a prefix when only the codes differ.",
        (
            "A key may stay if everything that its token could see is unchanged. What does a text slot see?",
            "Another text: 0. The same text: its length, plus the codes up to the first that differs.",
        ),
        form="four lists of ints -> int",
    ),
)
