"""`motionlab demos`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from motionlab.commands.options import as_path

app = typer.Typer(rich_markup_mode=None)


@app.command()
def demos(
    source: Annotated[
        str, typer.Argument(metavar="IN", help="Folder of .hdf5 files, a LeRobotDataset, or table_lab for new ones.")
    ],
    out: Annotated[Path, typer.Option("--out", callback=as_path, help="A new folder.")],
    to: Annotated[
        str | None, typer.Option("--to", help="hdf5 or lerobot. Default: the one that the source is not.")
    ] = None,
    pictures: Annotated[
        str,
        typer.Option(help="How a LeRobotDataset stores its pictures: upright, flipped or rotated (by 180 degrees)."),
    ] = "upright",
    per_task: Annotated[int, typer.Option(min=1, help="table_lab: demonstrations of each task.")] = 100,
) -> None:
    """Write demonstrations of a robot in another layout.

    The layouts are the HDF5 files of LIBERO and the folders of LeRobot. A LeRobotDataset keeps pictures, actions, the
    state of the hand and sentences; depth and cameras are left behind.
    """
    from motionlab.jobs.vla.demonstration_files import convert_demonstrations

    stored: Any = pictures
    print(convert_demonstrations(source, out, to, stored, per_task))
