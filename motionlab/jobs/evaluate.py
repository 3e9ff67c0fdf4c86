"""Score generated motions: does a classifier, trained on real clips only, see the actions that the caption names?

Four numbers stand side by side, because the last means nothing without the others: the classifier on held-out real
clips (how far the judge can be trusted), on their reconstructions (what the tokenizer costs), on motions generated from
their captions, and on motions generated from the captions of OTHER clips (what chance gives).
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from motionlab.data.corpus import Corpus
from motionlab.data.store import MotionStore
from motionlab.evaluation.actions import (
    ActionClassifier,
    classifier_accuracy,
    order_score,
    train_classifier,
    wanted_actions,
)
from motionlab.evaluation.tokenizer import reconstruct
from motionlab.jobs.generate import generate_motions
from motionlab.jobs.run_folder import Run


def evaluate(run: Run, corpus: Corpus) -> dict[str, Any]:
    """Train the judge, score both test splits, keep the numbers and some motions with the run."""
    settings = run.config.evaluation
    _, _ = run.llama, _tokenizers(run)  # a part that is missing is found before the judge is trained
    judge = train_classifier(corpus.train, run.normalizer, steps=settings.classifier_steps, seed=run.config.seed)
    splits = {"test_seen": corpus.test_seen, "test_unseen": corpus.test_unseen}
    classifier = {name: asdict(classifier_accuracy(judge, store)) for name, store in splits.items()}
    generation = {name: score_split(run, judge, store, name) for name, store in splits.items()}
    run.record(classifier=classifier, generation=generation)
    return generation


@torch.inference_mode()
def score_split(run: Run, judge: ActionClassifier, store: MotionStore, name: str) -> dict[str, Any]:
    """Action scores of real, reconstructed and generated motions of one split."""
    clips = list(range(min(run.config.evaluation.n_generate, len(store))))
    captions = [store.captions(i)[0] for i in clips]
    made, tokens_per_second = generate_motions(run, captions, run.config.sampling)
    wanted = [wanted_actions(store.segments(i)) for i in clips]
    normalizer, tokenizers = run.normalizer, _tokenizers(run)
    recognised: dict[str, list[list[str]]] = {"real": [], "reconstructed": [], "generated": []}
    players = []
    folder = run.folder / "motions"
    for i, caption, motion in zip(clips, captions, made, strict=True):
        real = store.features(i)
        restored = {
            kind: reconstruct(model, normalizer, model.encode(normalizer.normalize(real)[None]))[: len(real)]
            for kind, model in tokenizers.items()
        }
        own = restored[run.config.tokenizer.quantizer]
        for kind, features in (("real", real), ("reconstructed", own), ("generated", motion.motion.features)):
            recognised[kind].append(judge.recognise(features))
        if i < run.config.evaluation.n_players:
            tracks = {"real": real, **restored, "generated": motion.motion.features}
            players.append(_keep(folder, f"{name}-{i:02d}", caption, tracks, wanted[i], recognised["generated"][-1]))
    scores = {
        kind: [order_score(w, f) for w, f in zip(wanted, found, strict=True)] for kind, found in recognised.items()
    }
    # Chance: each generated motion against the caption of the next clip.
    scores["other caption"] = [
        order_score(wanted[(k + 1) % len(wanted)], found) for k, found in enumerate(recognised["generated"])
    ]
    return {
        "clips": len(clips),
        "score": {kind: sum(values) / len(values) for kind, values in scores.items()},
        "exact": {kind: sum(value == 1.0 for value in values) / len(values) for kind, values in scores.items()},
        "stopped_by_limit": sum(motion.generated.stopped_by == "limit" for motion in made),
        "tokens_per_second": tokens_per_second,
        "frames_real": sum(int(store.lengths[i]) for i in clips) / len(clips),
        "frames_generated": sum(len(motion.motion) for motion in made) / len(made),
        "players": players,
    }


def _tokenizers(run: Run) -> dict[str, Any]:
    return {kind: run.tokenizer(kind) for kind in run.config.quantizers}


def _keep(
    folder: Path, stem: str, caption: str, tracks: dict[str, torch.Tensor], wanted: list[str], found: list[str]
) -> dict[str, Any]:
    """Write the motions of one player and describe it for the report."""
    from motionlab.motion.motion import Motion

    files = {}
    for label, features in tracks.items():
        files[label] = f"{stem}-{label}.npy"
        Motion(features, name=caption).save(folder / files[label])
    return {"caption": caption, "files": files, "wanted": wanted, "found": found}
