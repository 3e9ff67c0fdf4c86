"""Numbers out of text, many at once.

`float(word)` costs more than all that is done with the number afterwards. A decimal number of at most 16 digits is a
whole number divided by a power of ten; when both are exact in float64, one division rounds correctly (Clinger, "How to
read floating point numbers accurately", 1990). So a block of text becomes an array in a few passes over its bytes: the
words, their dots, eight digits at a time as one 64-bit integer, one division. The result is that of `float`, bit for
bit. A word that is written in another way (1e-5, +1, 17 digits) goes through `float` itself.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

BLOCK = 1 << 17  # bytes of text at a time: what is computed from them stays in the cache
_PAD = b" " * 16  # so that 16 bytes can be read before the end of every word
_EXACT = 1 << 53  # whole numbers up to here are exact in float64
_POWERS = 10.0 ** np.arange(17)  # exact, too
_PLAIN = b"0123456789.- \t\n\r\v\f"  # bytes of words that need no `float`
_ODD = np.ones(256, dtype=bool)
_ODD[list(_PLAIN)] = False
_GAP = re.compile(rb"\s")
_UINT64 = np.dtype("<u8")


def parse_numbers(text: bytes) -> NDArray[np.float64]:
    """All numbers of a text, parted by white space: `[N]` float64, each as `float` reads it.

    Raises:
        ValueError: a word that is no number, with the word.

    >>> parse_numbers(b"1.5 -0.25\\n 1e3").tolist()
    [1.5, -0.25, 1000.0]
    """
    parts, start = [], 0
    while start < len(text):
        gap = _GAP.search(text, start + BLOCK)  # a block ends with a word
        end = gap.start() if gap else len(text)
        parts.append(_parse_block(text[start:end]))
        start = end
    return np.concatenate(parts) if parts else np.empty(0)


def word_starts(text: bytes) -> NDArray[np.int64]:
    """Where each word of a text begins, `[N]`."""
    gap = np.frombuffer(b" " + text, dtype=np.uint8) <= 32
    return np.flatnonzero(gap[:-1] & ~gap[1:])


def _parse_block(text: bytes) -> NDArray[np.float64]:
    data = np.frombuffer(text, dtype=np.uint8)
    gap = np.ones(len(data) + 2, dtype=bool)  # before the first byte, one for each byte, after the last
    np.less_equal(data, 32, out=gap[1:-1])
    unusual = bool(text.translate(None, _PLAIN))
    if unusual and bool((_ODD[data] & gap[1:-1]).any()):
        raise ValueError("a control character between the numbers")
    edges = np.flatnonzero(gap[1:] != gap[:-1])  # a word begins, ends, begins, ends ...
    starts, ends = edges[::2], edges[1::2]  # [N]
    if not len(starts):
        return np.empty(0)
    is_dot = data == 46
    dots = np.flatnonzero(is_dot)
    if len(dots) == len(starts) and bool(((dots >= starts) & (dots < ends)).all()):
        before = np.arange(len(starts))  # dots before each word
        has_dot: NDArray[np.int64] | int = 1
        decimals = ends - dots - 1
        several = None
    else:
        has_dot = np.add.reduceat(is_dot, starts, dtype=np.int64)  # [N]
        before = np.cumsum(has_dot) - has_dot
        decimals = np.zeros(len(starts), dtype=np.int64)
        decimals[has_dot == 1] = ends[has_dot == 1] - dots[np.minimum(before, len(dots) - 1)[has_dot == 1]] - 1
        several = has_dot > 1
    minus = data[starts] == 45
    digits = ends - starts - minus - has_dot  # [N]
    # 16 bytes up to the end of each word, in a text without dots; two words of 8 bytes each.
    packed = _PAD + text.translate(None, b".")
    windows = np.ndarray(len(packed) - 15, dtype="V16", buffer=packed, strides=(1,))
    halves = windows[ends - before - has_dot].view(_UINT64).reshape(-1, 2)  # [N, 2]
    late, early = halves[:, 1], halves[:, 0]
    mantissa = _eight_digits(late, np.minimum(digits, 8))
    if bool((digits > 8).any()):
        mantissa += _eight_digits(early, np.clip(digits - 8, 0, 8)) * np.uint64(10**8)
    values: NDArray[np.float64] = mantissa / _POWERS[np.minimum(decimals, 16)]
    np.negative(values, out=values, where=minus)
    odd = (digits < 1) | (digits > 16) | (mantissa > _EXACT)
    if several is not None:
        odd |= several
    if unusual:
        odd[np.searchsorted(starts, np.flatnonzero(_ODD[data]), side="right") - 1] = True
    if text.count(b"-") != int(minus.sum()):
        odd[np.searchsorted(starts, np.flatnonzero(data == 45), side="right") - 1] = True
    for word in np.flatnonzero(odd).tolist():
        values[word] = float(text[starts[word] : ends[word]])
    return values


def _eight_digits(words: NDArray[np.uint64], count: NDArray[np.int64]) -> NDArray[np.uint64]:
    """The number in the last `count` of the eight characters of each word, `[N]`; its first character is the low byte.

    Neighbours are joined to pairs, pairs to fours, fours to eight: three multiplications instead of eight.
    """
    unused = (8 * np.minimum(8 - count, 7)).astype(np.uint64)
    value = (words >> unused) << unused
    value &= np.uint64(0x0F0F0F0F0F0F0F0F)
    value *= np.uint64((10 << 8) + 1)
    value >>= np.uint64(8)
    value &= np.uint64(0x00FF00FF00FF00FF)
    value *= np.uint64((100 << 16) + 1)
    value >>= np.uint64(16)
    value &= np.uint64(0x0000FFFF0000FFFF)
    value *= np.uint64((10000 << 32) + 1)
    value >>= np.uint64(32)
    value[count <= 0] = 0
    return value
