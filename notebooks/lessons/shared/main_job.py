"""The numbers of one finished main job, kept small enough for the repository.

    cd notebooks && python -m lessons.shared.main_job ../runs/tiny results/main_job.json

Lesson 00 shows them, so that a reader sees what the main job gives before running it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from motionlab.errors import InputError
from motionlab.files import write_text
from motionlab.jobs.run_folder import Run

KEPT = ("environment", "corpus", "seconds", "classifier", "judge_split", "generation")
BULK = ("players", "per_clip", "actions")  # of a test split


def keep(run_folder: str | Path, out: str | Path) -> None:
    """Copy the numbers of a run that lesson 00 shows.

    Raises:
        InputError: the run is not finished.
    """
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
    write_text(out, json.dumps(kept, indent=1) + "\n")


def tokenizer_rows(path: str | Path) -> list[tuple[str, ...]]:
    """Rows for a table: what each tokenizer of the main job reached on the first test split."""
    kept: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    rows: list[tuple[str, ...]] = [("tokenizer", "codes", "used", "error (mm)", "error without heading (mm)")]
    for name, numbers in kept["tokenizers"].items():
        seen = numbers["errors"][numbers["codes_of"]]
        errors = (f"{seen['mpjpe_mm']:.1f}", f"{seen['mpjpe_heading_mm']:.1f}")
        rows.append((name, str(numbers["codebook_size"]), f"{numbers['used_fraction']:.0%}", *errors))
    return rows


def score_rows(path: str | Path) -> list[tuple[str, ...]]:
    """Rows for a table: how many actions a classifier finds in real, reconstructed and generated motion."""
    kept: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    kinds = ("real", "reconstructed", "generated", "other caption")
    rows: list[tuple[str, ...]] = [("split", *kinds)]
    for split, numbers in kept["generation"].items():
        rows.append((split, *(f"{numbers['score'][kind]:.0%}" for kind in kinds)))
    return rows


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit("usage: cd notebooks && python -m lessons.shared.main_job RUN_FOLDER OUT.json")
    keep(sys.argv[1], sys.argv[2])
