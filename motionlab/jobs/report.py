"""The report of a run: one HTML file with every number, figure and player, and no request to anywhere.

It is a pure function of the run folder (`metrics.json`, `history.csv`, `motions/`), so it can be written again at any
time; `motionlab evaluate --run runs/tiny` does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from motionlab.config import to_yaml
from motionlab.cost.parameters import parameter_rows
from motionlab.errors import InputError, printable
from motionlab.evaluation.judge import tell_actions
from motionlab.files import sha256, write_text
from motionlab.jobs.page_language import spoken
from motionlab.jobs.report_scores import (
    RULE,
    is_old,
    judge_rows,
    judge_sentence,
    physics_rows,
    score_figures,
    score_head,
    score_rows,
    text_motion_rows,
)
from motionlab.jobs.report_scores import title as _title
from motionlab.jobs.run_folder import Run
from motionlab.language import Own, tr
from motionlab.motion.motion import Motion
from motionlab.plots.curves import figure_to_svg, learning_rate_figure, loss_figure, stacked_bars, usage_figure
from motionlab.plots.explorable import figure_html, figures_script
from motionlab.plots.gif import moments_html
from motionlab.plots.player import Track, player_html, player_script
from motionlab.training.reporting.history import History

NAMES = {"fsq": "FSQ", "vq_ema": "VQ-VAE (EMA, reset)"}
ERRORS = {"mpjpe_mm": "pelvis", "mpjpe_heading_mm": "heading", "acceleration_mm": "acceleration"}
COLORS = {"real": "#57606a", "fsq": "#1f6feb", "vq_ema": "#d1622b", "generated": "#1a7f5a"}


def write_report(run: Run) -> Path:
    """Write `report.html` into the run folder and return its path.

    Raises:
        InputError: the run has no scores yet.
    """
    from jinja2 import Environment, FileSystemLoader, select_autoescape
    from markupsafe import Markup

    metrics = run.metrics
    if "generation" not in metrics:
        raise InputError(run.folder, found="a run without scores", expected="a finished run", fix="Continue it first.")
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=select_autoescape(default=True), trim_blocks=True
    )
    parameters = _parameters(run)
    page = templates.get_template("report.html.j2").render(
        name=printable(run.config.name),
        environment=_environment_line(metrics["environment"]),
        tiles=_tiles(run, metrics),
        warnings=_warnings(run, metrics),
        generation_note=_generation_note(metrics),
        tokenizer_note=_tokenizer_note(metrics),
        source=printable(metrics["source"]["name"]),
        corpus_note=printable(metrics["source"]["note"]),
        tables=_tables(run, metrics, parameters),
        figures={
            "scores": [Markup(figure_to_svg(figure)) for figure in score_figures(metrics)],
            "tokenizer": [Markup(figure_html(figure)) for figure in _tokenizer_figures(run, metrics)],
            "llama": [Markup(figure_html(figure)) for figure in _llama_figures(run)],
            "parameters": [Markup(figure_html(figure)) for figure in _parameter_figures(parameters)],
        },
        figures_script=Markup(figures_script()),
        players=[{**player, "html": Markup(player["html"])} for player in _players(run, metrics)],
        script=Markup(player_script()),
        config=printable(to_yaml(run.config), lines=True),
    )
    path = run.folder / "report.html"
    write_text(path, spoken(page))
    return path


def table(head: Sequence[str], rows: Sequence[Sequence[object]], caption: str = "") -> dict[str, Any]:
    """The arguments of the template's table macro."""
    rows = [[Own(printable(cell)) if isinstance(cell, Own) else printable(cell) for cell in row] for row in rows]
    return {"head": [printable(cell) for cell in head], "rows": rows, "caption": printable(caption)}


