"""A clip: a motion with its captions, and what is known about where its actions and the motion come from."""

from __future__ import annotations

from dataclasses import dataclass, field

from motionlab.motion.motion import Motion


@dataclass(frozen=True)
class Segment:
    """Which action fills frames `start` to `stop` (excluded) of a clip, and how it was made.

    Args:
        action: class label, after mirroring (`"turn_left"`).
        phrase: the words used in the caption (`"turns left"`).
        start, stop: frames of the finished clip.
        mirrored: whether the sample was mirrored.
        speed: playback speed of the sample.
        sample: name of the sample.
    """

    action: str
    phrase: str
    start: int
    stop: int
    mirrored: bool = False
    speed: float = 1.0
    sample: str = ""


@dataclass(frozen=True, eq=False)
class Clip:
    """A motion with its captions and, if known, its segments and the recording or data set that it comes from."""

    name: str
    motion: Motion
    captions: list[str]
    segments: list[Segment] = field(default_factory=list)
    source: str | None = None
