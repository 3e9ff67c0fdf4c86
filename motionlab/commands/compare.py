"""`compare`: scores of several runs in one table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from motionlab.commands.options import as_paths

app = typer.Typer(rich_markup_mode=None)


@app.command(no_args_is_help=True)
def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", callback=as_paths, help="Folders of scored runs: other seeds."),
    ],
    against: Annotated[
        list[Path] | None,
        typer.Option("--against", metavar="RUN", callback=as_paths, help="A run of the other group; once for each."),
    ] = None,
) -> None:
    """Compare scores over seeds.

    The runs are one group: their mean with its interval over seeds and clips. With --against there are two groups, and
    each difference with the verdict whether it is larger than seeds and clips explain.
    """
    from motionlab.jobs.compare import describe_comparison

    print(describe_comparison(runs, against or []))