def _tiles(run: Run, metrics: Mapping[str, Any]) -> list[dict[str, str]]:
    own, generation = metrics["tokenizers"][run.config.tokenizer.quantizer], metrics["generation"]
    first = next(iter(generation))
    error, used = own["errors"][first]["mpjpe_mm"], f"of {own['codebook_size']:,} codes used, {_title(own['codes_of'])}"
    tiles = [
        {"value": f"{error:.1f} mm", "label": f"reconstruction error (MPJPE), {_title(first)}"},
        {"value": f"{own['used_fraction']:.0%}", "label": used},
        *(
            {"value": f"{generation[split]['score']['generated']:.0%}", "label": f"actions right, {_title(split)}"}
            for split in metrics["classifier"]
            if not generation[split].get("apart")
        ),
        {"value": f"{generation[first]['tokens_per_second']:,.0f}", "label": "tokens a second, batched"},
    ]
    if "seconds" in metrics:  # stages that were trained one by one have no time of the whole
        tiles.append({"value": f"{sum(metrics['seconds'].values()) / 60:.1f} min", "label": "whole run"})
    return tiles


def _warnings(run: Run, metrics: Mapping[str, Any]) -> list[str]:
    notes = []
    for split, scores in metrics["generation"].items():
        name = _title(split)
        if scores["stopped_by_limit"]:
            notes.append(
                f"{scores['stopped_by_limit']} of {scores['clips']} {name} generations were cut at "
                f"{run.config.sampling.max_tokens} tokens before the decoder said END."
            )
        if split in metrics["unscored"]:
            notes.append(f"The actions of {name} were not scored: {metrics['unscored'][split]}.")
    if is_old(metrics):
        notes.append(
            "These scores are of an earlier version: without intervals, without baselines, and by a judge that was "
            f"tested on takes that it knew. Score the run again: motionlab evaluate --run {printable(run.folder.name)}."
        )
    return notes


def _generation_note(metrics: Mapping[str, Any]) -> str:
    if not metrics["classifier"]:
        return "Motions generated from captions of test clips, next to the real ones and their reconstructions."
    return (
        "A classifier trained on real clips names the action of every frame. The score of a motion is 100 % when the "
        "actions seen, and their order, are exactly those of the caption; a missing or an added action lowers it. "
        "Order-blind forgives a wrong order. All rows are judged by the same judge on the same captions. “Other "
        "caption” scores each generated motion against the captions of all other clips. The rows below it generate "
        "nothing: they take real motion of training, for the first action only, by the nearest training caption, by "
        "the same sequence of actions where training has one, or cut and pasted action by action. The judge does not "
        f"see whether a motion looks natural. {judge_sentence(metrics)} {RULE}"
    )


def _tokenizer_note(metrics: Mapping[str, Any]) -> str:
    kinds = [NAMES.get(kind, kind) for kind in metrics["tokenizers"]]
    return (
        f"{' and '.join(kinds)} had the same convolutions, first weights, batches and steps. Errors are means over all "
        "frames of whole held-out clips, after moving both pelvises to the same place (pelvis), and also turning both "
        "to the same heading (heading). Usage depends on how many tokens were looked at, so that number is given."
    )


def _environment_line(environment: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in environment.items() if name in ("torch", "device", "cores"))


def _text_motion_tables(metrics: Mapping[str, Any], way: str) -> list[Any]:
    head = ["generated", "real", "wrong captions"]
    splits = metrics.get("text_motion", {})
    return [table([_title(split), *head], text_motion_rows(metrics, split, way)) for split in splits]


