"""Does a loss on joint positions help the tokenizer of the main job? Three seeds with it, three without.

    for seed in 0 1 2; do for weight in 0 2.5; do
        motionlab train tokenizer --preset tiny --name joints$weight-$seed tokenizer.joint_weight=$weight seed=$seed \\
            corpus.seed=$seed tokenizer_training.seed=$seed compare_quantizers=[]
    done; done
    cd notebooks && python -m lessons.train_text_to_motion.joint_loss results/joint_weight.json ../runs/joints*

With a weight of 2.5 the term is about as large as the foot term: 0.107 and 0.113 of a loss of 0.486 at the end of seed
0 without it, where reconstruction is 0.083. A seed has its own corpus, the same for both weights, so weights are
compared within a seed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

import torch

from lessons.shared.results import read_result, short
from motionlab.data.splits import Clips
from motionlab.errors import InputError
from motionlab.evaluation.intervals import means_differ
from motionlab.evaluation.physics import physics_of
from motionlab.evaluation.tokenizer import measure_tokenizer, reconstructions
from motionlab.files import write_text
from motionlab.jobs.prepare import prepare
from motionlab.jobs.run_folder import Run
from motionlab.motion.features import decode_positions

COMMAND = "cd notebooks && python -m lessons.train_text_to_motion.joint_loss results/joint_weight.json ../runs/joints*"
MEASURES = {  # of a split -> its name in a table
    "mpjpe_mm": "joint error (mm)",
    "mpjpe_heading_mm": "heading aligned too (mm)",
    "sliding": "toes that slide, share",
    "jerk_mm": "jerk, mm/frame^3",
}


@dataclass(frozen=True)
class Point:
    """One tokenizer.

    Fields:
        splits: test split -> the names of `MEASURES` of its reconstructions, and `real_sliding` and `real_jerk_mm`.
            No `sliding` where no toe is near the floor.
    """

    joint_weight: float
    seed: int
    splits: dict[str, dict[str, float]]


def measure(run: Run) -> Point:
    """The tokenizer of a run on all its test splits."""
    tests = prepare(run.config).tests
    return Point(
        run.config.tokenizer.joint_weight,
        run.config.tokenizer_training.seed,
        {name: _measure_split(run, clips) for name, clips in tests.items()},
    )


def _measure_split(run: Run, clips: Clips) -> dict[str, float]:
    model, numbers = run.tokenizer(), dict[str, float]()
    errors, _ = measure_tokenizer(model, clips, run.normalizer)
    pairs = [pair for pair, _ in reconstructions(model, clips, run.normalizer)]
    for prefix, motions in (("", [pair.restored for pair in pairs]), ("real_", [pair.real for pair in pairs])):
        found = physics_of([decode_positions(motion) for motion in motions])
        numbers |= {f"{prefix}{name}": found[name].value for name in ("sliding", "jerk_mm") if name in found}
    numbers |= {name: errors[name] for name in ("mpjpe_mm", "mpjpe_heading_mm")}
    return {name: short(value) for name, value in numbers.items()}


def load_points(path: str | Path) -> list[Point]:
    """Read what this module wrote.

    Raises:
        InputError: no such file, or another form.
    """
    return read_result(path, lambda record: [Point(**point) for point in record["points"]], COMMAND)


def differences(points: Sequence[Point], split: str, measure: str) -> list[float]:
    """With the loss minus without it, one number for each seed.

    Raises:
        InputError: not the same seeds of two weights.
    """
    first, *others = (
        {point.seed: point.splits[split][measure] for point in points if point.joint_weight == weight}
        for weight in sorted({point.joint_weight for point in points})
    )
    if len(others) != 1 or list(first) != list(others[0]):
        found = f"{len(others) + 1} weights, seeds {[list(first), *map(list, others)]}"
        raise InputError("points", found=found, expected="the same seeds of two weights", fix="Train what is missing.")
    return [others[0][seed] - value for seed, value in first.items()]


def joint_rows(points: Sequence[Point], split: str) -> list[tuple[str, ...]]:
    """Rows for a table: means over the seeds, and which differences count."""
    weights = sorted({point.joint_weight for point in points})
    rows: list[tuple[str, ...]] = [(split, "real", *(f"weight {weight:g}" for weight in weights), "difference")]
    for name, words in MEASURES.items():
        digits = 1 if name.startswith("mpjpe") else 2
        real = [point.splits[split].get(f"real_{name}", 0.0) for point in points]
        ways = [[p.splits[split][name] for p in points if p.joint_weight == weight] for weight in weights]
        gaps = differences(points, split, name)
        told = str(means_differ(gaps, [0.0] * len(gaps)))
        rows.append((words, *(f"{fmean(values):.{digits}f}" for values in (real, *ways)), told))
    return rows


def main(out: str | Path, *run_folders: str | Path) -> None:
    """Measure the tokenizers of some runs, and keep the numbers."""
    torch.set_num_threads(1)
    points = sorted((measure(Run.open(folder)) for folder in run_folders), key=lambda one: (one.joint_weight, one.seed))
    record = {"preset": "tiny", "torch": torch.__version__, "points": [asdict(point) for point in points]}
    write_text(out, json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        raise SystemExit(
            "usage: cd notebooks && python -m lessons.train_text_to_motion.joint_loss OUT.json RUN_FOLDER..."
        )
    main(*sys.argv[1:])
