"""The types of `metrics.json`: every number of a run's report. A stage may add keys of its own.

The report and the commands that continue a run rely on these types, so they are compared when the file is read.
"""

from __future__ import annotations

from dataclasses import dataclass, field

Numbers = tuple[float, float, float, int]  # value, low and high end of its interval, and how many it rests on


@dataclass
class Source:
    """Where the motions come from, in words."""

    name: str
    note: str


@dataclass
class SplitSize:
    """The size of a split."""

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
    """How good the judge is on the real clips of a split; runs of earlier versions lack the later fields."""

    frame_accuracy: float
    order_score: float
    exact: float
    clips: int
    order_blind: float | None = None
    takes: int | None = None
    intervals: dict[str, tuple[float, float, int]] = field(default_factory=dict)
    confusion: dict[str, dict[str, float]] = field(default_factory=dict)


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
    """Generated motions of one split; without a judge there are no scores. Kinds are real, reconstructed and generated
    motion, and baselines.

    Fields:
        score, exact, order_blind: kind -> mean over the clips.
        intervals: measure -> kind -> low end, high end, how many clips or takes.
        per_clip: measure -> kind -> one number a clip, None where a baseline has no motion.
        actions: kind -> action -> asked for, found, found where asked for.
        made_from: digest of the clips of the split.
        apart: training knows the real motions of these clips in part.
    """

    clips: int
    stopped_by_limit: int
    tokens_per_second: float
    frames_real: float
    frames_generated: float
    players: list[Player]
    score: dict[str, float] | None = None
    exact: dict[str, float] | None = None
    order_blind: dict[str, float] | None = None
    intervals: dict[str, dict[str, tuple[float, float, int]]] = field(default_factory=dict)
    per_clip: dict[str, dict[str, list[float | None]]] = field(default_factory=dict)
    actions: dict[str, dict[str, tuple[int, int, int]]] = field(default_factory=dict)
    made_from: str = ""
    apart: bool = False


@dataclass
class TrialNumbers:
    """Episodes of one task: shares that succeeded and grasped, and the mean number of actions of a success."""

    success: Numbers
    grasp: Numbers
    steps: float | None = None


@dataclass
class Film:
    """An episode that the report shows."""

    instruction: str
    seed: int
    success: bool
    grasped: bool
    steps: int


@dataclass
class VlaNumbers:
    """A policy of the robot half in closed loop.

    Fields:
        parameters: part -> all, trained, frozen.
        tasks, controls: instruction, or what was changed -> its episodes.
        films: file -> what it shows.
    """

    demonstrations: str
    parameters: dict[str, tuple[int, int, int]]
    tasks: dict[str, TrialNumbers]
    overall: TrialNumbers
    controls: dict[str, TrialNumbers] = field(default_factory=dict)
    films: dict[str, Film] = field(default_factory=dict)
    made_from: dict[str, str] = field(default_factory=dict)


@dataclass
class Metrics:
    """The whole file; a run that did not get that far has no such key."""

    environment: dict[str, str] = field(default_factory=dict)
    corpus: dict[str, SplitSize] = field(default_factory=dict)
    source: Source | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    tokenizers: dict[str, TokenizerNumbers] = field(default_factory=dict)
    classifier: dict[str, JudgeNumbers] = field(default_factory=dict)
    judge_split: str | None = None
    generation: dict[str, GenerationNumbers] = field(default_factory=dict)
    unscored: dict[str, str] = field(default_factory=dict)
    diversity: dict[str, dict[str, float]] = field(default_factory=dict)
    physics: dict[str, dict[str, dict[str, Numbers]]] = field(default_factory=dict)
    text_motion: dict[str, dict[str, dict[str, dict[str, Numbers]]]] = field(default_factory=dict)
    vla: VlaNumbers | None = None
