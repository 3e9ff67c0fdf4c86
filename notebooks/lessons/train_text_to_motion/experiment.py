"""Lesson 12, "train stage 2": its run by profile, and what it measures on motions that were generated.

The exercises are in `exercises.py`, the question "why two stages?" in `end_to_end.py`, and which words the
decoder looks at in `attention_words.py`.

The run begins with the tokenizer of lesson 11 and stays in the cache folder, so that the lesson can continue.
The numbers that the lesson shows of longer runs, one for each seed, are kept in `notebooks/results`:

    cd notebooks && MOTIONLAB_PROFILE=cpu \\
        python -m lessons.train_text_to_motion.experiment results/train_text_to_motion.json
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lessons.shared import results
from lessons.shared.results import Record, read_result, short
from lessons.train_text_to_motion.attention_words import WordReport, words_report
from lessons.train_tokenizer import experiment as lesson11
from motionlab import runtime
from motionlab.config import RunConfig, load_config, to_yaml
from motionlab.data.composed.corpus import Corpus, build_corpus
from motionlab.data.splits import Clips
from motionlab.evaluation.action_lists import order_score, wanted_actions
from motionlab.evaluation.actions import ActionClassifier, train_classifier
from motionlab.evaluation.diversity import mean_distance
from motionlab.jobs.run_folder import Run
from motionlab.jobs.train_llama import train_llama
from motionlab.llama.decoding.generate import generate
from motionlab.llama.decoding.sampling import Sampling
from motionlab.training.reporting.history import History

COMMAND = (
    "cd notebooks && MOTIONLAB_PROFILE=cpu "
    "python -m lessons.train_text_to_motion.experiment results/train_text_to_motion.json"
)
# Each profile's additions to the settings of lesson 11, whose tokenizer it uses. `ci`: seconds on one thread; a decoder
# that learned so little may write END after two tokens, so `min_tokens` keeps the places that the lesson looks at.
# `cpu`: the decoder of the main job, trained a little shorter; guidance is what the lesson tries out. `gpu`: the
# published decoder called 111M, on the composed corpus; it was never run on a GPU here.
SETTINGS: dict[str, tuple[str, ...]] = {
    "ci": (
        "llama.n_layer=2", "llama.dim=96", "llama.n_head=4", "llama.n_kv_heads=2", "llama.hidden=256",
        "llama.keep_codes=1", "llama.text_drop=0.1", "sampling.max_tokens=100", "sampling.min_tokens=8",
        "sampling.guidance=1", "sampling.temperature=0.8",
        "llama_training.steps=80", "llama_training.batch_size=12", "llama_training.warmup_steps=10",
        "llama_training.val_every=20", "llama_training.log_every=4", "llama_training.save_every=40",
    ),
    "cpu": (
        "llama.text_drop=0.1", "llama_training.steps=420", "sampling.guidance=1", "sampling.temperature=0.8",
        "llama_training.val_every=35", "llama_training.log_every=7", "llama_training.save_every=35",
    ),
    "gpu": (
        "llama.text_drop=0.1", "llama.keep_codes=0.9", "llama.edge_drop=0.33",
        "sampling.greedy=false", "sampling.temperature=0.8", "sampling.top_p=0.9",
        "llama_training.steps=8000", "llama_training.batch_size=64", "llama_training.grad_accum_steps=1",
        "llama_training.lr=4e-4", "llama_training.warmup_steps=400", "llama_training.clip_norm=1.0",
        "llama_training.val_every=400", "llama_training.log_every=20", "llama_training.save_every=800",
    ),
}  # fmt: skip
TRAINED_BY = (*lesson11.TRAINED_BY, "llama", "text")  # folders whose code decides the weights
SAMPLES = 3  # motions per caption; sample number s of every caption makes one score
WAYS: dict[str, dict[str, Any]] = {  # of choosing codes; what is not named is as the run has it
    "greedy": {"greedy": True},
    "temperature 0.5": {"temperature": 0.5, "top_p": 1.0},
    "temperature 0.8": {"temperature": 0.8, "top_p": 1.0},
    "temperature 0.8, top-p 0.9": {"temperature": 0.8, "top_p": 0.9},
    "temperature 1": {"temperature": 1.0, "top_p": 1.0},
    "temperature 1.5": {"temperature": 1.5, "top_p": 1.0},
    "guidance 0": {"temperature": 0.8, "top_p": 0.9, "guidance": 0.0},
    "guidance 2": {"temperature": 0.8, "top_p": 0.9, "guidance": 2.0},
    "guidance 4": {"temperature": 0.8, "top_p": 0.9, "guidance": 4.0},
}


def settings(level: str | None = None, changes: Sequence[str] = ()) -> RunConfig:
    """The settings of the lesson's run.

    Args:
        level: "ci", "cpu" or "gpu"; by default that of `runtime.profile()`.
        changes: further `key.sub=value` overrides.

    >>> settings("gpu").llama.dim, settings("cpu").tokenizer == lesson11.settings("cpu").tokenizer
    (768, True)
    """
    level = level or runtime.profile()
    preset, tokenizer = lesson11.SETTINGS[level]
    own = [f"name=lesson12-{level}", "compare_quantizers=[]", *tokenizer, *SETTINGS[level], *changes]
    return load_config(preset, own)


def run_folder(level: str | None = None, changes: Sequence[str] = ()) -> Path:
    """Where the run is kept: `lesson12-<profile>-<hash>` in the cache folder.

    The hash covers all settings and, under `ci`, the code and the version of torch, as in lesson 11.
    """
    level = level or runtime.profile()
    digest = hashlib.sha256(to_yaml(settings(level, changes)).encode())
    if level == "ci":
        digest.update(lesson11.code_digest(TRAINED_BY))
    return runtime.cache_dir() / f"lesson12-{level}-{digest.hexdigest()[:12]}"


def open_run(changes: Sequence[str] = ()) -> Run:
    """The lesson's run for this profile, with the tokenizer of lesson 11 (same changes), trained first if need be."""
    folder = run_folder(changes=changes)
    run = Run.open(folder) if (folder / "config.yaml").is_file() else Run.create(folder, settings(changes=changes))
    if not (run.tokenizer_folder(run.config.tokenizer.quantizer) / "model.safetensors").is_file():
        lesson11.hand_over(run, changes)
    return run


