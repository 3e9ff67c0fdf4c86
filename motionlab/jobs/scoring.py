"""Generate for the captions of one test split, and score what comes out next to real motion and baselines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from motionlab.data.leaks import takes_in
from motionlab.data.splits import Clips
from motionlab.evaluation.action_lists import wanted_actions
from motionlab.evaluation.baselines import OTHER_CAPTION, TrainingMotions
from motionlab.evaluation.judge import Judge, describe_actions
from motionlab.evaluation.score_table import score_table
from motionlab.evaluation.tokenizer import reconstruct
from motionlab.files import sha256
from motionlab.jobs.generate import generate_motions
from motionlab.jobs.measured import trained_quantizers
from motionlab.jobs.quality import SplitMotions
from motionlab.jobs.run_folder import Run
from motionlab.motion.motion import Motion
from motionlab.progress_bar import Kind, Tally

KINDS = ("real", "reconstructed", "generated")


@dataclass(frozen=True)
class Judging:
    """The judge, and the training motions that give the baselines."""

    judge: Judge
    known: TrainingMotions


@torch.inference_mode()
def score_split(
    run: Run, judging: Judging | None, clips: Clips, name: str, show: Kind = "silent"
) -> tuple[dict[str, Any], SplitMotions]:
    """Lengths, speed and players of one split, with a judge also its action scores; and the motions themselves."""
    numbers = range(min(run.config.evaluation.n_generate, len(clips)))
    captions = [clips.captions(i)[0] for i in numbers]
    made, tokens_per_second = generate_motions(run, captions, run.config.sampling, show=show, compare=False)
    wanted = [wanted_actions(clips.segments(i)) for i in numbers]
    recognise: Callable[[Tensor], list[str]] = (lambda _: []) if judging is None else judging.judge.classifier.recognise
    tokenizers = {kind: run.tokenizer(kind) for kind in trained_quantizers(run)}
    motions: dict[str, list[Tensor]] = {kind: [] for kind in KINDS}
    found: dict[str, list[list[str] | None]] = {kind: [] for kind in KINDS}
    players = []
    with Tally(f"scoring {name}", len(numbers), "clip", show) as tally:
        for i, caption, motion in zip(numbers, captions, made, strict=True):
            real, generated = clips.features(i), motion.motion.features
            restored = {kind: _restored(run, model, real) for kind, model in tokenizers.items()}
            own = restored[run.config.tokenizer.quantizer]
            for kind, features in zip(KINDS, (real, own, generated), strict=True):
                motions[kind].append(features)
                found[kind].append(recognise(features))
            if i < run.config.evaluation.n_players:
                tracks = {"real": real, **restored, "generated": generated}
                player = _keep(run.folder / "motions", f"{name}-{i:02d}", caption, tracks)
                if judging is not None:
                    seen = describe_actions(judging.judge.actions_in(generated))
                    player |= {"wanted": wanted[i], "found": found["generated"][-1], "recognised": seen}
                players.append(player)
            tally.update(i + 1)
    scores: dict[str, Any] = {}
    if judging is not None:
        baselines = judging.known.motions(wanted, captions)
        for kind, some in baselines.items():
            found[kind] = [None if features is None else recognise(features) for features in some]
        takes = [" + ".join(sorted(takes_in(clips, i))) for i in numbers]
        scores = score_table(
            wanted, found, groups={"real": takes, "reconstructed": takes}, other=(OTHER_CAPTION, "generated")
        )
    numbers_of = {
        "clips": len(numbers),
        "made_from": clips.digest,
        **scores,
        "stopped_by_limit": sum(motion.generated.stopped_by == "limit" for motion in made),
        "tokens_per_second": tokens_per_second,
        "frames_real": sum(int(clips.lengths[i]) for i in numbers) / len(numbers),
        "frames_generated": sum(len(motion.motion) for motion in made) / len(made),
        "players": players,
    }
    return numbers_of, SplitMotions(list(numbers), captions, motions)


def _restored(run: Run, model: Any, real: Tensor) -> Tensor:
    """A clip after the tokenizer, `[T, 272]`; the last token may reach beyond the clip."""
    normalizer = run.normalizer
    return reconstruct(model, normalizer, model.encode(normalizer.normalize(real)[None]))[: len(real)]


def _keep(folder: Path, stem: str, caption: str, tracks: dict[str, Tensor]) -> dict[str, Any]:
    """Write the motions of one player and describe it for the report."""
    files, digests = {}, {}
    for label, features in tracks.items():
        files[label] = f"{stem}-{label}.npy"
        Motion(features, name=caption).save(folder / files[label])
        digests[label] = sha256(folder / files[label])
    return {"caption": caption, "files": files, "sha256": digests}
