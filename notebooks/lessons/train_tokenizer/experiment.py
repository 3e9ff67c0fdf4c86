"""Lesson 11, "train stage 1": its run by profile, a stop button for code, and the numbers that it shows.

The exercises are in `exercises.py`.

The run stays in the cache folder, so that the lesson continues where it stopped, and lesson 12 finds a tokenizer:

    from lessons.train_tokenizer import experiment as lesson11

    run = lesson11.trained_run()         # trains only if there is none yet
    tokenizer, normalizer = run.tokenizer(), run.normalizer
    corpus = build_corpus(run.config.corpus)

    lesson11.hand_over(own_run)          # or: put this tokenizer into your own run, to train stage 2 there

The numbers that the lesson shows of longer runs, one for each seed, are kept in `notebooks/results`:

    cd notebooks && MOTIONLAB_PROFILE=cpu python -m lessons.train_tokenizer.experiment results/train_tokenizer.json
    motionlab ablate tokenizer --grid root_weight=0,0.1,0.5 seed=0,1,2 --out notebooks/results/root_weight.jsonl
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

import motionlab
from lessons.shared import results
from lessons.shared.results import Record, read_result, short
from motionlab import runtime
from motionlab.config import RunConfig, load_config, to_yaml
from motionlab.data.composed.corpus import Corpus, build_corpus
from motionlab.errors import InputError
from motionlab.evaluation.anatomy import (
    Pair,
    along_clip,
    border_errors,
    explained_by_slice,
    explained_by_spread,
    pose_errors,
    with_truth,
)
from motionlab.evaluation.reconstruction import mpjpe
from motionlab.evaluation.tokenizer import reconstructions
from motionlab.files import atomic_path
from motionlab.jobs.run_folder import Run
from motionlab.jobs.train_tokenizer import train_tokenizer
from motionlab.motion.features import decode_positions
from motionlab.training.reporting.history import History

COMMAND = (
    "cd notebooks && MOTIONLAB_PROFILE=cpu python -m lessons.train_tokenizer.experiment results/train_tokenizer.json"
)
# No extra weight for positions, feet and acceleration, which the main job has: the lesson looks at one weight, that of
# root and heading.
PLAIN_LOSS = (
    "tokenizer.velocity_weight=0", "tokenizer.root_weight=0.5", "tokenizer.foot_weight=0",
    "tokenizer.acceleration_weight=0", "tokenizer.decoder_share=0",
)  # fmt: skip
# Preset of each profile and what is changed in it. `ci`: seconds on one thread. `cpu`: the size of the main job's, but
# two frames a token, as published: minutes on two cores. `gpu`: the published size on the composed corpus; it was never
# run on a GPU here.
SETTINGS: dict[str, tuple[str, tuple[str, ...]]] = {
    "ci": (
        "two_frames",
        (
            "corpus.n_train=160", "corpus.n_seen_pairs=16", "corpus.n_unseen_pairs=8",
            "corpus.n_new_takes=2", "corpus.n_validation=4", "corpus.max_frames=200",
            "tokenizer.width=64", "tokenizer.code_dim=32", "tokenizer.depth=1", *PLAIN_LOSS,
            "tokenizer_training.steps=80", "tokenizer_training.batch_size=32", "tokenizer_training.lr=3e-3",
            "tokenizer_training.warmup_steps=10", "tokenizer_training.val_every=10", "tokenizer_training.log_every=2",
            "tokenizer_training.save_every=40",
        ),
    ),
    "cpu": (
        "two_frames",
        (
            *PLAIN_LOSS,
            "tokenizer_training.steps=900", "tokenizer_training.batch_size=32", "tokenizer_training.val_every=60",
            "tokenizer_training.log_every=10", "tokenizer_training.save_every=60",
        ),
    ),
    "gpu": (
        "motionmillion",
        (
            "corpus.n_train=8000", "corpus.n_seen_pairs=256", "corpus.n_unseen_pairs=256",
            "corpus.n_new_takes=128", "corpus.n_validation=256", "corpus.max_actions=2",
            "tokenizer.velocity_weight=0", "tokenizer.root_weight=0.5",
            "tokenizer_training.steps=6000", "tokenizer_training.lr=4e-4", "tokenizer_training.warmup_steps=200",
            "tokenizer_training.clip_norm=1.0", "tokenizer_training.min_lr_ratio=0.02",
            "tokenizer_training.val_every=300", "tokenizer_training.log_every=20", "tokenizer_training.save_every=600",
        ),
    ),
}  # fmt: skip
SEEDS = (0, 1, 2)  # of the runs whose numbers are kept
SEEDED = ("seed", "corpus.seed", "tokenizer_training.seed", "llama_training.seed")  # `seed` alone trains no other model
TRAINED_BY = ("motion", "data", "quantizers", "tokenizer", "training")  # folders whose code decides the weights


def settings(level: str | None = None, changes: Sequence[str] = ()) -> RunConfig:
    """The settings of the lesson's run.

    Args:
        level: "ci", "cpu" or "gpu"; by default that of `runtime.profile()`.
        changes: further `key.sub=value` overrides, as for `motionlab train`.

    >>> settings("gpu").tokenizer.width, settings("cpu", ["tokenizer.root_weight=0"]).tokenizer.root_weight
    (512, 0.0)
    """
    level = level or runtime.profile()
    preset, own = SETTINGS[level]
    return load_config(preset, [f"name=lesson11-{level}", "compare_quantizers=[]", *own, *changes])


def of_seed(seed: int) -> list[str]:
    """The changes that make the run of another seed: other takes are held out, and other first weights are trained.

    >>> settings("cpu", of_seed(2)).corpus.seed, settings("cpu", of_seed(0)) == settings("cpu")
    (2, True)
    """
    return [f"{name}={seed}" for name in SEEDED]


def run_folder(level: str | None = None, changes: Sequence[str] = ()) -> Path:
    """Where the run of these settings is kept: `lesson11-<profile>-<hash>` in the cache folder.

    The hash covers the settings that decide the tokenizer, so a run with others starts over. Under `ci` it also covers
    the code and the version of torch: a build that found an older run would check nothing.
    """
    level = level or runtime.profile()
    config = settings(level, changes)
    digest = hashlib.sha256()
    for section in (config.corpus, config.tokenizer, config.tokenizer_training):
        digest.update(to_yaml(section).encode())
    if level == "ci":
        digest.update(code_digest(TRAINED_BY))
    return runtime.cache_dir() / f"lesson11-{level}-{digest.hexdigest()[:12]}"


def code_digest(folders: Sequence[str]) -> bytes:
    """A hash of the code in these folders of the package, and of the version of torch."""
    digest = hashlib.sha256(torch.__version__.encode())
    package = Path(motionlab.__file__).parent
    for folder in folders:
        for path in sorted((package / folder).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.digest()


def open_run(changes: Sequence[str] = ()) -> Run:
    """The lesson's run for this profile, trained or not."""
    folder = run_folder(changes=changes)
    if (folder / "config.yaml").is_file():  # the hash says that the settings of the tokenizer are the same
        return Run.open(folder)
    return Run.create(folder, settings(changes=changes))