def train(run: Run, corpus: Corpus, watch: Callable[[int], None] | None = None) -> None:
    """Train the run's decoder: begin, continue after a stop, or do nothing because it is finished."""
    if not (run.folder / "llama" / "model.safetensors").is_file():
        train_llama(run, corpus, watch=watch)


# ---- what the lesson measures on generated motions -------------------------------------------------------------------
@dataclass(frozen=True)
class Sampled:
    """The results of one way of choosing codes, for some captions.

    Fields:
        scores: the action score, one number per sample (mean over the captions).
        distance_mm: mean pose distance of two motions of the same caption; 0 when they are equal.
        limit: how many of all motions were cut at the limit.
        seconds: mean length.
    """

    scores: list[float]
    distance_mm: float
    limit: int
    seconds: float


@torch.inference_mode()
def sample_captions(
    run: Run, captions: Sequence[str], sampling: Sampling, samples: int = SAMPLES
) -> tuple[list[list[Tensor]], int]:
    """`samples` motions `[T, 272]` in physical units for each caption, and how many were cut at the limit."""
    features = run.text.features(list(captions))
    written = generate(run.llama, features.states, features.mask, sampling, samples=samples)
    tokenizer, normalizer = run.tokenizer(), run.normalizer
    # A motion has at least one code: Sampling.min_tokens is 1 or more.
    motions = [normalizer.denormalize(clip.float()) for clip in tokenizer.decode_clips([one.tokens for one in written])]
    limit = sum(one.stopped_by == "limit" for one in written)
    return [motions[at : at + samples] for at in range(0, len(motions), samples)], limit


