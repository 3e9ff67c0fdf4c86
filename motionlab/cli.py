"""The command line: a thin layer that turns words into calls of `motionlab.jobs`.

Two rules. Heavy packages are imported inside a command, below the reading of the config: `motionlab --help`
and a mistyped key answer at once. And every error that the user can cause ends as one line on stderr with exit code 2;
a traceback means a bug in motionlab.
"""

from __future__ import annotations

import functools
import json
import os
import sys
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from motionlab.command_end import Interruptible, end, end_with
from motionlab.commands import compare, convert, data, demos, encode, generate, import_motions, progress
from motionlab.commands.chinese_help import let_it_speak
from motionlab.commands.options import Preset, RunFolder, Workers, as_path
from motionlab.config import QUANTIZERS, VlaRunConfig, load_config
from motionlab.environment import let_anything_print, usable_path
from motionlab.errors import InputError, MissingExtra, printable
from motionlab.interrupt import terminable
from motionlab.jobs.stages import STAGES, require_stage
from motionlab.runtime import check_environment, has_display, lab_environment, notebooks_folder, wait_passively

if TYPE_CHECKING:
    from motionlab.config import RunConfig

app = typer.Typer(
    name="motionlab",
    cls=Interruptible,
    help="Text to human motion, small, correct and readable.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
params_app = typer.Typer(
    help="List every parameter of a model without building a run.", no_args_is_help=True, rich_markup_mode=None
)
ablate_app = typer.Typer(
    help="Train the same small model at every point of a grid.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(ablate_app, name="ablate")
app.add_typer(params_app, name="params")
for _subject in (compare, convert, data, demos, encode, generate, import_motions, progress):
    app.add_typer(_subject.app)


def _print_version(wanted: bool) -> None:
    if wanted:
        from motionlab import __version__

        print(f"motionlab {__version__}")
        raise typer.Exit


Out = Annotated[Path, typer.Option("--out", callback=as_path, help="Folder that holds the runs.")]
Name = Annotated[str | None, typer.Option("--name", help="Folder of this run below --out. Default: the config's name.")]
Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Settings, e.g. seed=1; see motionlab config.")
]
AutoBatch = Annotated[bool, typer.Option("--auto-batch", help="Out of memory: halve the micro-batch, same steps.")]
Deterministic = Annotated[bool, typer.Option("--deterministic", help="The same bits every time; slower on a GPU.")]
Variant = Annotated[
    str | None,
    typer.Option(
        "--quantizer",
        "--variant",
        help=f"Another kind of the stage. For the tokenizer: {', '.join(QUANTIZERS)}. Default: the config's.",
    ),
]
MoreAxes = Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUES]...", help="More axes.")]
MaxPoints = Annotated[int, typer.Option(min=1, help="Refuse a grid of more points.")]


@app.callback()
def start(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version.")
    ] = False,
) -> None:
    """Text to human motion, small, correct and readable."""
    if context.invoked_subcommand not in ("doctor", "version"):  # doctor shows what is wrong
        check_environment()


@app.command()
def doctor(
    path: Annotated[
        Path | None, typer.Argument(callback=as_path, help="With --verify: a folder. Default: the cache folder.")
    ] = None,
    check: Annotated[bool, typer.Option("--verify", help="Read all packed motions and compare their digests.")] = False,
) -> None:
    """Show what this machine can do and what is missing.

    Each missing part comes with the command that fixes it. Exit code 1: something needed is missing.
    """
    from motionlab.jobs.doctor import doctor as examine
    from motionlab.jobs.doctor import doctor_table, healthy, verify

    rows = verify(path) if check else examine()
    print(doctor_table(rows))
    if not healthy(rows):
        raise typer.Exit(1)


@app.command()
def run(
    overrides: Overrides = None,
    preset: Preset = "tiny",
    name: Name = None,
    out: Out = Path("runs"),
    open_report: Annotated[bool, typer.Option("--open", help="Open the report when there is a display.")] = False,
) -> None:
    """Do the main job, from the corpus to the report.

    Compose the corpus, train the tokenizers and the decoder, generate, score, and write the report. A finished run can
    be run again with other settings of sampling and evaluation: nothing is trained twice. With --preset vla it is the
    job of the robot half: demonstrations, backbone, policy, trials.
    """
    config, folder = _config_and_folder(preset, overrides, name, out)
    if isinstance(config, VlaRunConfig):
        from motionlab.jobs.vla.job import run_vla as job
    else:
        from motionlab.jobs.main_job import run as job

    report = job(config, folder)  # prints its path itself
    if open_report and has_display():
        webbrowser.open(Path(report).resolve().as_uri())