def train(run: Run, corpus: Corpus, watch: Callable[[int], None] | None = None) -> None:
    """Train the run's tokenizer: begin, continue after a stop, or do nothing because it is finished."""
    with _alone(run.folder):
        if not (run.tokenizer_folder(run.config.tokenizer.quantizer) / "model.safetensors").is_file():
            # The output of a job would be in the lesson the first time only.
            with contextlib.redirect_stdout(io.StringIO()):
                train_tokenizer(run, corpus, watch=watch)


def trained_run(changes: Sequence[str] = ()) -> Run:
    """The lesson's run with a trained tokenizer, for other lessons."""
    run = open_run(changes)
    train(run, build_corpus(run.config.corpus))
    return run


def hand_over(run: Run, changes: Sequence[str] = ()) -> None:
    """Put the tokenizer of this lesson's run with these changes, and what it needs, into another run.

    Raises:
        InputError: that run asks for another tokenizer.
    """
    source = trained_run(changes)
    if run.config.tokenizer != source.config.tokenizer:
        raise InputError(
            run.folder,
            found="other settings of the tokenizer",
            expected="those of lesson11.settings()",
            fix="Use them.",
        )
    for name in ("normalizer.safetensors", f"tokenizer-{run.config.tokenizer.quantizer}/model.safetensors"):
        with atomic_path(run.folder / name) as path:
            shutil.copyfile(source.folder / name, path)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Two lessons may run at the same time and need the same run: the second one waits."""
    try:
        import fcntl
    except ImportError:  # Windows has no flock; there, do not execute lessons 11 and 12 at the same time
        yield
        return
    with open(folder / "lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def press_stop(at: int) -> Callable[[int], None]:
    """A `watch` that sends what the stop button of Jupyter (and Ctrl-C) sends, before micro-batch number `at`."""

    def watch(number: int) -> None:
        if number == at:
            signal.raise_signal(signal.SIGINT)

    return watch


# ---- what the lesson looks at ----------------------------------------------------------------------------------------
def seen_pairs(run: Run, corpus: Corpus) -> list[Pair]:
    """Every clip of seen_pairs (new clips, combinations of actions as in training) with its reconstruction."""
    device = runtime.as_device()
    found = reconstructions(run.tokenizer().to(device), corpus.seen_pairs, run.normalizer.to(device))
    return [Pair(pair.real.cpu(), pair.restored.cpu()) for pair, _ in found]


def mean_error(pairs: Sequence[Pair], align: str, path: str = "positions") -> float:
    """Mean joint error in mm over all frames; `path` chooses which block of the reconstruction gives the joints."""
    total = sum(
        float(mpjpe(_joints(pair.restored, path), decode_positions(pair.real), align=align)) * len(pair.real)
        for pair in pairs
    )
    return total / sum(len(pair.real) for pair in pairs)


def _joints(features: Tensor, path: str) -> Tensor:
    from motionlab.motion.motion import Motion

    return Motion(features).joints(path)


TRUTHS: dict[str, tuple[str, ...]] = {
    "as reconstructed": (),
    "true root velocity": ("root_velocity",),
    "true heading": ("heading",),
    "both true": ("root_velocity", "heading"),
    "true positions": ("positions",),
}


def truth_errors(pairs: Sequence[Pair]) -> dict[str, dict[str, float]]:
    """Error in mm after slices of the reconstruction were made true: name -> alignment -> mm."""
    errors = {}
    for name, slices in TRUTHS.items():
        corrected = [with_truth(pair, *slices) for pair in pairs]
        errors[name] = {align: mean_error(corrected, align) for align in ("none", "pelvis", "heading")}
    return errors


@dataclass(frozen=True)
class Kept:
    """The numbers of a longer run that the lesson shows, as kept in `notebooks/results`."""

    seed: int
    steps: int
    codes: int
    rows: list[dict[str, float]]  # of the history
    truths: dict[str, dict[str, float]]
    explained: dict[str, float]
    rotation_quarters: list[float]  # share that survives, of the rotations that vary least to those that vary most
    joints: list[float]
    rotations_mm: float
    first_mm: list[float]  # pose error of the first and of the last frames of every clip
    last_mm: list[float]
    clips: int  # that are long enough for the three lists below
    pelvis_mm: list[float]
    pose_mm: list[float]
    heading_deg: list[float]


def keep(run: Run, corpus: Corpus) -> Kept:
    """Measure all that the lesson says about a run on seen_pairs."""
    tokenizer, pairs = run.tokenizer(), seen_pairs(run, corpus)
    history = History.read(run.tokenizer_folder(run.config.tokenizer.quantizer) / "history.csv")
    along, (first, last) = along_clip(pairs, 150), border_errors(pairs, 12)
    mean = run.normalizer.mean
    shown = ("step", "loss", "lr", "val_mpjpe_mm", "val_mpjpe_heading_mm", "val_used_fraction", "val_perplexity")
    return Kept(
        seed=run.config.seed,
        steps=run.config.tokenizer_training.steps,
        codes=tokenizer.codebook_size,
        rows=[{name: short(row[name]) for name in (*shown, "val_tokens") if name in row} for row in history.rows],
        truths={name: {align: short(mm) for align, mm in row.items()} for name, row in truth_errors(pairs).items()},
        explained={name: short(share) for name, share in explained_by_slice(pairs, mean).items()},
        rotation_quarters=[short(share) for share in explained_by_spread(pairs, mean, "rotations")],
        joints=[short(mm) for mm in pose_errors(pairs).tolist()],
        rotations_mm=short(mean_error(pairs, "heading", "rotations")),
        first_mm=[short(mm) for mm in first.tolist()],
        last_mm=[short(mm) for mm in last.tolist()],
        clips=along.clips,
        pelvis_mm=[short(mm) for mm in along.pelvis_mm.tolist()],
        pose_mm=[short(mm) for mm in along.pose_mm.tolist()],
        heading_deg=[short(degrees) for degrees in along.heading_deg.tolist()],
    )


def load_kept(path: str | Path) -> list[Kept]:
    """Read what `python -m lessons.train_tokenizer.experiment` wrote: one run for each seed.

    Raises:
        InputError: no such file, or another form.
    """
    return read_result(path, lambda record: [Kept(**run) for run in record["runs"]], COMMAND)


def add_run(record: Record, seed: int) -> None:
    """Train the run of the profile with this seed, and append its numbers to `record["runs"]`."""
    run = trained_run(of_seed(seed))
    record.setdefault("runs", []).append(asdict(keep(run, build_corpus(run.config.corpus))))


def main() -> None:
    """Do the seeds that the named file does not have yet."""
    points = [(f"seed {seed}", functools.partial(add_run, seed=seed)) for seed in SEEDS]
    settings = {"command": COMMAND, "torch": torch.__version__, "seeds": SEEDS}
    results.main(__doc__ or "", points, settings)


if __name__ == "__main__":
    main()