def measure_sampling(
    run: Run, judge: ActionClassifier, store: Clips, sampling: Sampling, clips: Sequence[int]
) -> Sampled:
    """Generate from the captions of some clips, and compare the actions seen with those of the clips."""
    motions, limit = sample_captions(run, [store.captions(i)[0] for i in clips], sampling)
    wanted = [wanted_actions(store.segments(i)) for i in clips]
    scores = []
    for sample in range(SAMPLES):
        found = [judge.recognise(row[sample]) for row in motions]
        scores.append(sum(order_score(w, f) for w, f in zip(wanted, found, strict=True)) / len(clips))
    frames = [len(motion) for row in motions for motion in row]
    return Sampled(
        scores=[short(score) for score in scores],
        distance_mm=short(sum(mean_distance(row) for row in motions) / len(motions)),
        limit=limit,
        seconds=short(sum(frames) / len(frames) / 30),
    )


def other_caption_score(store: Clips, judge: ActionClassifier, clips: Sequence[int]) -> float:
    """The score of a real motion against the caption of the next clip: a floor that needs no decoder."""
    wanted = [wanted_actions(store.segments(i)) for i in clips]
    found = [judge.recognise(store.features(i)) for i in clips]
    return sum(order_score(w, f) for w, f in zip([*wanted[1:], wanted[0]], found, strict=True)) / len(clips)


def real_score(store: Clips, judge: ActionClassifier, clips: Sequence[int]) -> float:
    """The score of the real motions: how far the judge can be trusted on takes that it never saw."""
    scores = [order_score(wanted_actions(store.segments(i)), judge.recognise(store.features(i))) for i in clips]
    return sum(scores) / len(scores)


def make_judge(run: Run, corpus: Corpus) -> ActionClassifier:
    """The classifier of actions, trained on real clips only."""
    return train_classifier(corpus.train, steps=run.config.evaluation.classifier_steps)


@dataclass(frozen=True)
class Kept:
    """The numbers of a longer run that the lesson shows, as kept in `notebooks/results`."""

    seed: int
    steps: int
    rows: list[dict[str, float]]  # of the history
    clips: int
    real: float  # score of the real motions, by the same judge
    floor: float  # score against the caption of another clip
    sampled: dict[str, Sampled]  # way -> numbers
    words: WordReport


def keep(run: Run, corpus: Corpus) -> Kept:
    """Measure all that the lesson says about a run on seen_pairs."""
    judge, store = make_judge(run, corpus), corpus.seen_pairs
    clips = list(range(len(store)))
    sampled = {
        name: measure_sampling(run, judge, store, replace(run.config.sampling, **changes), clips)
        for name, changes in WAYS.items()
    }
    history = History.read(run.folder / "llama" / "history.csv")
    shown = ("step", "loss", "accuracy", "lr", "val_loss", "val_accuracy")
    return Kept(
        seed=run.config.seed,
        steps=run.config.llama_training.steps,
        rows=[{name: short(row[name]) for name in shown if name in row} for row in history.rows],
        clips=len(clips),
        real=short(real_score(store, judge, clips)),
        floor=short(other_caption_score(store, judge, clips)),
        sampled=sampled,
        words=words_report(run, store, clips),
    )


def load_kept(path: str | Path) -> list[Kept]:
    """Read what `python -m lessons.train_text_to_motion.experiment` wrote: one run for each seed.

    Raises:
        InputError: no such file, or another form.
    """

    def build(run: dict[str, Any]) -> Kept:
        sampled = {name: Sampled(**row) for name, row in run["sampled"].items()}
        return Kept(**{**run, "sampled": sampled, "words": WordReport(**run["words"])})

    return read_result(path, lambda record: [build(run) for run in record["runs"]], COMMAND)


def add_run(record: Record, seed: int) -> None:
    """Train the run of the profile with this seed, and append its numbers to `record["runs"]`."""
    run = open_run(lesson11.of_seed(seed))
    corpus = build_corpus(run.config.corpus)
    train(run, corpus)
    record.setdefault("runs", []).append(asdict(keep(run, corpus)))


def main() -> None:
    """Do the seeds that the named file does not have yet."""
    points = [(f"seed {seed}", functools.partial(add_run, seed=seed)) for seed in lesson11.SEEDS]
    settings = {"command": COMMAND, "torch": torch.__version__, "seeds": lesson11.SEEDS}
    results.main(__doc__ or "", points, settings)


if __name__ == "__main__":
    main()
