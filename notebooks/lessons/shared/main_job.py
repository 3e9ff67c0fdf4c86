"""The numbers of finished main jobs, kept small enough for the repository.

    for seed in 0 1 2 3 4; do motionlab run --preset tiny --name seed$seed seed=$seed corpus.seed=$seed \
        tokenizer_training.seed=$seed llama_training.seed=$seed; done
    cd notebooks && python -m lessons.shared.main_job results/main_job.json ../runs/seed{0,1,2,3,4}

Lessons show them, so that a reader sees what the main job gives before running it. Each seed has another corpus, too:
other takes and other pairs of actions are held out. `main_job_two_frames.json` holds the same of preset `two_frames`.
Of three seeds, with the tokenizers and tokens of `tiny`: `main_job_pooled.json` (`text.pooled=true`),
`main_job_averaged.json` (`llama_training.ema_decay=0.998`) and `main_job_sentence_slot.json`, which a script made (the
appendix of lesson 07 says how). `main_job_no_vectors.json` is seed 0 under `ATEN_CPU_CAPABILITY=default`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from motionlab.errors import InputError
from motionlab.evaluation.intervals import means_differ
from motionlab.files import write_text
from motionlab.jobs.run_folder import Run

KEPT = ("environment", "corpus", "classifier", "judge_split", "generation", "physics", "text_motion")
BULK = ("players", "per_clip", "actions")  # of a test split
KINDS = ("real", "reconstructed", "generated", "other caption", "nearest caption", "cut and paste")
Rows = list[tuple[str, ...]]


def keep(out: str | Path, *run_folders: str | Path) -> None:
    """Copy the numbers of some runs that lessons show.

    Raises:
        InputError: a run is not finished, or there is none.
    """
    if not run_folders:
        raise InputError("main job", found="no run", expected="the folders of finished runs", fix="Name them.")
    write_text(out, json.dumps({"runs": [_kept(folder) for folder in run_folders]}, indent=1) + "\n")


def _kept(run_folder: str | Path) -> dict[str, Any]:
    metrics = Run.open(run_folder).metrics
    if "generation" not in metrics:
        raise InputError(run_folder, found="no scores", expected="a finished run", fix="Continue it: motionlab run.")
    tokenizers = {
        name: {key: value for key, value in numbers.items() if key != "histogram"}
        for name, numbers in metrics["tokenizers"].items()
    }
    kept = {name: metrics[name] for name in KEPT if name in metrics} | {"tokenizers": tokenizers}
    for split in kept["generation"].values():
        for name in BULK:
            split.pop(name, None)
    return kept


def load_runs(path: str | Path) -> list[dict[str, Any]]:
    """The kept runs, one per seed."""
    runs: list[dict[str, Any]] = json.loads(Path(path).read_text(encoding="utf-8"))["runs"]
    return runs


Number = float | tuple[float, float, float]  # with the ends of its interval over the clips of the run


def span(runs: Sequence[Any], value: Callable[[Any], Number], form: str) -> str:
    """The mean over the seeds, and in brackets the lowest and the highest; of one run its interval over clips.

    >>> span([{"x": 0.5}, {"x": 0.7}], lambda run: run["x"], ".0%")
    '60% (50% to 70%)'
    >>> span([{"x": (0.5, 0.375, 0.625)}], lambda run: run["x"], ".0%")
    '50% (38% to 62%)'
    """
    found = [value(run) for run in runs]
    values = [one[0] if isinstance(one, tuple) else one for one in found]
    only = found[0]
    if len(runs) == 1 and not isinstance(only, tuple):
        return f"{only:{form}}"
    ends = only[1:] if len(runs) == 1 and isinstance(only, tuple) else (min(values), max(values))
    return f"{sum(values) / len(values):{form}} ({ends[0]:{form}} to {ends[1]:{form}})"


def tokenizer_rows(path: str | Path) -> Rows:
    """Rows for a table: what each tokenizer of the main job keeps of known takes, and of new ones."""
    runs = load_runs(path)
    rows: Rows = [("tokenizer", "codes", "used", "mm, known takes in part", "mm, new takes", "mm without heading, new")]
    for name, numbers in runs[0]["tokenizers"].items():

        def error(split: str, kind: str, name: str = name) -> str:
            return span(runs, lambda run: run["tokenizers"][name]["errors"][split][kind], ".0f")

        used = span(runs, lambda run, name=name: run["tokenizers"][name]["used_fraction"], ".0%")  # type: ignore[misc]
        cells = (error("seen_pairs_one_take", "mpjpe_mm"), error("seen_pairs", "mpjpe_mm"))
        rows.append((name, str(numbers["codebook_size"]), used, *cells, error("seen_pairs", "mpjpe_heading_mm")))
    return rows


def score_rows(path: str | Path, measure: str = "exact") -> Rows:
    """Rows for a table: how many actions a judge finds in real, reconstructed and generated motion, and in baselines.

    Args:
        measure: "exact" (all actions right, in order, and none besides), "score" or "order_blind".
    """
    runs = load_runs(path)
    splits = [split for split in runs[0]["generation"] if split != "new_takes"]
    rows: Rows = [("motion", *splits)]
    for kind in KINDS:
        cells = [
            span(runs, lambda run, split=split, kind=kind: _score(run["generation"][split], measure, kind), ".0%")  # type: ignore[misc]
            for split in splits
        ]
        rows.append((kind, *cells))
    return rows


def _score(split: dict[str, Any], measure: str, kind: str) -> Number:
    value = split[measure][kind]
    ends = split.get("intervals", {}).get(measure, {}).get(kind)
    return value if ends is None else (value, *ends[:2])


def difference_rows(path: str | Path, other: str | Path, names: tuple[str, str]) -> Rows:
    """Rows for a table: exactly right in two files, and whether the difference counts.

    The first seed of one file is taken as that of the other, and so on; seeds that only one file has are left out. Each
    seed asks for other clips, so the interval over the seeds holds what the clips explain, too.

    Args:
        names: of the two files, for the title.
    """
    one, two = load_runs(path), load_runs(other)
    n = min(len(one), len(two))
    rows: Rows = [("exactly right", *names, f"{names[0]} - {names[1]}")]
    for split in one[0]["generation"]:
        if split == "new_takes":
            continue
        here, there = ([run["generation"][split]["exact"]["generated"] for run in runs[:n]] for runs in (one, two))
        rows.append((split, f"{sum(here) / n:.0%}", f"{sum(there) / n:.0%}", str(means_differ(here, there))))
    return rows


def quality_rows(path: str | Path) -> Rows:
    """Rows for a table: numbers that no judge sees, of real, reconstructed and generated motion."""
    runs = load_runs(path)
    rows: Rows = [("seen_pairs", "real", "reconstructed", "generated")]
    for name, words in (("sliding", "toes that slide, share"), ("jerk_mm", "jerk, mm/frame^3")):
        cells = [
            span(runs, lambda run, name=name, kind=kind: tuple(run["physics"]["seen_pairs"][kind][name][:3]), ".2f")  # type: ignore[misc]
            for kind in ("real", "reconstructed", "generated")
        ]
        rows.append((words, *cells))
    return rows


def judge_rows(path: str | Path) -> Rows:
    """Rows for a table: the judge itself, on real clips of takes that it never saw."""
    runs = load_runs(path)
    rows: Rows = [("judge on real clips", "frames right", "actions right, in order", "exact")]
    for split in ("new_takes", "seen_pairs", "unseen_pairs"):
        cells = [
            span(runs, lambda run, split=split, name=name: _trust(run["classifier"][split], name), ".0%")  # type: ignore[misc]
            for name in ("frame_accuracy", "order_score", "exact")
        ]
        rows.append((split, *cells))
    return rows


def _trust(judge: dict[str, Any], name: str) -> Number:
    ends = judge.get("intervals", {}).get(name)
    return judge[name] if ends is None else (judge[name], *ends[:2])


if __name__ == "__main__":
    if len(sys.argv) < 3:
        raise SystemExit("usage: cd notebooks && python -m lessons.shared.main_job OUT.json RUN_FOLDER...")
    keep(sys.argv[1], *sys.argv[2:])