@app.command()
def prepare(overrides: Overrides = None, preset: Preset = "tiny") -> None:
    """Make the motions of a run ready and keep them in the cache."""
    config = load_config(preset, overrides or [])
    from motionlab.jobs.prepare import describe_splits
    from motionlab.jobs.prepare import prepare as job

    print(describe_splits(job(config)))


@app.command("config")
def show_config(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY]... [KEY=VALUE]...", help="e.g. llama or llama.dim.")
    ] = None,
    preset: Preset = "tiny",
) -> None:
    """Print settings with their meaning and allowed values.

    All of a preset, those of a section (llama), or one key (llama.dim).
    """
    from motionlab.config.describe import describe, format_described

    texts = words or []
    config = load_config(preset, [text for text in texts if "=" in text])
    keys: list[str | None] = [text for text in texts if "=" not in text]
    for key in keys or [None]:
        print(format_described(describe(config, key)))


@app.command(no_args_is_help=True)
def train(
    stage: Annotated[str, typer.Argument(metavar="STAGE", help="One of: " + ", ".join(STAGES) + ".")],
    overrides: Overrides = None,
    preset: Preset = "tiny",
    name: Name = None,
    out: Out = Path("runs"),
    auto_batch: AutoBatch = False,
    deterministic: Deterministic = False,
    variant: Variant = None,
) -> None:
    """Train one stage, first tokenizer, then llama.

    The tokenizer turns motion into tokens and back; llama writes the next token from text and earlier ones. Of the
    robot half, with --preset vla, first vla_pretrain, then vla: a backbone that sees, and a policy that acts. The
    training continues from the last checkpoint when there is one, and also runs under torchrun. The decoder needs the
    tokenizer in the same folder.
    """
    require_stage(stage)
    texts = [*(overrides or []), *_switches(f"{stage}_training", auto_batch=auto_batch, deterministic=deterministic)]
    config, folder = _config_and_folder(preset, texts, name, out)
    from motionlab.jobs.train import train_stage

    train_stage(stage, config, folder, variant)


@app.command()
def runs(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[RUN]...", help="Runs to compare; all by default.")
    ] = None,
    out: Out = Path("runs"),
) -> None:
    """List the trainings below --out, or compare some.

    With two or more names it also shows the settings that differ, and draws a picture.
    """
    from motionlab.jobs.list_runs import describe_runs

    print(describe_runs(out, names or []))


@app.command()
def evaluate(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RUN] [KEY=VALUE]...", help="A run below --out, and settings, e.g. vla seed=1."),
    ] = None,
    run: Annotated[Path | None, typer.Option("--run", callback=as_path, help="Folder of a finished run.")] = None,
    out: Out = Path("runs"),
) -> None:
    """Score a finished run again and write its report.

    It generates again; a policy of the robot half acts again. Settings that shape no weights can be changed, such as
    sampling.temperature=0.8 and evaluation.n_generate=16, or vla_evaluation.per_task=50; they are kept with the run.
    """
    names, overrides = [text for text in words or [] if "=" not in text], [text for text in words or [] if "=" in text]
    if len(names) + (run is not None) != 1:
        given = [*names, *([] if run is None else [f"--run {run}"])]
        found = ", ".join(map(printable, given)) or "no run"
        raise InputError("evaluate", found=found, expected="one run", fix="Name it: evaluate vla, or --run runs/vla.")
    folder = usable_path(out / names[0]) if run is None else run
    from motionlab.files.lock import using
    from motionlab.jobs.evaluate import evaluate as job
    from motionlab.jobs.prepare import prepare
    from motionlab.jobs.report import write_report
    from motionlab.jobs.report_scores import describe_scores
    from motionlab.jobs.run_folder import Run

    this = Run.open(folder, overrides)
    with using(folder):
        if isinstance(this.config, VlaRunConfig):
            from motionlab.jobs.vla.job import evaluate_run

            print(f"report: {printable(evaluate_run(this))}")
            return
        scored = job(this, prepare(this.config), show=True)
        this.save_config()  # what the numbers of the folder were made with
        print(describe_scores({**this.metrics, "generation": scored}))
        print(f"report: {printable(write_report(this))}")


