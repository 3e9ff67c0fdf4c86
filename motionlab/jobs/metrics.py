"""The types of `metrics.json`: every number of a run's report. A stage may add keys of its own.

The report and the commands that continue a run rely on these types, so they are compared when the file is read.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Source:
    """Where the motions come from, in words."""

    name: str
    note: str


@dataclass
class SplitSize:
    """What a split holds."""

    clips: int
    minutes: float


@dataclass
class TokenizerNumbers:
    """One trained tokenizer on the test splits; `errors` is split -> name -> mm."""

    parameters: int
    codebook_size: int
    frames_per_token: int
    errors: dict[str, dict[str, float]]
    codes_of: str
    tokens: int
    used: int
    used_fraction: float
    perplexity: float
    entropy_bits: float
    dead: int
    histogram: list[float]
    made_from: dict[str, str] = field(default_factory=dict)


@dataclass
class JudgeNumbers:
    """How good the judge is on the real clips of a split."""

    frame_accuracy: float
    order_score: float
    exact: float
    clips: int


@dataclass
class Player:
    """A motion that the report shows."""

    caption: str
    files: dict[str, str]
    sha256: dict[str, str] = field(default_factory=dict)
    wanted: list[str] | None = None
    found: list[str] | None = None


@dataclass
class GenerationNumbers:
    """Generated motions of one split; without a judge there is no `score` and no `exact`."""

    clips: int
    stopped_by_limit: int
    tokens_per_second: float
    frames_real: float
    frames_generated: float
    players: list[Player]
    score: dict[str, float] | None = None
    exact: dict[str, float] | None = None


@dataclass
class Metrics:
    """The whole file; a run that did not get that far has no such key."""

    environment: dict[str, str] = field(default_factory=dict)
    corpus: dict[str, SplitSize] = field(default_factory=dict)
    source: Source | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    tokenizers: dict[str, TokenizerNumbers] = field(default_factory=dict)
    classifier: dict[str, JudgeNumbers] = field(default_factory=dict)
    generation: dict[str, GenerationNumbers] = field(default_factory=dict)
    unscored: dict[str, str] = field(default_factory=dict)
