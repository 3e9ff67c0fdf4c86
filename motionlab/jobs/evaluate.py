"""Score generated motions: does a judge, trained on real clips only, see the actions that the caption names?

A score means nothing alone, so it is shown with others of the same judge on the same captions: real motion of takes
that neither judge nor decoder has seen (how far the judge can be trusted), its reconstruction (what the tokenizer
costs), and motions that were looked up, cut out or pasted together (`evaluation/baselines.py`).

The judge needs clips that say which action fills which frames. Where the motions do not say, it is skipped with the
reason, and the rest is still measured.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from motionlab.config import QUANTIZERS
from motionlab.data.joined import JoinedClips
from motionlab.data.splits import Clips, Splits
from motionlab.errors import printable
from motionlab.evaluation.actions import train_classifier
from motionlab.evaluation.baselines import TrainingMotions
from motionlab.evaluation.judge import Judge, action_lengths
from motionlab.evaluation.judge_accuracy import measure_judge
from motionlab.jobs.build import little_work
from motionlab.jobs.known_actions import record_known_captions
from motionlab.jobs.measured import record_machine, record_tokenizers
from motionlab.jobs.prepare import bind_splits, check_tests, encode_captions, require_splits
from motionlab.jobs.quality import SplitMotions, measure_quality
from motionlab.jobs.run_folder import Run
from motionlab.jobs.scoring import Judging, score_split
from motionlab.progress_bar import Kind, Tally, progress_kind, say
from motionlab.runtime import choose_device, one_thread

_PLAYER = re.compile(rf".+-\d{{2,}}-(real|generated|{'|'.join(QUANTIZERS)})\.npy")  # split, number, track


def evaluate(run: Run, splits: Splits, *, show: bool = False) -> dict[str, Any]:
    """Train the judge, score every test split, keep the numbers and some motions with the run.

    Works on any run with a trained tokenizer and decoder, whichever commands made them: what else the report needs is
    measured here when it is not known yet.

    Args:
        show: say on stderr what is being done.

    Raises:
        InputError: the run was made from other motions, has no decoder yet, or there is no test split. Nothing of the
            run was changed then.
    """
    with one_thread(little_work(run.config, choose_device(run.config.device).value)):
        return _evaluate(run, splits, progress_kind(sys.stderr) if show else "silent")


def _evaluate(run: Run, splits: Splits, kind: Kind) -> dict[str, Any]:
    say(f"loading the run {printable(run.folder)}", kind)
    require_splits(run, splits)
    check_evaluable(run, splits)
    bind_splits(run, splits)
    record_machine(run, splits)
    record_known_captions(run, splits)
    say("measuring the tokenizers", kind)
    record_tokenizers(run, splits)
    settings, learned = run.config.evaluation, JoinedClips(splits.train, splits.validation)
    unscored = why_unscored(learned, splits.tests)
    judging, classifier = None, {}
    path = run.folder / "judge.safetensors"
    path.unlink(missing_ok=True)  # of an earlier evaluation, perhaps with other clips
    if len(unscored) < len(splits.tests):
        with Tally("training the judge", settings.classifier_steps, "step", kind) as tally:
            trained = train_classifier(
                learned, steps=settings.classifier_steps, seed=run.config.seed, on_step=tally.update
            )
        scored = {name: clips for name, clips in splits.tests.items() if name not in unscored}
        accuracy = {name: measure_judge(trained, clips) for name, clips in scored.items()}
        classifier = {name: asdict(one) for name, one in accuracy.items()}
        trusted = trusted_split(splits, scored)
        judge = Judge(trained, action_lengths(learned), None if trusted is None else accuracy[trusted])
        judge.save(path)
        judging = Judging(judge, TrainingMotions(splits.train, run.text.features, run.config.corpus.blend_frames))
    generation: dict[str, Any] = {}
    made: dict[str, SplitMotions] = {}
    for name, clips in splits.tests.items():
        own = None if name in unscored else judging
        generation[name], made[name] = score_split(run, own, clips, name, kind)
        generation[name]["apart"] = name in splits.apart
    say("measuring the motions", kind)
    quality = measure_quality(run, splits, made)
    trust = None if judging is None else trusted
    run.record(classifier=classifier, judge_split=trust, generation=generation, unscored=unscored, **quality)
    _remove_others(run.folder / "motions", generation)
    return generation


def trusted_split(splits: Splits, scored: Mapping[str, Clips]) -> str | None:
    """The test split that says how far the judge can be trusted: single actions by new takes, if there is one."""
    names = [name for name in scored if name not in splits.apart]
    return "new_takes" if "new_takes" in names else next(iter(names), None)


def check_evaluable(run: Run, splits: Splits) -> None:
    """Raise an InputError, before any work, when there is nothing to score or nothing to score with."""
    check_tests(splits)
    splits.require_captions(*splits.tests)
    run.llama  # noqa: B018 (a property that names what is missing)
    for name, clips in splits.tests.items():  # a caption that the encoder cannot read is found here, too
        numbers = range(min(run.config.evaluation.n_generate, len(clips)))
        encode_captions(run.text, {splits.clip_name(name, i): clips.captions(i)[:1] for i in numbers})


def why_unscored(learned: Clips, tests: Mapping[str, Clips]) -> dict[str, str]:
    """The test splits that the judge cannot score, each with the reason."""

    def reason(name: str, clips: Clips) -> str:
        for where, some in (("the training clips", learned), (f"the clips of {name}", clips)):
            if not some.has_segments:
                return f"{where} do not say which action fills which frames"
        unknown = sorted(_actions_of(clips) - known)
        return f"no training clip shows {', '.join(unknown)}" if unknown else ""

    known = _actions_of(learned) if learned.has_segments else set()
    return {name: why for name, clips in tests.items() if (why := reason(name, clips))}


def _actions_of(clips: Clips) -> set[str]:
    return {segment.action for i in range(len(clips)) for segment in clips.segments(i)}


def _remove_others(folder: Path, generation: Mapping[str, Any]) -> None:
    """Remove the motions of earlier evaluations, which had more players, splits or tokenizers."""
    kept = {name for split in generation.values() for player in split["players"] for name in player["files"].values()}
    for path in folder.glob("*.npy"):
        if _PLAYER.fullmatch(path.name) and path.name not in kept:
            path.unlink(missing_ok=True)