def _tables(run: Run, metrics: Mapping[str, Any], parameters: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    tokenizers, generation = metrics["tokenizers"], metrics["generation"]
    first = next(iter(generation))
    codes_of = tokenizers[run.config.tokenizer.quantizer]["codes_of"]
    return {
        "generation": [_scores(generation, split) for split in generation if not generation[split].get("apart")],
        "apart": [_scores(generation, split) for split in generation if generation[split].get("apart")],
        "lengths": _lengths_table(generation),
        "judge": table(
            ["judge, real clips", "frames right", "score", "exact", "clips", "takes", ""],
            judge_rows(metrics),
            "The judge itself",
        )
        if metrics["classifier"]
        else None,
        "physics": [
            table(
                [_title(split), "real", "after the tokenizer", "generated", "generated / real"],
                physics_rows(metrics, split),
            )
            for split in metrics.get("physics", {})
        ],
        "text_motion": _text_motion_tables(metrics, "unit"),
        "text_motion_raw": _text_motion_tables(metrics, "raw"),
        "reconstruction": table(
            ["test split", "tokenizer", *ERRORS.values()],
            [
                [_title(split), NAMES.get(kind, kind), *(f"{values['errors'][split][number]:.1f}" for number in ERRORS)]
                for split in generation
                for kind, values in tokenizers.items()
            ],
            "Reconstruction error in mm",
        ),
        "codebook": table(
            ["", "codes", "used", "share", "perplexity", "entropy", "dead", "tokens", "parameters"],
            [
                [
                    NAMES.get(kind, kind),
                    f"{values['codebook_size']:,}",
                    f"{values['used']:,}",
                    f"{values['used_fraction']:.1%}",
                    f"{values['perplexity']:.0f}",
                    f"{values['entropy_bits']:.2f} bits",
                    f"{values['dead']:,}",
                    f"{values['tokens']:,}",
                    f"{values['parameters']:,}",
                ]
                for kind, values in tokenizers.items()
            ],
            f"Use of the codebook on {_title(codes_of)}",
        ),
        "llama": table(
            ["", "value"],
            [
                *_llama_rows(run),
                [f"generation, {_title(first)}", f"{generation[first]['tokens_per_second']:,.0f} tokens a second"],
            ],
        ),
        "parameters": _parameter_table(parameters),
        "corpus": table(
            ["split", "clips", "minutes"],
            [[name, values["clips"], f"{values['minutes']:.1f}"] for name, values in metrics["corpus"].items()],
        ),
        "time": table(
            ["stage", "seconds"], [[name, f"{seconds:.1f}"] for name, seconds in metrics.get("seconds", {}).items()]
        ),
        "environment": table(["", ""], list(metrics["environment"].items())),
    }


def _llama_rows(run: Run) -> list[list[str]]:
    """How the training of the decoder went; nothing where only its weights were brought here."""
    history = _history(run.folder / "llama")
    if history is None or not history.rows:
        return []
    rows, losses = [], sorted(zip(*reversed(_points(history, "val_loss")), strict=True))  # (loss, step)
    if losses:  # there may have been nothing to validate on
        loss, step = losses[0]
        accuracy = dict(zip(*history.points("val_accuracy"), strict=True))[step]
        rows = [
            ["validation loss at the best step", f"{loss:.3f} nats per token (step {step:.0f})"],
            ["validation accuracy there", f"{accuracy:.1%}"],
        ]
    return [*rows, ["training speed, last row", f"{history.column('items_per_second')[-1]:,.0f} labels a second"]]


def _history(folder: Path) -> History | None:
    """The curves of a training; None for weights that came without."""
    path = folder / "history.csv"
    return History.read(path) if path.is_file() else None


def _points(history: History, name: str) -> tuple[list[float], list[float]]:
    """Steps and values of a column; none where no row has it."""
    return history.points(name) if name in history.columns else ([], [])


def _scores(generation: Mapping[str, Any], split: str) -> dict[str, Any]:
    """The scores of one test split, a row for each kind of motion; none where the actions could not be judged."""
    return table(score_head(generation, split), score_rows(generation, split) or [["not judged", "-"]])


def _lengths_table(generation: Mapping[str, Any]) -> dict[str, Any]:
    """How many clips, and how long they are."""
    rows = [
        [_title(split), values["clips"], f"{values['frames_real']:.0f} / {values['frames_generated']:.0f}"]
        for split, values in generation.items()
    ]
    return table(["test split", "clips", "frames real / generated"], rows)


def _parameters(run: Run) -> dict[str, dict[str, int]]:
    """Parameters of both models, summed over the parts that a reader knows by name."""
    found: dict[str, dict[str, int]] = {}
    for title, model in (("tokenizer", run.tokenizer()), ("decoder", run.llama)):
        parts = found[title] = {}
        for row in parameter_rows(model):
            names = row.name.split(".")
            part = ".".join(names[:2]) if names[0] == "transformer" else names[0]
            parts[part] = parts.get(part, 0) + row.count
    return found


def _parameter_figures(parameters: Mapping[str, Mapping[str, int]]) -> list[Any]:
    named = {title: {f"{title}: {part}": count for part, count in parts.items()} for title, parts in parameters.items()}
    return [stacked_bars(named, title="Where the parameters are", x_label="parameters")]


def _parameter_table(parameters: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    rows = []
    for title, parts in parameters.items():
        rows += [[f"{title}: {part}", f"{count:,}"] for part, count in parts.items()]
        rows.append([f"{title}: total", f"{sum(parts.values()):,}"])
    return table(["part", "parameters"], rows)


def _tokenizer_figures(run: Run, metrics: Mapping[str, Any]) -> list[Any]:
    codes_of = metrics["tokenizers"][run.config.tokenizer.quantizer]["codes_of"]
    usage = usage_figure(
        {NAMES.get(kind, kind): values["histogram"] for kind, values in metrics["tokenizers"].items()},
        title=f"Codebook usage, {_title(codes_of)}",
    )
    read = {NAMES.get(kind, kind): _history(run.tokenizer_folder(kind)) for kind in metrics["tokenizers"]}
    histories = {name: history for name, history in read.items() if history is not None}
    if not histories:
        return [usage]
    return [
        usage,
        loss_figure(
            {name: _points(history, "reconstruction") for name, history in histories.items()},
            title="Reconstruction loss, training",
        ),
        loss_figure(
            {name: _points(history, "val_mpjpe_mm") for name, history in histories.items()},
            title="MPJPE, validation clips",
            y_label="mm",
        ),
        learning_rate_figure(*next(iter(histories.values())).points("lr"), title="Learning rate, stage 1"),
    ]


def _llama_figures(run: Run) -> list[Any]:
    history = _history(run.folder / "llama")
    if history is None:
        return []
    return [
        loss_figure(
            {"training": history.points("loss"), "validation": _points(history, "val_loss")},
            title="Next-token loss",
            y_label="nats per token",
        ),
        learning_rate_figure(*history.points("lr"), title="Learning rate, stage 2"),
    ]


def _motion(run: Run, player: Mapping[str, Any], label: str) -> Motion:
    """One track of a player, as it was written."""
    path = run.folder / "motions" / Path(player["files"][label]).name
    motion = Motion.load(path)
    if player.get("sha256", {}).get(label, sha256(path)) != sha256(path):
        fix = f"Generate it again: motionlab evaluate --run {run.folder}."
        raise InputError(path, found="changed content", expected="the motion as it was written", fix=fix)
    return motion


def _players(run: Run, metrics: Mapping[str, Any]) -> list[dict[str, str]]:
    players = []
    for split, values in metrics["generation"].items():
        for player in values["players"]:
            tracks = [
                Track(tr(NAMES.get(label, label), __file__), _motion(run, player, label).joints(), COLORS.get(label))
                for label in player["files"]
            ]
            note = "not judged"
            if "wanted" in player:
                # Runs of earlier versions have names only.
                found = tell_actions(player.get("recognised") or "") or ", ".join(player["found"])
                found = found or tr("nothing", __file__)
                note = f"asked for {', '.join(player['wanted'])}; recognised in the generated motion: {found}"
            players.append(
                {
                    "split": _title(split),
                    "note": printable(note),
                    "html": player_html(tracks, player["caption"], script=False, still=moments_html(tracks)),
                }
            )
    return players
