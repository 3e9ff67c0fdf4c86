"""Commands about captions: `encode` makes the text features of a run before its training."""

from __future__ import annotations

from typing import Annotated

import typer

from motionlab.commands.options import Preset
from motionlab.config import load_config

app = typer.Typer(rich_markup_mode=None)
Settings = Annotated[
    list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="e.g. text.encoder=t5 text.folder=flan-t5-xl.")
]


@app.command()
def encode(
    overrides: Settings = None,
    preset: Preset = "tiny",
    engine: Annotated[str, typer.Option("--engine", help="local, ray or dask.")] = "local",
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes to start.")] = 1,
    address: Annotated[
        str | None, typer.Option("--address", help="Of a cluster of Ray or Dask that is there, e.g. tcp://HOST:8786.")
    ] = None,
) -> None:
    """Encode all captions of the motions of a run.

    A training does so itself, with one process. Here several take part, on this machine or on a cluster whose machines
    share the cache folder. After a kill the same command continues.
    """
    config = load_config(preset, overrides or [])
    from motionlab.jobs.prepare import prepare
    from motionlab.jobs.text_features import encode_splits

    splits = prepare(config)
    new, clips = encode_splits(config, splits, engine=engine, workers=workers, address=address)
    print(f"the captions of {clips:,} clips have features; {new:,} were encoded now")
