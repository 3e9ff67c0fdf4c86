"""The report of one training: HTML to look at, Markdown to paste, JSON for programs.

All three say the same, and all of it comes from files of the training (`training.json`, `history.csv`) and of its run
(`config.yaml`), so a report can be written again at any time, also while the training runs and after it was killed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from motionlab.config.yaml_files import read_settings
from motionlab.errors import InputError, printable
from motionlab.files import write_text
from motionlab.jobs.page_language import spoken
from motionlab.jobs.report import table
from motionlab.plots.curves import learning_rate_figure, line_figure, loss_figure
from motionlab.plots.explorable import figure_html, figures_script
from motionlab.training.reporting.history import History
from motionlab.training.reporting.summary import SummaryRecord, load_summary

SLOW_DATA = 0.1  # share of the time that reading data may take before the report warns of it
EARLY_BEST = 0.5  # share of the steps before which the best validation is called early


def write_training_report(folder: str | Path) -> Path:
    """Write `report.html`, `report.md` and `report.json` into the folder of a training; return the first.

    Raises:
        InputError: the folder holds no training.
    """
    folder = Path(folder)
    report = training_report(folder)
    write_text(folder / "report.json", json.dumps(report, indent=1) + "\n")
    write_text(folder / "report.md", as_markdown(report))
    write_text(folder / "report.html", spoken(as_html(report, History.read(folder / "history.csv"))))
    return folder / "report.html"


def training_report(folder: str | Path) -> dict[str, Any]:
    """Everything that the report says, as plain values; text that a terminal would act on is escaped.

    Raises:
        InputError: the folder holds no training, or files that are not as a training writes them.
    """
    folder = Path(folder)
    summary = load_summary(folder / "training.json")
    history = History.read(folder / "history.csv")
    config, facts = _config(folder), _plain(summary.facts)
    planned = settings_of(config, folder.name).get("steps")
    report = {
        "name": printable(f"{folder.parent.name}/{folder.name}"),
        "ended": printable(summary.ended),
        "steps": summary.step,
        "steps_planned": planned if isinstance(planned, int) else None,
        "items": summary.items,
        "skipped": summary.skipped,
        "seconds": summary.seconds,
        "items_per_second": summary.items / summary.seconds if summary.seconds else None,
        "best": {"step": summary.best_step, "value": summary.best, "metric": best_metric(summary)},
        "best_validation": _plain(summary.best_validation),
        "last_validation": _plain(summary.validation),
        "last_loss": _last(history, "loss"),
        "seconds_of_phases": _plain({name: seconds for name, seconds in summary.split.items() if seconds > 0}),
        "environment": {**{k: v for k, v in facts.items() if k != "parameters"}, **_plain(summary.versions)},
        "parameters": printable(summary.facts.get("parameters", ""), lines=True),
        "config": config,
    }
    return {**report, "warnings": [*map(printable, summary.warnings), *_warnings(report)]}


def settings_of(config: Mapping[str, Any], folder: str) -> Mapping[str, Any]:
    """The settings of the training in the folder of a stage, such as `llama` or `tokenizer-fsq`."""
    settings = config.get(f"{folder.partition('-')[0]}_training")
    return settings if isinstance(settings, Mapping) else {}


def best_metric(summary: SummaryRecord) -> str | None:
    """The name of the metric that chose the best model: the one with its value."""
    found = (name for name, value in summary.best_validation.items() if value is not None and value == summary.best)
    return next(map(printable, found), None)


def as_markdown(report: Mapping[str, Any]) -> str:
    """The report as Markdown, without figures."""
    parts = [f"# {report['name']}", _ending(report)]
    parts += [f"> {warning}" for warning in report["warnings"]]
    numbers = table(["", ""], [[tile["label"], tile["value"]] for tile in _tiles(report)])
    for title, content in {"numbers": numbers, **_tables(report)}.items():
        if content["rows"]:
            parts += [f"## {title.capitalize()}", _markdown_table(content)]
    if report["parameters"]:
        parts += ["## Parameters", f"```\n{report['parameters']}\n```"]
    parts += ["## Settings", f"```yaml\n{_yaml(report)}```"]
    return "\n\n".join(parts) + "\n"


def as_html(report: Mapping[str, Any], history: History) -> str:
    """The report as one HTML page that asks for nothing from anywhere."""
    from jinja2 import Environment, FileSystemLoader, select_autoescape
    from markupsafe import Markup

    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=select_autoescape(default=True), trim_blocks=True
    )
    return templates.get_template("training_report.html.j2").render(
        name=report["name"],
        ending=_ending(report),
        tiles=_tiles(report),
        warnings=report["warnings"],
        figures=[Markup(figure_html(figure)) for figure in _figures(report, history)],
        figures_script=Markup(figures_script()),
        tables=_tables(report),
        parameters=report["parameters"],
        config=_yaml(report),
    )


def _warnings(report: Mapping[str, Any]) -> list[str]:
    """The remarks of a person who looks at these numbers."""
    notes = []
    steps, best, split = report["steps"], report["best"]["step"], report["seconds_of_phases"]
    trained = sum(split.get(name, 0.0) for name in ("data", "forward", "backward", "update"))
    if trained and split.get("data", 0.0) > SLOW_DATA * trained:
        notes.append(
            f"Reading data took {split['data'] / trained:.0%} of the training time: the model waited. Larger batches "
            "or a packed store help."
        )
    if report["skipped"]:
        notes.append(f"{report['skipped']} fp16 steps were skipped because their gradients were inf.")
    if best is not None and report["ended"] == "done" and best == steps:
        notes.append("The last validation was the best one: more steps would probably help.")
    if best is not None and best < EARLY_BEST * steps:
        notes.append(
            f"The best validation was at step {best} of {steps}; from then on the model learned its training clips "
            "by heart. The weights that were kept are those of the best step."
        )
    return notes


def _ending(report: Mapping[str, Any]) -> str:
    planned = f" of {report['steps_planned']:,}" if report["steps_planned"] else ""
    words = {
        "done": "finished",
        "early": "stopped early: validation got no better",
        "running": "still running, or killed",
    }
    return f"{report['steps']:,}{planned} steps; {words.get(report['ended'], report['ended'])}."


def _tiles(report: Mapping[str, Any]) -> list[dict[str, str]]:
    best = report["best"]
    tiles = [
        (f"{report['steps']:,}", "optimizer steps"),
        (_number(best["value"]), f"best {best['metric'] or 'value'}, at step {best['step']}"),
        (_number(report["last_loss"]), "training loss, last row"),
        (_number(report["items_per_second"]), "items a second"),
        (_duration(report["seconds"]), "training, without validation and saving"),
        (f"{report['skipped']}", "skipped steps"),
    ]
    return [{"value": value, "label": label} for value, label in tiles if value]


def _tables(report: Mapping[str, Any]) -> dict[str, Any]:
    split, best, last = report["seconds_of_phases"], report["best_validation"], report["last_validation"]
    total = sum(split.values())
    return {
        "validation": table(
            ["metric", f"best, step {report['best']['step']}", "last"],
            [[name, _number(best.get(name)), _number(value)] for name, value in last.items()],
        ),
        "time": table(
            ["phase", "seconds", "share"],
            [[name, f"{seconds:.2f}", f"{seconds / total:.1%}"] for name, seconds in split.items()],
        ),
        "environment": table(["", ""], [[name, value] for name, value in report["environment"].items()]),
    }


def _figures(report: Mapping[str, Any], history: History) -> list[Any]:
    losses = {"training": history.points("loss")}
    if "val_loss" in history.columns:
        losses["validation"] = history.points("val_loss")
    figures = [loss_figure(losses, title="Loss"), learning_rate_figure(*history.points("lr"), title="Learning rate")]
    for name in ("grad_norm", *(column for column in history.columns if column.startswith("val_"))):
        if name != "val_loss" and len(set(history.points(name)[1])) > 1:  # a line that never moves says nothing
            title = name.removeprefix("val_").replace("_", " ")
            shown = f"{title}, validation" if name.startswith("val_") else "gradient norm, before clipping"
            figures.append(
                line_figure({title: history.points(name)}, x_label="optimizer step", y_label=title, title=shown)
            )
    return figures


def _markdown_table(content: Mapping[str, Any]) -> str:
    rows = [content["head"], ["---"] * len(content["head"]), *content["rows"]]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows)


def _config(folder: Path) -> dict[str, Any]:
    """The settings of the run, as they were written; a training outside a run has none."""
    path = folder.parent / "config.yaml"
    try:
        return read_settings(path) if path.is_file() else {}
    except InputError:  # the list of runs shows the other runs all the same
        return {}


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Names and texts that can be shown."""
    return {printable(name): printable(value) if isinstance(value, str) else value for name, value in values.items()}


def _yaml(report: Mapping[str, Any]) -> str:
    return printable(yaml.safe_dump(report["config"], sort_keys=False, allow_unicode=True), lines=True)


def _last(history: History, name: str) -> float | None:
    values = history.points(name)[1]
    return values[-1] if values else None


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def _number(value: float | None) -> str:
    return "" if value is None or not math.isfinite(value) else f"{value:,.4g}"
