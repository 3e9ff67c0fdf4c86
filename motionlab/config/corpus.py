"""Settings of the composed corpus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from motionlab.config.fields import Section, seed_setting, setting


@dataclass
class CorpusConfig(Section):
    """The composed corpus: real clips joined, mirrored and re-timed."""

    NAME: ClassVar[str] = "corpus"

    n_train: int = setting(1600, "clips in the training split", at_least=1)
    n_validation: int = setting(80, "clips that choose the best weights", at_least=1)
    n_seen_pairs: int = setting(
        64, "test clips of pairs of actions that training has seen; as many again of actions with one take", at_least=0
    )
    n_unseen_pairs: int = setting(
        64, "test clips of pairs of actions that training never saw; as many again of actions with one take", at_least=0
    )
    n_new_takes: int = setting(32, "test clips of one action, by a performance that training never saw", at_least=0)
    min_frames: int = setting(30, "shortest clip, frames at 30 fps; a kick or a jump lasts 36 to 57", at_least=2)
    max_frames: int = setting(300, "longest clip, frames at 30 fps", at_least=3)
    max_actions: int = setting(3, "most actions joined in one clip; with 1 no combination could be unseen", at_least=2)
    blend_frames: int = setting(10, "frames over which two clips are blended at a seam", at_least=0)
    mirror_probability: float = setting(
        0.5, "chance that a clip is mirrored left-right, captions included", at_least=0, at_most=1
    )
    speed_min: float = setting(0.8, "slowest playback speed of an action", above=0)
    speed_max: float = setting(1.25, "fastest playback speed of an action", above=0)
    seed: int = seed_setting("seed of the generator; the same seed gives the same bytes")

    def check_relations(self) -> None:
        self.require("max_frames", self.max_frames > self.min_frames, f"more than min_frames ({self.min_frames})")
        self.require("blend_frames", self.blend_frames < self.min_frames, f"less than min_frames ({self.min_frames})")
        self.require("speed_min", self.speed_min <= self.speed_max, f"at most speed_max ({self.speed_max})")
