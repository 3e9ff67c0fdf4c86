"""Commands about motions from elsewhere: `import` takes them in, `formats` lists the files that can be read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from motionlab.commands.options import Workers, as_path, as_paths
from motionlab.errors import printable

app = typer.Typer(rich_markup_mode=None)


@app.command("import", no_args_is_help=True)
def import_motions(
    inputs: Annotated[list[Path], typer.Argument(metavar="IN...", callback=as_paths, help="Files and folders.")],
    out: Annotated[Path, typer.Option("--out", callback=as_path, help="Folder to write: clips, captions, verdicts.")],
    captions: Annotated[
        Path | None,
        typer.Option(callback=as_path, help="csv, jsonl, json or txt. Default: captions.* in the inputs."),
    ] = None,
    fps: Annotated[float | None, typer.Option(help="Frames a second of the files, instead of what they say.")] = None,
    unit: Annotated[str | None, typer.Option(help="Of the files: m, cm, mm or in. Default: from the legs.")] = None,
    up: Annotated[
        str | None, typer.Option(help="Axis of the files that points up: y, z, -y ... Default: from the poses.")
    ] = None,
    keep_doubtful: Annotated[
        bool, typer.Option("--keep-doubtful", help="Keep doubtful clips with the others.")
    ] = False,
    workers: Workers = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Remove an earlier import there first.")] = False,
) -> None:
    """Make clips out of motion files, with a verdict on each.

    Reads every format that `motionlab formats` lists, puts the motions on the 22 joints at 30 frames a second, and
    judges them: right, doubtful (put into quarantine) or refused. A file that cannot be read is one line. Given again,
    the command continues, and reads only files that are new or changed. Exit code 1: no clip came out.
    """
    from motionlab.jobs.import_motions import import_motions as job
    from motionlab.jobs.imports.summary import summary_lines

    result = job(
        inputs, out, captions=captions, fps=fps, unit=unit, up=up, keep_doubtful=keep_doubtful,
        workers=workers, overwrite=overwrite,
    )  # fmt: skip
    for line in summary_lines(result):
        print(printable(line))
    if not result.kept:
        raise typer.Exit(1)


@app.command()
def formats() -> None:
    """List the files that motions are read from."""
    from motionlab.jobs.imports.known_formats import format_lines

    print("\n".join(map(printable, format_lines())))