@ablate_app.command("tokenizer")
def ablate_tokenizer(
    more: MoreAxes = None,
    grid: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUES", help="Axes, e.g. quantizer=fsq,vq_ema codebook_size=256,1024 seed=0,1,2."),
    ] = None,
    out: Annotated[
        Path, typer.Option(callback=as_path, help="JSON lines, one per trained point; the picture is next to it.")
    ] = Path("runs/tokenizer_ablation.jsonl"),
    workers: Workers = None,
    max_points: MaxPoints = 500,
) -> None:
    """Compare tokenizers over a grid of settings.

    Any key of the tokenizer or of its training is an axis. A command that was stopped continues where it was.
    """
    from motionlab.jobs.ablations.tokenizer import ablate as job
    from motionlab.jobs.ablations.tokenizer import parse_grid

    job(out, parse_grid([*(grid or []), *(more or [])]), workers=workers, max_points=max_points)
    print(f"numbers: {printable(out)}\npicture: {printable(out.with_suffix('.png'))}")


@ablate_app.command("strategies")
def ablate_strategies(
    run: RunFolder,
    more: MoreAxes = None,
    grid: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUES", help="Axes, e.g. strategy=teacher_forcing,keep_50,masked seed=0,1,2."),
    ] = None,
    out: Annotated[Path, typer.Option(callback=as_path, help="JSON lines, one per trained point.")] = Path(
        "runs/strategies.jsonl"
    ),
    workers: Workers = None,
    max_points: MaxPoints = 500,
) -> None:
    """Compare ways to train the decoder of a finished run.

    The axes are strategy, seed, steps and clips.
    """
    from motionlab.jobs.ablations.strategies import ablate_strategies as job
    from motionlab.jobs.ablations.strategies import strategy_grid

    job(run, out, strategy_grid([*(grid or []), *(more or [])]), workers=workers, max_points=max_points)
    print(f"numbers: {printable(out)}")


@params_app.command("tokenizer")
def params_tokenizer(overrides: Overrides = None, preset: Preset = "tiny") -> None:
    """List every tensor of stage 1 with its shape, and the total."""
    config = load_config(preset, overrides or [])
    from motionlab.cost.parameters import format_rows, tokenizer_parameters

    print(format_rows(tokenizer_parameters(config.tokenizer)))


@params_app.command("llama")
def params_llama(overrides: Overrides = None, preset: Preset = "tiny") -> None:
    """List every tensor of stage 2 with its shape, and the total."""
    config = load_config(preset, overrides or [])
    from motionlab.cost.parameters import format_rows, llama_parameters

    print(format_rows(llama_parameters(config)))


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def lab(context: typer.Context) -> None:
    """Open JupyterLab on the lessons.

    Everything after `lab` goes to JupyterLab, e.g. --no-browser --port 8889.
    """
    import importlib.util
    import subprocess

    if importlib.util.find_spec("jupyterlab") is None:
        raise MissingExtra("jupyterlab", extra="notebooks", purpose="open the lessons")
    folder = notebooks_folder()
    command = [sys.executable, "-m", "jupyterlab", str(folder), *context.args]
    if hasattr(os, "geteuid") and os.geteuid() == 0 and "--allow-root" not in context.args:
        command.append("--allow-root")  # Jupyter refuses to start for root otherwise; usual in containers
    raise typer.Exit(subprocess.call(command, env=lab_environment(folder)))


@app.command()
def version() -> None:
    """Print the version."""
    _print_version(True)


def _config_and_folder(preset: str, overrides: list[str] | None, name: str | None, out: Path) -> tuple[RunConfig, Path]:
    """The config with its name settled, and the folder of the run."""
    texts = list(overrides or [])
    if name is not None:
        texts.append(f"name={json.dumps(name)}")  # quoted: YAML would read 007 as a number
    config = load_config(preset, texts)
    return config, out / config.name


def _switches(group: str, **switches: bool) -> list[str]:
    """Options of the command line as overrides of the settings."""
    return [f"{group}.{name}=true" for name, on in switches.items() if on]


def _plain_options(arguments: list[str]) -> list[str]:
    """Names of options that a terminal can show: typer repeats an unknown one as it came."""
    parts = [text.partition("=") if text.startswith("-") else (text, "", "") for text in arguments]
    return [(printable(name) if text.startswith("-") else name) + equals + value
            for text, (name, equals, value) in zip(arguments, parts, strict=True)]  # fmt: skip


@functools.cache
def _command() -> Any:
    """The tree of commands, built once in a process: typer would read all signatures again for every call."""
    return let_it_speak(typer.main.get_command(app))


def main(arguments: list[str] | None = None) -> None:
    """Entry point; `command_end.py` has the exit codes."""
    wait_passively()
    let_anything_print()
    try:
        with terminable():
            _command()(args=_plain_options(sys.argv[1:] if arguments is None else arguments), prog_name="motionlab")
    except SystemExit as stop:
        end(stop.code)
    except BaseException as error:  # a panic of Rust is no Exception
        end_with(error)
