"""The scores of a run as tables, pictures and sentences: for its report and for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from motionlab.evaluation.intervals import Interval
from motionlab.plots.scores import action_bars, confusion_figure
from motionlab.training.reporting.text_table import columns

MEASURES = {"score": "score", "exact": "exact", "order_blind": "order-blind"}
BY_ACTION = ("real", "reconstructed", "generated")
RULE = (
    "In brackets the 95 % interval over the clips of this one run (for real motion over its takes). Another seed gives "
    "other scores: a difference counts only if it is larger than what seeds and clips explain, which "
    "motionlab compare tells from several runs."
)


def title(split: str) -> str:
    """The name of a split as a reader sees it.

    >>> title("seen_pairs")
    'seen-pairs'
    """
    return split.replace("_", "-")


def score_rows(generation: Mapping[str, Any], split: str) -> list[list[str]]:
    """A row for each kind of motion: its name, every measure with its interval, and how many clips."""
    values = generation[split]
    rows = []
    for kind in values.get("score", {}):
        cells = [_percent(values, measure, kind) for measure in MEASURES if values.get(measure)]
        clips = values.get("per_clip", {}).get("score", {}).get(kind)
        count = values["clips"] if clips is None else sum(number is not None for number in clips)
        rows.append([kind, *cells, str(count)])
    return rows


def score_head(generation: Mapping[str, Any], split: str) -> list[str]:
    """The head of these rows."""
    return [title(split), *(name for measure, name in MEASURES.items() if generation[split].get(measure)), "clips"]


def judge_sentence(metrics: Mapping[str, Any]) -> str:
    """How far the judge can be trusted; empty without one."""
    split = metrics.get("judge_split")
    if not split:
        return ""
    judge = metrics["classifier"][split]
    low, high, takes = judge["intervals"]["order_score"]
    told = Interval(judge["order_score"], low, high, takes).percent()
    frames = f"{judge['frame_accuracy']:.0%}"
    return (
        f"The judge names {told} of the actions right on real clips of {judge['takes']} takes that it never saw "
        f"({title(split)}; {frames} of the frames)."
    )


def describe_scores(metrics: Mapping[str, Any]) -> str:
    """Judge, scores of every split, and the rule, as text."""
    generation = metrics["generation"]
    parts = [judge_sentence(metrics)]
    for split, values in generation.items():
        apart = "\n(apart: training knows the real motions of these clips in part)" if values.get("apart") else ""
        rows = score_rows(generation, split)
        table = [score_head(generation, split), *rows] if rows else [[f"{title(split)}: not judged, see the report"]]
        parts.append(columns(table) + apart + _quality_line(metrics, split))
    if any(values.get("score") for values in generation.values()):
        parts.append(RULE)
    return "\n\n".join(part for part in parts if part)


def _quality_line(metrics: Mapping[str, Any], split: str) -> str:
    """Scores that no judge gives, in one line: the two numbers that a viewer notices first, and R@1."""
    kinds = metrics.get("physics", {}).get(split, {})
    told = [
        f"{words} real {kinds['real'][name][0]:.3g}, generated {kinds['generated'][name][0]:.3g}"
        for name, words in (("sliding", "sliding toes:"), ("jerk_mm", "jerk:"))
        if name in kinds.get("real", {}) and name in kinds.get("generated", {})
    ]
    nearest = metrics.get("text_motion", {}).get(split, {}).get("unit", {}).get("R@1")
    if nearest:
        told.append(f"R@1: real {nearest['real'][0]:.2f}, generated {nearest['generated'][0]:.2f}")
    return f"\n{'; '.join(told)}" if told else ""


def judge_rows(metrics: Mapping[str, Any]) -> list[list[str]]:
    """The judge on real clips of every split."""
    rows = []
    for split, judge in metrics["classifier"].items():
        shares = [f"{judge[name]:.1%}" for name in ("frame_accuracy", "order_score", "exact")]
        note = "training knows these takes in part" if metrics["generation"][split].get("apart") else ""
        rows.append([title(split), *shares, judge["clips"], judge.get("takes") or "-", note])
    return rows


# Of the many numbers of `evaluation/physics.py` those that a reader compares first.
PHYSICS = {
    "sliding": "toes near the floor that slide (share)", "skate_weighted": "skating (m/s)",
    "skate_contacts": "speed of feet that stand (m/s)",
    "float_mm": "float (mm)", "penetration_mm": "penetration (mm)", "acceleration_mm": "acceleration (mm/frame^2)",
    "jerk_mm": "jerk (mm/frame^3)", "bone_drift_mm": "bones change (mm)",
    "path_drift_mm": "path away from the real one (mm)",
    "heading_drift_deg": "heading away from the real one (degrees)",
    "rotations_gap_mm": "rotations against positions (mm)",
}  # fmt: skip


def physics_rows(metrics: Mapping[str, Any], split: str) -> list[list[str]]:
    """A row for each number that a kind has: real motion, after the tokenizer, generated, and generated over real."""
    kinds = metrics["physics"][split]
    rows = []
    for name, words in PHYSICS.items():
        found = {kind: kinds[kind].get(name) for kind in BY_ACTION if kind in kinds}
        if not any(found.values()):  # scored by a version that did not measure it
            continue
        cells = ["-" if one is None else f"{one[0]:.3g} ({one[1]:.3g} to {one[2]:.3g})" for one in found.values()]
        real, made = found.get("real"), found.get("generated")
        ratio = f"{made[0] / real[0]:.2f}" if real and made and real[0] > 1e-6 else "-"
        rows.append([words, *cells, ratio])
    return rows


def text_motion_rows(metrics: Mapping[str, Any], split: str, way: str) -> list[list[str]]:
    """A row for each score of the text-motion evaluator, on vectors of length 1 ("unit") or as they are ("raw")."""
    rows = []
    for name, score in metrics["text_motion"][split][way].items():
        cells = [
            f"{score[kind][0]:.3f} ({score[kind][1]:.3f} to {score[kind][2]:.3f})" if kind in score else "-"
            for kind in ("generated", "real", "wrong captions")
        ]
        rows.append([name, *cells])
    return rows


def score_figures(metrics: Mapping[str, Any]) -> list[Any]:
    """The confusion matrix of the judge, and how often each action succeeds."""
    figures = []
    split = metrics.get("judge_split")
    if split and metrics["classifier"][split].get("confusion"):
        heading = f"The judge on real clips, {title(split)} (% of the frames)"
        figures.append(confusion_figure(metrics["classifier"][split]["confusion"], title=heading))
    for name, values in metrics["generation"].items():
        if values.get("actions") and not values.get("apart"):
            shares = {kind: _recall(values["actions"][kind]) for kind in BY_ACTION if kind in values["actions"]}
            heading = f"How often an action is seen that was asked for, {title(name)}"
            figures.append(action_bars(shares, title=heading, x_label="share of the times that it was asked for"))
    return figures


def is_old(metrics: Mapping[str, Any]) -> bool:
    """Whether the run was scored by a version that knew no intervals and no baselines."""
    generation = metrics.get("generation", {})
    return any("score" in values and not values.get("intervals") for values in generation.values())


def _recall(actions: Mapping[str, Any]) -> dict[str, float]:
    return {name: right / asked for name, (asked, _, right) in actions.items() if asked}


def _percent(values: Mapping[str, Any], measure: str, kind: str) -> str:
    ends = values.get("intervals", {}).get(measure, {}).get(kind)
    if ends is None:
        return f"{values[measure][kind]:.1%}" if kind in values[measure] else "-"
    return Interval(values[measure][kind], *ends).percent()
