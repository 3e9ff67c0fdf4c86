"""`motionlab convert`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from motionlab.commands.options import as_path
from motionlab.errors import printable

app = typer.Typer(rich_markup_mode=None)


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(metavar="IN", callback=as_path, help="A motion file.")],
    out: Annotated[
        Path,
        typer.Option("--out", callback=as_path, help="File to write: .bvh, .glb, .csv, .npz, .npy, .gif, .html."),
    ],
    to: Annotated[
        str | None, typer.Option("--to", help="For .npy: 272, 263 or smpl85. For .npz: joints, amass or pfnn.")
    ] = None,
    fps: Annotated[float | None, typer.Option(help="Frames per second of the result. Default: as the source.")] = None,
    source_fps: Annotated[float | None, typer.Option(help="Those of the source, instead of what it says.")] = None,
    source_unit: Annotated[str | None, typer.Option(help="Of the source: m, cm, mm or in. Default: found.")] = None,
    source_up: Annotated[
        str | None, typer.Option(help="Axis of the source that points up: y, z, -y ... Default: found.")
    ] = None,
    body: Annotated[str, typer.Option(help="own: the bones of the source; canonical: those of the samples.")] = "own",
    unit: Annotated[str | None, typer.Option(help="Of a .bvh file: m or cm. Default: m.")] = None,
    order: Annotated[str | None, typer.Option(help="Of the rotations in a .bvh file. Default: ZYX.")] = None,
    up: Annotated[str | None, typer.Option(help="Axis that points up in a .bvh file: y or z. Default: y.")] = None,
) -> None:
    """Write a motion file in another format and say what was lost.

    The loss is measured: the new file is read again and compared. A file with several motions becomes several files.
    """
    from motionlab.jobs.convert import convert as job
    from motionlab.motion.formats.registry import WriteOptions

    options = WriteOptions(unit=unit, order=order, up=up)
    converted = job(
        source, out, to=to, fps=fps, source_fps=source_fps, source_unit=source_unit, source_up=source_up, body=body,
        options=options,
    )  # fmt: skip
    for done in converted:
        for line in done.lines():
            print(printable(line))
