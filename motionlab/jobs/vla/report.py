"""The report of a run of the robot half: `report.html` to look at, `report.md` to paste.

It is made from files of the run alone, so it can be written again at any time. The HTML is one file without network;
the films are inside it.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from motionlab.config import to_yaml
from motionlab.errors import printable
from motionlab.files import write_text
from motionlab.jobs.page_language import spoken
from motionlab.jobs.report import table
from motionlab.jobs.run_folder import Run
from motionlab.jobs.training_report import training_report
from motionlab.language import Own
from motionlab.plots.curves import line_figure, loss_figure, stacked_bars
from motionlab.plots.explorable import figure_html, figures_script
from motionlab.training.reporting.history import History
from motionlab.training.reporting.text_table import as_cell

STAGES = {"vla_pretrain": "backbone", "vla": "policy"}
CONTROLS = (
    "The same policy behind one changed convention, and policies that know nothing. Success with another instruction "
    "counts what was NOT named: near 0 means that the words are used."
)


def write_vla_report(run: Run) -> Path:
    """Write `report.html` and `report.md` into the folder of a run; return the first.

    A run without trials (no policy yet, or one for another world) gets a report of what there is.
    """
    from jinja2 import Environment, FileSystemLoader, select_autoescape
    from markupsafe import Markup

    metrics = run.metrics
    trials: dict[str, Any] = metrics.get("vla", {})
    tables, tiles = _tables(run, metrics), _tiles(metrics)
    films = _films(run, trials)
    templates = Environment(
        loader=FileSystemLoader([Path(__file__).parent, Path(__file__).parent.parent]),
        autoescape=select_autoescape(default=True),
        trim_blocks=True,
    )
    page = templates.get_template("vla_report.html.j2").render(
        name=printable(run.config.name),
        demonstrations=printable(trials.get("demonstrations", "no trials")),
        controls_note=CONTROLS,
        tiles=tiles,
        tables=tables,
        films=films,
        figures=[Markup(figure_html(figure)) for figure in _figures(run)],
        parameter_figures=[Markup(figure_html(figure)) for figure in _parameter_figures(trials)],
        figures_script=Markup(figures_script()),
        config=printable(to_yaml(run.config), lines=True),
    )
    write_text(run.folder / "report.md", _markdown(run, trials, tiles, tables, films))
    write_text(run.folder / "report.html", spoken(page))
    return run.folder / "report.html"


def percent(numbers: list[float]) -> str:
    """A share with its 95 % interval and how many episodes it rests on.

    >>> percent([0.9667, 0.886, 0.991, 60])
    '97 % (89 to 99) of 60'
    """
    value, low, high, n = numbers
    return f"{100 * value:.0f} % ({100 * low:.0f} to {100 * high:.0f}) of {n}"


def _tiles(metrics: Mapping[str, Any]) -> list[dict[str, str]]:
    trials = metrics.get("vla")
    seconds = {"value": f"{sum(metrics.get('seconds', {}).values()) / 60:.1f} min", "label": "all stages together"}
    if not trials:
        return [seconds]
    overall, parameters = trials["overall"], trials["parameters"]["all"]
    return [
        {"value": f"{overall['success'][0]:.0%}", "label": f"success, {overall['success'][3]} episodes"},
        {"value": f"{overall['grasp'][0]:.0%}", "label": "grasped what was named"},
        {"value": f"{parameters[1]:,}", "label": f"trained parameters, of {parameters[0]:,}"},
        seconds,
    ]


def _tables(run: Run, metrics: Mapping[str, Any]) -> dict[str, Any]:
    trials: Mapping[str, Any] = metrics.get("vla", {})
    found: dict[str, Any] = {}
    if trials:
        rows = [*((Own(name), one) for name, one in trials["tasks"].items()), ("all tasks", trials["overall"])]
        found["success"] = table(
            ["task", "success", "grasp", "actions of a success"],
            [[name, percent(one["success"]), percent(one["grasp"]), _steps(one["steps"])] for name, one in rows],
        )
        found["controls"] = table(
            ["what was changed", "success", "grasp"],
            [[name, *_shares(one)] for name, one in trials["controls"].items()],
        )
        if "variants" in trials:
            found["variants"] = table(
                ["suite", "task", "success", "grasp"],
                [
                    [Own(suite), Own(name), *_shares(one)]
                    for suite, rows in trials["variants"].items()
                    for name, one in rows.items()
                ],
            )
        found["parameters"] = table(
            ["part", "total", "trained", "frozen"],
            [[name, *(f"{number:,}" for number in numbers)] for name, numbers in trials["parameters"].items()],
        )
    for stage, title in STAGES.items():
        if (run.folder / stage / "training.json").is_file():
            best = training_report(run.folder / stage)["best_validation"]
            found[title] = table(
                [f"{title}, best weights", ""], [[name, as_cell(value)] for name, value in best.items()]
            )
    found["time"] = table(
        ["stage", "seconds"], [[name, f"{value:.1f}"] for name, value in metrics.get("seconds", {}).items()]
    )
    found["environment"] = table(["", ""], [[name, value] for name, value in metrics.get("environment", {}).items()])
    return found


def _films(run: Run, trials: Mapping[str, Any]) -> list[dict[str, str]]:
    """The films as data of the page, with what they show."""
    films = []
    for name, film in trials.get("films", {}).items():
        path = run.folder / name
        page = path.with_suffix(".html")
        if path.is_file():
            data = base64.b64encode(path.read_bytes()).decode()
            player = page.read_text(encoding="utf-8") if page.is_file() else ""
            grasped = "" if film["success"] else f", {'grasped' if film['grasped'] else 'nothing grasped'}"
            caption = f"{'Success' if film['success'] else 'Failure'} after {film['steps']} actions{grasped}: "
            caption += printable(film["instruction"])
            films.append({"file": name, "data": data, "player": player, "caption": caption})
    return films


def _figures(run: Run) -> list[Any]:
    figures = []
    for stage, title in STAGES.items():
        path = run.folder / stage / "history.csv"
        if not path.is_file():
            continue
        history = History.read(path)
        losses = {"training": history.points("loss")}
        for name, label in (
            ("val_loss", "validation"),
            ("val_mean_action_loss", "mean action"),
            ("val_expert_noise_loss", "noise of the expert"),
        ):
            if name in history.columns:
                losses[label] = history.points(name)
        figures.append(loss_figure(losses, title=f"{title}: loss"))
        if "val_pose_mm" in history.columns:
            lines = {"policy": history.points("val_pose_mm"), "mean action": history.points("val_mean_action_mm")}
            if "val_expert_noise_mm" in history.columns:
                lines["noise of the expert"] = history.points("val_expert_noise_mm")
            label = "mm a step"
            figures.append(line_figure(lines, x_label="optimizer step", y_label=label, title="error on held-out steps"))
    return figures


def _parameter_figures(trials: Mapping[str, Any]) -> list[Any]:
    """Which part has how many parameters, trained and frozen ones end to end."""
    parts = {name: numbers for name, numbers in trials.get("parameters", {}).items() if name != "all"}
    if not parts:
        return []
    kinds = {
        "trained": {name: trained for name, (_, trained, _) in parts.items()},
        "frozen": {name: frozen for name, (_, _, frozen) in parts.items()},
    }
    return [stacked_bars(kinds, title="Where the parameters are", x_label="parameters")]


def _markdown(
    run: Run, trials: Mapping[str, Any], tiles: list[dict[str, str]], tables: Mapping[str, Any], films: list[Any]
) -> str:
    parts = [f"# {printable(run.config.name)}", printable(trials.get("demonstrations", "no trials")) + "."]
    parts.append("\n".join(f"- {tile['value']}: {tile['label']}" for tile in tiles))
    for title, content in tables.items():
        if not content["rows"]:
            continue
        parts.append(f"## {title.capitalize()}")
        if title == "controls":
            parts.append(CONTROLS)
        rows = [content["head"], ["---"] * len(content["head"]), *content["rows"]]
        parts.append("\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows))
    parts += [f"![{film['caption']}]({film['file']})\n\n{film['caption']}" for film in films]
    return "\n\n".join(parts) + "\n"


def _shares(one: Mapping[str, Any]) -> list[str]:
    return [percent(one["success"]), percent(one["grasp"])]


def _steps(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"
