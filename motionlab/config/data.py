"""Settings of the motions: where they come from and how they are split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from motionlab.config.fields import Section, is_path, seed_setting, setting

SourceName = Literal["composed", "folder", "motionmillion"]


@dataclass
class DataConfig(Section):
    """Where the motions come from. The section `corpus` shapes the composed ones only."""

    NAME: ClassVar[str] = "data"

    source: SourceName = setting(
        "composed", "composed (from the bundled clips), folder (your own motions) or motionmillion (its published tree)"
    )
    path: str | None = setting(None, "the folder, with source folder or motionmillion", test=is_path, says="a path")
    captions: Literal["required", "optional"] = setting(
        "required", "clips without text: left out, or kept for a run that trains the tokenizer alone"
    )
    quarantine: bool = setting(True, "leave out the clips that quarantine.jsonl in the folder names")
    validation_share: float = setting(0.05, "share of the takes that choose the best weights", at_least=0, at_most=0.5)
    test_share: float = setting(0.1, "share of the takes that are tested on", at_least=0, at_most=0.5)
    min_frames: int = setting(20, "shorter clips are left out, frames at 30 fps", at_least=3)
    max_frames: int | None = setting(None, "longer clips are left out, frames at 30 fps; null: no limit", at_least=3)
    seed: int = seed_setting("another seed puts other takes into validation and test")

    def check_relations(self) -> None:
        # MotionMillion without a folder is no mistake yet: its models can be looked at. Training refuses it.
        self.require("path", self.source != "folder" or self.path is not None, "the folder of the motions")
        unused = "null with source: composed"
        self.require("path", self.source != "composed" or self.path is None, unused, "Set data.source=folder, too.")
        longest = self.max_frames
        self.require(
            "max_frames", longest is None or longest > self.min_frames, f"more than min_frames ({self.min_frames})"
        )
