"""`motionlab progress`."""

from __future__ import annotations

from typing import Annotated

import typer

from motionlab.errors import InputError, printable
from motionlab.runtime import notebooks_folder, progress_file

app = typer.Typer(rich_markup_mode=None)


@app.command()
def progress(
    as_json: Annotated[bool, typer.Option("--json", help="Print the record itself.")] = False,
    reset: Annotated[bool, typer.Option("--reset", help="Empty the record; a copy stays next to it.")] = False,
) -> None:
    """Show how far you are in the lessons.

    A line per lesson: when it was first opened, how many exercises are solved, how sure you were before and after; and
    which lesson is next. The record stays on this machine, in .motionlab/progress.json of the home folder or in the
    file that MOTIONLAB_PROGRESS names; with MOTIONLAB_PROGRESS=off nothing is kept.
    """
    path = progress_file()
    if path is None:
        fix = "Unset it to keep a record."
        raise InputError("MOTIONLAB_PROGRESS", found="off, so nothing is kept", expected="a file", fix=fix)
    from motionlab.teaching import progress as record

    if reset:
        copy = record.reset(path)
        print(f"emptied: {printable(path)}\ncopy: {printable(copy)}" if copy else f"nothing kept in {printable(path)}")
        return
    done = record.load(path)
    if as_json:
        print(done.text(), end="")
        return
    folder = notebooks_folder()  # before the lines below, which take seconds
    from motionlab.teaching.learning_path import progress_table, read_lessons

    print(progress_table(read_lessons(folder), done))
