"""Settings of the scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from motionlab.config.fields import Section, setting


@dataclass
class EvaluationConfig(Section):
    """Scores at the end of a run."""

    NAME: ClassVar[str] = "evaluation"

    n_generate: int = setting(32, "captions of each test split to generate from, at most", at_least=1)
    n_players: int = setting(3, "motions of each test split shown in the report", at_least=0)
    classifier_steps: int = setting(200, "training steps of the action classifier that scores generations", at_least=1)
    evaluator_clips: int = setting(
        800, "training clips that the text-motion evaluator learns from, at most; 0: there is none", at_least=0
    )
    evaluator_epochs: int = setting(5, "passes of the text-motion evaluator over its clips, at most", at_least=1)
