"""The choice of the caption of a clip to read this time.

A clip has several captions. Reading another one at each access teaches that they mean the same motion. The draw is a
pure function of `(seed, clip, access)`: a resumed run draws what the uninterrupted run would have drawn.
"""

from __future__ import annotations

from collections.abc import Sequence

from motionlab.errors import InputError
from motionlab.runtime import scramble


def choose_caption(captions: Sequence[str], seed: int, clip: int, access: int) -> str:
    """Draw one caption, each with the same chance.

    Args:
        captions: the captions to choose from.
        seed: of the run.
        clip: number of the clip.
        access: how often this clip was read before; the epoch number will do.

    >>> [choose_caption(["walks", "strolls", "goes"], seed=0, clip=7, access=k) for k in range(4)]
    ['goes', 'strolls', 'walks', 'walks']
    """
    return captions[choose_number(len(captions), seed, clip, access)]


def choose_number(count: int, seed: int, clip: int, access: int) -> int:
    """The number of the caption that `choose_caption` draws from `count`; none of them has to be read.

    Raises:
        InputError: there is none.
    """
    if not count:
        raise InputError(
            f"clip {clip}", found="no captions", expected="at least one", fix="Drop the clip or caption it."
        )
    return scramble(scramble(scramble(seed) + clip) + access) % count
