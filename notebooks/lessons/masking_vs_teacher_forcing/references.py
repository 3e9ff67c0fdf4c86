"""The scores that the judge of lesson 08 gives to real motions, and to motions that no decoder wrote.

The strategies were trained on the corpus of the first seed of `main_job_two_frames.json` and scored by its judge, so
the baselines of that run are baselines of theirs.
"""

from __future__ import annotations

from pathlib import Path

from lessons.shared.main_job import load_runs
from motionlab.errors import InputError
from motionlab.jobs.ablations.results import read_header

KINDS = {
    "real": "real motion",
    "nearest caption": "training clip, nearest caption",
    "cut and paste": "one recording an action, joined",
}
Scores = dict[str, tuple[float, float]]  # kind of motion -> on seen and unseen pairs


def reference_scores(strategies: str | Path, main_job: str | Path, measure: str = "score") -> Scores:
    """Scores of `KINDS` by the judge that scored the strategies.

    Args:
        strategies: the results of the ablation.
        main_job: kept runs; the first one is asked.
        measure: "score", or "exact": the share of motions with a score of 1.

    Raises:
        InputError: the first run has another judge or other clips: its real motions score differently.
    """
    known = read_header(strategies)["reference"]
    splits = {name: load_runs(main_job)[0]["generation"][f"{name}_pairs"] for name in ("seen", "unseen")}
    for name, split in splits.items():
        theirs = round(split["score"]["real"], 4)
        if theirs != known[f"real_{name}"]:
            found = f"real motions of {name} pairs score {theirs}, not {known[f'real_{name}']}"
            fix = "Keep a run of the same corpus: lessons/shared/main_job.py."
            raise InputError(main_job, found=found, expected="the judge of the strategies", fix=fix)
    return {kind: (splits["seen"][measure][kind], splits["unseen"][measure][kind]) for kind in KINDS}
