"""`motionlab runs`: which trainings exist, how they ended, and how they differ."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from motionlab.environment import usable_path
from motionlab.errors import InputError, printable
from motionlab.files import atomic_path
from motionlab.jobs.training_report import training_report
from motionlab.plots.curves import figure_to_png, loss_figure
from motionlab.training.reporting.history import History
from motionlab.training.reporting.loggers import flat
from motionlab.training.reporting.text_table import as_cell, columns

HEAD = ("training", "steps", "ended", "loss", "best", "at step", "items/s", "minutes")


@dataclass(frozen=True)
class Training:
    """One training below the folder of runs, and what its report says."""

    folder: Path
    report: Mapping[str, Any]

    @property
    def name(self) -> str:
        """`<run>/<stage>`."""
        return str(self.report["name"])

    @property
    def history(self) -> History:
        """Its curves."""
        return History.read(self.folder / "history.csv")

    def row(self) -> list[str]:
        """The line of the list."""
        report, best = self.report, self.report["best"]
        planned = report["steps_planned"]
        return [
            self.name,
            f"{report['steps']}/{planned}" if planned else str(report["steps"]),
            report["ended"].split(":")[0],
            as_cell(report["last_loss"]),
            f"{best['metric']} {as_cell(best['value'])}" if best["metric"] else as_cell(best["value"]),
            str(best["step"] if best["step"] is not None else ""),
            as_cell(report["items_per_second"]),
            f"{report['seconds'] / 60:.1f}",
        ]


def find_trainings(out: str | Path) -> list[Training]:
    """Every training below `out`, by name.

    Raises:
        InputError: there is no such folder.
    """
    out = usable_path(out, "--out")
    if not out.is_dir():
        raise InputError(out, found="no such folder", expected="a folder of runs", fix="Name it with --out.")
    folders = sorted(path.parent for path in out.glob("*/*/training.json") if (path.parent / "history.csv").is_file())
    found = []
    for folder in folders:
        try:
            found.append(Training(folder, training_report(folder)))
        except InputError as error:  # the others are shown all the same
            print(f"not shown: {error}", file=sys.stderr)
    return found


def describe_runs(out: str | Path, names: Sequence[str] = ()) -> str:
    """The list as text. With two or more names: also the settings that differ, and `comparison.png` in `out`.

    Args:
        names: runs (`tiny`) or trainings (`tiny/llama`); all by default.

    Raises:
        InputError: no such run (the nearest name is given).
    """
    names = [printable(name) for name in names]  # a training is known by the name that is shown
    trainings = _chosen(find_trainings(out), names, out)
    if not trainings:
        return f"no training in {out} yet; begin with: motionlab train tokenizer --preset tiny"
    text = columns([HEAD, *(training.row() for training in trainings)])
    if len(names) < 2:
        return text
    differing = differences(trainings)
    if differing:
        head = ("setting", *(training.name for training in trainings))
        text += "\n\n" + columns([head, *((key, *map(str, values)) for key, values in differing.items())])
    else:
        text += "\n\nno setting differs"
    picture = Path(out) / "comparison.png"
    with atomic_path(picture) as path:
        path.write_bytes(figure_to_png(comparison_figure(trainings)))
    return f"{text}\n\npicture: {printable(picture)}"


def differences(trainings: Sequence[Training]) -> dict[str, list[Any]]:
    """The settings in which trainings differ, with the value of each training."""
    configs = [flat(training.report["config"]) for training in trainings]
    keys = dict.fromkeys(key for config in configs for key in config)
    found = {key: [config.get(key) for config in configs] for key in keys if key != "name"}
    return {key: values for key, values in found.items() if any(value != values[0] for value in values)}


def comparison_figure(trainings: Sequence[Training]) -> Any:
    """Their losses in one picture: of the validation where every one has it, else of the training."""
    histories = {training.name: training.history for training in trainings}
    column = "val_loss" if all("val_loss" in history.columns for history in histories.values()) else "loss"
    return loss_figure({name: history.points(column) for name, history in histories.items()}, y_label=column)


def _chosen(trainings: list[Training], names: Sequence[str], out: str | Path) -> list[Training]:
    known = {training.name for training in trainings} | {training.name.split("/")[0] for training in trainings}
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise InputError(
                out,
                found=f"no run {name!r}",
                expected=", ".join(sorted(known)) or "a run",
                fix=f"Did you mean {near[0]!r}?" if near else "Name one of these.",
            )
    return [one for one in trainings if not names or {one.name, one.name.split("/")[0]} & set(names)]
