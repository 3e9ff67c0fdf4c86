"""Generate for captions with the motionlab that is imported, whichever version that is. `two_builds.py` starts this.

    python benchmarks/support/build_motions.py questions RUN OUT.json      what the run's own test splits ask for
    python benchmarks/support/build_motions.py motions RUN OUT.pt QUESTIONS.json

Only names that both versions have are used here.
"""

from __future__ import annotations

import json
import sys
from itertools import groupby
from pathlib import Path
from typing import Any

import torch

from motionlab.jobs.generate import generate_motions
from motionlab.jobs.prepare import prepare
from motionlab.jobs.run_folder import Run


def questions(run: Run) -> dict[str, list[dict[str, Any]]]:
    """Test split -> its captions, each with the actions that it names in order."""
    asked: dict[str, list[dict[str, Any]]] = {}
    for name, clips in prepare(run.config).tests.items():
        numbers = range(min(run.config.evaluation.n_generate, len(clips)))
        segments = {i: [name for name, _ in groupby(one.action for one in clips.segments(i))] for i in numbers}
        asked[name] = [{"caption": clips.captions(i)[0], "actions": segments[i]} for i in numbers]
    return asked


def main() -> None:
    what, folder, out, *more = sys.argv[1:]
    run = Run.open(folder)
    if what == "questions":
        Path(out).write_text(json.dumps(questions(run)), encoding="utf-8")
        return
    made = {}
    with torch.inference_mode():
        for name, asked in json.loads(Path(more[0]).read_text(encoding="utf-8")).items():
            motions, _ = generate_motions(run, [one["caption"] for one in asked], run.config.sampling)
            made[name] = [one.motion.features.clone() for one in motions]  # [T, 272] each
    torch.save(made, out)


if __name__ == "__main__":
    main()
