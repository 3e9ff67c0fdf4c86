"""The bytes of a key-value cache and the work it saves, by formula; tests compare each number with the real decoder.

    bytes = 2 * n_layer * batch * n_kv_heads * length * head_dim * bytes per number        (2: keys and values)

Shazeer, "Fast Transformer Decoding", arXiv:1911.02150 (one key-value head, MQA); Ainslie et al., "GQA",
arXiv:2305.13245 (groups of query heads share one).
"""

from __future__ import annotations

from dataclasses import dataclass

from motionlab.cost.settings import NUMBER_BYTES
from motionlab.errors import InputError


def cache_bytes(
    n_layer: int, n_kv_heads: int, head_dim: int, *, batch: int = 1, length: int = 301, number_bytes: int = 4
) -> int:
    """Bytes of the keys and values of every layer.

    >>> cache_bytes(12, 12, 64, length=301)  # "111M" in float32, one motion
    22192128
    """
    return 2 * n_layer * batch * n_kv_heads * length * head_dim * number_bytes


def attention_parameters(dim: int, n_head: int, n_kv_heads: int) -> int:
    """Weights of the four products of one attention layer: query and output `d d`, key and value `d d G/H` each.

    >>> attention_parameters(512, 8, 8), attention_parameters(512, 8, 1)
    (1048576, 589824)
    """
    return 2 * dim * dim + 2 * dim * (dim // n_head * n_kv_heads)


def positions_read(prompt: int, new: int, *, cached: bool) -> int:
    """How many positions go through the layers to write `new` tokens after a prompt.

    With a cache each position is read once; the last token is written and not read. Without one, token number `t`
    (from 0) reads all `prompt + t` positions before it.

    >>> positions_read(10, 100, cached=True), positions_read(10, 100, cached=False)
    (109, 5950)
    """
    return prompt + new - 1 if cached else new * prompt + new * (new - 1) // 2


@dataclass(frozen=True)
class CacheSettings:
    """A decoder's size, and the number and length of the motions in its cache.

    Fields:
        n_layer, n_head, dim: as in `llama.sizes`; n_kv_heads divides n_head.
        batch: motions at once; length: text and code positions of each.
        precision: "fp32", "bf16" or "fp16".

    Raises:
        InputError: a number below 1, an unknown precision, or heads that do not divide.
    """

    n_layer: int
    n_head: int
    dim: int
    n_kv_heads: int
    batch: int = 1
    length: int = 301
    precision: str = "fp32"

    def __post_init__(self) -> None:
        for name in ("n_layer", "n_head", "dim", "n_kv_heads", "batch", "length"):
            if getattr(self, name) < 1:
                raise InputError(name, found=getattr(self, name), expected="1 or more", fix="Change this number.")
        if self.precision not in NUMBER_BYTES:
            known = " or ".join(NUMBER_BYTES)
            raise InputError("precision", found=repr(self.precision), expected=known, fix="Choose one of these.")
        if self.dim % self.n_head:
            raise InputError("n_head", found=self.n_head, expected=f"a divisor of dim={self.dim}", fix="Change n_head.")
        if self.n_head % self.n_kv_heads:
            raise InputError(
                "n_kv_heads",
                found=self.n_kv_heads,
                expected=f"a divisor of n_head={self.n_head}",
                fix="Each key-value head serves equally many query heads.",
            )

    @property
    def head_dim(self) -> int:
        """Channels of one head."""
        return self.dim // self.n_head

    def bytes_with(self, n_kv_heads: int) -> int:
        """Bytes of the cache if the decoder had this many key-value heads."""
        return cache_bytes(
            self.n_layer,
            n_kv_heads,
            self.head_dim,
            batch=self.batch,
            length=self.length,
            number_bytes=NUMBER_BYTES[self.precision],
        )

    @property
    def bytes(self) -> int:
        """Bytes of the cache."""
        return self.bytes_with(self.n_kv_heads)

    @property
    def shares(self) -> list[int]:
        """All possible numbers of key-value heads, most first: from multi-head to multi-query attention."""
        return [groups for groups in range(self.n_head, 0, -1) if self.n_head % groups == 0]


def decoding_flops(
    settings: CacheSettings, *, hidden: int, outputs: int, text_dim: int, prompt: int, new: int, cached: bool
) -> int:
    """Multiplications and additions of all matrix products that write `new` tokens after `prompt` text features.

    A weight costs 2 per position, a score and its use 4 dim per query-key pair. Norms, rotations and softmax are
    left out, they are small. Without a cache the text is projected, and every position gets logits, each time.

    Args:
        settings: the decoder; its batch counts, its length does not.
        hidden: width of the SwiGLU layer; outputs: K + 1; text_dim: width of the text features.
    """
    dim, layers = settings.dim, settings.n_layer
    weights = layers * (attention_parameters(dim, settings.n_head, settings.n_kv_heads) + 3 * dim * hidden)
    # (positions read, positions looked at, text features projected, rows of logits) of each pass
    if cached:
        passes = [(prompt, prompt, prompt, 1), *((1, prompt + t, 0, 1) for t in range(1, new))]
    else:
        passes = [(prompt + t, prompt + t, prompt, prompt + t) for t in range(new)]
    return settings.batch * sum(
        read * (2 * weights + layers * 4 * dim * seen) + 2 * text_dim * dim * text + 2 * dim * outputs * rows
        for read, seen, text, rows in passes
    )
