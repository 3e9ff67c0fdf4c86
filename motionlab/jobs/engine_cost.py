"""The price of an engine on a trained run: how often it chooses the token of torch, and both action scores.

Rounded weights move every logit a little. Whether that matters shows in three numbers: the share of steps in which the
most likely token stays the same after the same tokens, the share of motions that stay the same from the first token to
the last, drawn with the same noise, and the action score of both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from motionlab.data.splits import Clips
from motionlab.evaluation.action_lists import order_score, wanted_actions
from motionlab.evaluation.intervals import Interval, bootstrap, wilson
from motionlab.evaluation.judge import Judge
from motionlab.jobs.generate import GeneratedMotion, generate_motions
from motionlab.jobs.run_folder import Run
from motionlab.llama.decoding.engine.packages import check_engine
from motionlab.llama.decoding.engine.reader import OnnxReader
from motionlab.llama.decoding.next_logits import CachedReader
from motionlab.text.encoder import TextFeatures


@dataclass(frozen=True)
class EngineCost:
    """Torch and another engine on the same captions, with the same noise.

    Fields:
        next_token: share of steps whose most likely token is the same, after the tokens that torch wrote.
        same_motions: share of motions with exactly the same tokens.
        score: action score of torch and of the engine, and their difference clip by clip; empty without a judge.
    """

    next_token: Interval
    same_motions: Interval
    score: dict[str, Interval]

    def lines(self) -> list[str]:
        """For a person, a line for each number."""
        told = [
            f"same most likely token after the same tokens: {self.next_token.percent()}",
            f"motions with the same tokens: {self.same_motions.percent()}",
        ]
        for name, score in self.score.items():
            told.append(
                f"action score, {name}: {score.value:+.3f} ({score.low:+.3f} to {score.high:+.3f}, n {score.n})"
            )
        return told


def engine_cost(run: Run, clips: Clips, engine: str, limit: int | None = None) -> EngineCost:
    """Compare an engine with torch on the captions of a split.

    Args:
        clips: of a test split; their segments say which actions are wanted.
        engine: "onnx" or "onnx-int8".
        limit: clips at most.

    Raises:
        InputError, MissingExtra: an unknown engine, or one that is not installed.
    """
    check_engine(engine)
    numbers = range(len(clips) if limit is None else min(limit, len(clips)))
    captions = [clips.captions(i)[0] for i in numbers]
    made = {name: generate_motions(run, captions, run.config.sampling, engine=name)[0] for name in ("torch", engine)}
    equal = [
        torch.equal(one.generated.tokens, other.generated.tokens)
        for one, other in zip(made["torch"], made[engine], strict=True)
    ]
    agreement = same_choices(run, captions, [one.generated.tokens for one in made["torch"]], engine)
    score: dict[str, Interval] = {}
    if run.judge is not None and clips.has_segments:
        wanted = [wanted_actions(clips.segments(i)) for i in numbers]
        each = {name: action_scores(run.judge, motions, wanted) for name, motions in made.items()}
        score = {name: bootstrap(values) for name, values in each.items()}
        gain = [b - a for a, b in zip(each["torch"], each[engine], strict=True)]
        score[f"{engine} minus torch"] = bootstrap(gain)
    return EngineCost(bootstrap(agreement), wilson(sum(equal), len(equal)), score)


def action_scores(judge: Judge, motions: Sequence[GeneratedMotion], wanted: Sequence[list[str]]) -> list[float]:
    """The order score of each motion."""
    found = [[action.name for action in judge.actions_in(one.motion.features)] for one in motions]
    return [order_score(expected, names) for expected, names in zip(wanted, found, strict=True)]


@torch.inference_mode()
def same_choices(run: Run, captions: Sequence[str], written: Sequence[torch.Tensor], engine: str) -> list[float]:
    """For each caption, the share of steps in which both engines find the same token most likely.

    Args:
        written: codes of each motion; both engines read these, END left out.
    """
    features = run.text.features(list(captions))
    shares = []
    for row, codes in enumerate(written):
        one = TextFeatures(features.states[row : row + 1], features.mask[row : row + 1])
        shares.append(_same_choices(run, one, codes, engine))
    return shares


def _same_choices(run: Run, text: TextFeatures, codes: torch.Tensor, engine: str) -> float:
    mask, tokens = text.mask.bool(), len(codes) + 1
    plain = CachedReader(run.llama, text.states, mask, tokens)
    other = OnnxReader(run.llama, text.states, mask, tokens, int8=engine == "onnx-int8", folder=run.engine_folder)
    plain.first(), other.first()  # torch reads the text for both
    equal = []
    for code in codes:
        choices = [int(reader.next(code[None]).argmax()) for reader in (plain, other)]
        equal.append(choices[0] == choices[1])
    return sum(equal) / len(equal) if equal else 1.0
