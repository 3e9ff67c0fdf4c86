"""`motionlab compare`: the scores of several runs in one table, with intervals over seeds and clips.

Runs of one recipe and other seeds are one group. One run says nothing about seeds: its interval is that of its clips
alone. Two groups are compared by the rule of `evaluation/intervals.py`, which is told below every table.

Runs with the same test clips are scored clip by clip, and a clip that is hard for all does not widen the interval. With
other clips (another `corpus.seed`, another `evaluation.n_generate`) a clip of one run is no clip of the other, so each
run counts as one number: the seeds are the sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from motionlab.errors import InputError
from motionlab.evaluation.action_lists import MEASURES
from motionlab.evaluation.intervals import Difference, Interval, differs, over_seeds
from motionlab.jobs.run_folder import Run
from motionlab.training.reporting.text_table import columns

RULE = (
    "Intervals are 95 %, over seeds and clips (one run: over clips only). A difference counts only if its interval "
    "does not hold 0."
)


@dataclass(frozen=True)
class Scored:
    """The scores of one run.

    Fields:
        judge: its accuracy on takes that it never saw; empty where there were none.
    """

    folder: Path
    generation: dict[str, Any]
    judge: dict[str, Any]

    @classmethod
    def open(cls, folder: str | Path) -> Scored:
        """Read the numbers of a run.

        Raises:
            InputError: no run, or one that was not scored, or scored by an earlier version.
        """
        run = Run.open(folder)
        metrics = run.metrics
        generation = metrics.get("generation", {})
        if not any(split.get("per_clip") for split in generation.values()):
            found = "scores without the numbers of each clip" if generation else "a run without scores"
            fix = f"Score it with: motionlab evaluate --run {folder}."
            raise InputError(folder, found=found, expected="the scores of every clip", fix=fix)
        return cls(Path(folder), generation, metrics["classifier"].get(metrics.get("judge_split"), {}))

    def has(self, split: str, measure: str, kind: str) -> bool:
        """Whether this kind of motion was scored."""
        return kind in self.generation.get(split, {}).get("per_clip", {}).get(measure, {})


@dataclass(frozen=True)
class Row:
    """One score of one or two groups of runs."""

    split: str
    kind: str
    first: Interval
    second: Interval | None = None
    difference: Difference | None = None

    def cells(self) -> list[str]:
        """As a line of the table."""
        cells = [self.split, self.kind, _percent(self.first)]
        if self.second is not None:
            cells += [_percent(self.second), _verdict(self.difference)]
        return cells


def _percent(interval: Interval) -> str:
    """Within 0 and 100 %."""
    return replace(interval, low=max(interval.low, 0.0), high=min(interval.high, 1.0)).percent()


def _verdict(difference: Difference | None) -> str:
    if difference is None:
        return "one run in a group: no verdict"
    told = "counts" if difference.counts else "no verdict"
    return f"{difference.value:+.3f} ({difference.low:+.3f} to {difference.high:+.3f}): {told}"


def compare_runs(
    runs: Sequence[str | Path], against: Sequence[str | Path] = (), measures: Sequence[str] = MEASURES
) -> dict[str, list[Row]]:
    """The rows of every measure: each test split and kind of motion that all runs have.

    Raises:
        InputError: as `Scored.open`, a run twice, or runs without a test split in common.
    """
    paths = [Path(path).resolve() for path in (*runs, *against)]
    for path in paths:
        if paths.count(path) > 1:
            raise InputError("runs", found=f"{path.name} twice", expected="each once", fix="Name other runs.")
    first, second = [Scored.open(path) for path in runs], [Scored.open(path) for path in against]
    every = [*first, *second]
    tables: dict[str, list[Row]] = {}
    for measure in measures:
        rows = []
        for split in every[0].generation:
            for kind in every[0].generation[split].get("per_clip", {}).get(measure, {}):
                if all(one.has(split, measure, kind) for one in every):
                    rows.append(_row(split, kind, measure, first, second))
        tables[measure] = [row for row in rows if row is not None]
    if not any(tables.values()):
        raise InputError("runs", found="no test split in common", expected="one that all have", fix="Name other runs.")
    return tables


def describe_comparison(runs: Sequence[str | Path], against: Sequence[str | Path] = ()) -> str:
    """The comparison as text: judge, tables, rule."""
    tables = compare_runs(runs, against)
    every = [Scored.open(path) for path in (*runs, *against)]
    parts = [_judge_lines(every)]
    for measure, rows in tables.items():
        if not rows:
            continue
        head = [measure.replace("_", "-"), "motion", _group(runs)]
        if against:
            head += [_group(against), "difference"]
        lines = [row.cells() for row in rows]
        parts.append(columns([head, *lines]))
    parts.append(_sample(every) + RULE)
    return "\n\n".join(part for part in parts if part)


def _row(split: str, kind: str, measure: str, first: Sequence[Scored], second: Sequence[Scored]) -> Row | None:
    """None where no run has a motion of this kind."""
    groups = [[one.generation[split]["per_clip"][measure][kind] for one in group] for group in (first, second) if group]
    same = _same_clips([*first, *second], split)
    if same:  # a look-up may have no motion for some clips: the same ones in every run, unless training differs
        rows = [row for group in groups for row in group]
        there = [at for at in range(len(rows[0])) if all(row[at] is not None for row in rows)]
        tables = [np.array([[row[at] for at in there] for row in group]) for group in groups]
    else:
        tables = [_means(group) if len(group) > 1 else _present(group[0])[None] for group in groups]
    if not all(table.size for table in tables):
        return None
    intervals = [over_seeds(table) for table in tables]
    if len(tables) == 1:
        return Row(split, kind, intervals[0])
    verdict = differs(*(tables if same else map(_means, groups))) if min(map(len, groups)) > 1 else None
    return Row(split, kind, intervals[0], intervals[1], verdict)


def _same_clips(runs: Sequence[Scored], split: str) -> bool:
    """Whether all runs were scored on the same clips of a split."""
    return len({(one.generation[split]["made_from"], one.generation[split]["clips"]) for one in runs}) == 1


def _present(row: Sequence[float | None]) -> np.ndarray:
    """`[clips]`, those that have a number."""
    return np.array([value for value in row if value is not None])


def _means(rows: Sequence[Sequence[float | None]]) -> np.ndarray:
    """One number a run, `[runs, 1]`."""
    return np.array([[_present(row).mean()] for row in rows])


def _judge_lines(runs: Sequence[Scored]) -> str:
    """How far the judges can be trusted: each on the real clips that its own run was tested on."""
    found = [one.judge["order_score"] for one in runs if one.judge]
    if not found:
        return ""
    share = over_seeds(np.array(found)[:, None]) if len(found) > 1 else None
    told = f"{found[0]:.0%}" if share is None else _percent(share)
    return f"The judges name {told} of the actions right on real clips of takes that they never saw."


def _sample(runs: Sequence[Scored]) -> str:
    """How many runs, and what is the sample."""
    shared = [split for split in runs[0].generation if all(split in one.generation for one in runs)]
    if len(runs) == 1 or all(_same_clips(runs, split) for split in shared):
        return ""
    return "The runs were tested on different clips, so each counts as one number: the seeds are the sample. "


def _group(runs: Sequence[str | Path]) -> str:
    names = [Path(path).name for path in runs]
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
