"""Settings of generation. `motionlab.llama.decoding.sampling` draws with them; a run's config holds the same class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from motionlab.config.fields import Section, required, seed_setting, setting


@dataclass(frozen=True, kw_only=True)
class Sampling(Section):
    """How to choose tokens. The order is: guidance, repetition control, temperature, top_k, top_p, the draw.

    `max_tokens` has no default on purpose: a limit that nobody chose silently cuts motions short.

    >>> Sampling(max_tokens=75, temperature=0.0)
    Traceback (most recent call last):
    motionlab.errors.InputError: sampling.temperature: found 0.0, expected a number, above 0. For no randomness use \
greedy=true.
    """

    NAME: ClassVar[str] = "sampling"

    greedy: bool = setting(
        False, "always take the most likely token; temperature, top_k, top_p and seed do nothing then"
    )
    temperature: float = setting(
        1.0,
        "logits are divided by it: below 1 sharper, above 1 flatter",
        above=0,
        fix="For no randomness use greedy=true.",
    )
    top_k: int | None = setting(None, "draw from the k most likely tokens only; null is all", at_least=1)
    top_p: float | None = setting(
        None, "draw from the smallest set of tokens whose probability reaches p; null is all", above=0, at_most=1
    )
    max_tokens: int = required("tokens at most; stopping here is reported, never silent", at_least=1, at_most=100_000)
    min_tokens: int = setting(1, "END cannot be chosen before this many tokens", at_least=0)
    guidance: float = setting(
        1.0, "scale of classifier-free guidance; 1 is off, and right without llama.text_drop", at_least=0
    )
    repetition_penalty: float = setting(
        1.0, "above 1, codes that were written become less likely; 1 is no penalty", above=0
    )
    no_repeat_ngram: int = setting(0, "no run of this many codes is written twice; 0 is off", at_least=0)
    seed: int = seed_setting("seed of the draw: sample number b of a call uses seed + b, whatever else is in the batch")

    def check_relations(self) -> None:
        expected = f"at most max_tokens ({self.max_tokens})"
        self.require("min_tokens", self.min_tokens <= self.max_tokens, expected, "Lower it, or raise max_tokens.")
