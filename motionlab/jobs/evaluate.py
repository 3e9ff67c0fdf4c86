"""Score generated motions: does a classifier, trained on real clips only, see the actions that the caption names?

Four numbers are shown together, because the last means nothing without the others: the classifier on held-out real
clips (how far the judge can be trusted), on their reconstructions (what the tokenizer costs), on motions generated from
their captions, and on motions generated from the captions of OTHER clips (what chance gives).

The judge needs clips that say which action fills which frames. Where the motions do not say, it is skipped with the
reason, and the rest is still measured.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from motionlab.config import QUANTIZERS
from motionlab.data.joined import JoinedClips
from motionlab.data.splits import Clips, Splits
from motionlab.errors import printable
from motionlab.evaluation.actions import (
    classifier_accuracy,
    order_score,
    train_classifier,
    wanted_actions,
)
from motionlab.evaluation.judge import Judge, action_lengths, describe_actions
from motionlab.evaluation.tokenizer import reconstruct
from motionlab.files import sha256
from motionlab.jobs.generate import generate_motions
from motionlab.jobs.known_actions import record_known_captions
from motionlab.jobs.measured import record_machine, record_tokenizers, trained_quantizers
from motionlab.jobs.prepare import bind_splits, check_tests, encode_captions, require_splits
from motionlab.jobs.run_folder import Run
from motionlab.motion.motion import Motion
from motionlab.training.reporting.progress import Kind, Tally, progress_kind, say

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
    kind = progress_kind(sys.stderr) if show else "silent"
    say(f"loading the run {printable(run.folder)}", kind)
    require_splits(run, splits)
    check_evaluable(run, splits)
    bind_splits(run, splits)
    record_machine(run, splits)
    record_known_captions(run, splits)
    say("measuring the tokenizers", kind)
    record_tokenizers(run, splits)
    settings, learned = run.config.evaluation, JoinedClips(splits.train, splits.validation)
    unscored = {name: reason for name, clips in splits.tests.items() if (reason := why_unscored(learned, name, clips))}
    judge, classifier = None, {}
    path = run.folder / "judge.safetensors"
    path.unlink(missing_ok=True)  # of an earlier evaluation, perhaps with other clips
    if len(unscored) < len(splits.tests):
        with Tally("training the judge", settings.classifier_steps, "step", kind) as tally:
            trained = train_classifier(
                learned,
                run.normalizer,
                steps=settings.classifier_steps,
                seed=run.config.seed,
                on_step=tally.update,
            )
        judge = Judge(trained, action_lengths(learned))
        judge.save(path)
        scored = {name: clips for name, clips in splits.tests.items() if name not in unscored}
        classifier = {name: asdict(classifier_accuracy(judge.classifier, clips)) for name, clips in scored.items()}
    generation = {
        name: score_split(run, None if name in unscored else judge, clips, name, kind)
        for name, clips in splits.tests.items()
    }
    run.record(classifier=classifier, generation=generation, unscored=unscored)
    _remove_others(run.folder / "motions", generation)
    return generation


def check_evaluable(run: Run, splits: Splits) -> None:
    """Raise an InputError, before any work, when there is nothing to score or nothing to score with."""
    check_tests(splits)
    splits.require_captions(*splits.tests)
    run.llama  # noqa: B018 (a property that names what is missing)
    for name, clips in splits.tests.items():  # a caption that the encoder cannot read is found here, too
        numbers = range(min(run.config.evaluation.n_generate, len(clips)))
        encode_captions(run.text, {splits.clip_name(name, i): clips.captions(i)[:1] for i in numbers})


def why_unscored(learned: Clips, name: str, clips: Clips) -> str:
    """Why the judge cannot score a test split; empty when it can."""
    for where, some in (("the training clips", learned), (f"the clips of {name}", clips)):
        if not some.has_segments:
            return f"{where} do not say which action fills which frames"
    known = {segment.action for i in range(len(learned)) for segment in learned.segments(i)}
    asked = {segment.action for i in range(len(clips)) for segment in clips.segments(i)}
    unknown = sorted(asked - known)
    return f"no training clip shows {', '.join(unknown)}" if unknown else ""


@torch.inference_mode()
def score_split(run: Run, judge: Judge | None, clips: Clips, name: str, show: Kind = "silent") -> dict[str, Any]:
    """Lengths, speed and players of one split; with a judge also the action scores of real and generated motions."""
    numbers = range(min(run.config.evaluation.n_generate, len(clips)))
    captions = [clips.captions(i)[0] for i in numbers]
    made, tokens_per_second = generate_motions(run, captions, run.config.sampling, show=show, compare=False)
    wanted = [wanted_actions(clips.segments(i)) for i in numbers]
    normalizer = run.normalizer
    tokenizers = {kind: run.tokenizer(kind) for kind in trained_quantizers(run)}
    recognised: dict[str, list[list[str]]] = {"real": [], "reconstructed": [], "generated": []}
    players = []
    folder = run.folder / "motions"
    with Tally(f"scoring {name}", len(numbers), "clip", show) as tally:
        for i, caption, motion in zip(numbers, captions, made, strict=True):
            real = clips.features(i)
            restored = {
                kind: reconstruct(model, normalizer, model.encode(normalizer.normalize(real)[None]))[: len(real)]
                for kind, model in tokenizers.items()
            }
            own = restored[run.config.tokenizer.quantizer]
            for kind, features in (("real", real), ("reconstructed", own), ("generated", motion.motion.features)):
                recognised[kind].append([] if judge is None else judge.classifier.recognise(features))
            if i < run.config.evaluation.n_players:
                tracks = {"real": real, **restored, "generated": motion.motion.features}
                player = _keep(folder, f"{name}-{i:02d}", caption, tracks)
                if judge is not None:
                    seen = describe_actions(judge.actions_in(motion.motion.features))
                    player |= {"wanted": wanted[i], "found": recognised["generated"][-1], "recognised": seen}
                players.append(player)
            tally.update(i + 1)
    return {
        "clips": len(numbers),
        **({} if judge is None else _scores(wanted, recognised)),
        "stopped_by_limit": sum(motion.generated.stopped_by == "limit" for motion in made),
        "tokens_per_second": tokens_per_second,
        "frames_real": sum(int(clips.lengths[i]) for i in numbers) / len(numbers),
        "frames_generated": sum(len(motion.motion) for motion in made) / len(made),
        "players": players,
    }


def _scores(wanted: Sequence[list[str]], recognised: dict[str, list[list[str]]]) -> dict[str, dict[str, float]]:
    """Mean action score, and share of clips that are exactly right, of each kind of motion."""
    scores = {
        kind: [order_score(w, f) for w, f in zip(wanted, found, strict=True)] for kind, found in recognised.items()
    }
    # Chance: each generated motion against the caption of the next clip.
    scores["other caption"] = [
        order_score(wanted[(k + 1) % len(wanted)], found) for k, found in enumerate(recognised["generated"])
    ]
    return {
        "score": {kind: sum(values) / len(values) for kind, values in scores.items()},
        "exact": {kind: sum(value == 1.0 for value in values) / len(values) for kind, values in scores.items()},
    }


def _remove_others(folder: Path, generation: Mapping[str, Any]) -> None:
    """Remove the motions of earlier evaluations, which had more players, splits or tokenizers."""
    kept = {name for split in generation.values() for player in split["players"] for name in player["files"].values()}
    for path in folder.glob("*.npy"):
        if _PLAYER.fullmatch(path.name) and path.name not in kept:
            path.unlink(missing_ok=True)


def _keep(folder: Path, stem: str, caption: str, tracks: dict[str, torch.Tensor]) -> dict[str, Any]:
    """Write the motions of one player and describe it for the report."""
    files, digests = {}, {}
    for label, features in tracks.items():
        files[label] = f"{stem}-{label}.npy"
        Motion(features, name=caption).save(folder / files[label])
        digests[label] = sha256(folder / files[label])
    return {"caption": caption, "files": files, "sha256": digests}
