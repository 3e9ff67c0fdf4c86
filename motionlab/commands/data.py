"""Commands about the motions that are trained on: `card` describes them, `audit` looks for faults."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from motionlab.commands.options import Preset, as_path
from motionlab.config import load_config
from motionlab.errors import printable

app = typer.Typer(rich_markup_mode=None)
Settings = Annotated[
    list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="e.g. data.source=folder data.path=my_motions.")
]
Out = Annotated[Path | None, typer.Option("--out", callback=as_path, help="Folder for files.")]


@app.command()
def card(overrides: Settings = None, preset: Preset = "tiny", out: Out = None) -> None:
    """Describe the motions of a run.

    Hours, lengths, captions, words, action types, static clips and what is left out. With --out it also writes
    card.json and card.html.
    """
    config = load_config(preset, overrides or [])
    from motionlab.jobs.card import write_card

    print(write_card(config, out))
    if out is not None:
        print(f"written: {printable(out / 'card.json')}, {printable(out / 'card.html')}")


@app.command()
def audit(overrides: Settings = None, preset: Preset = "tiny", out: Out = None) -> None:
    """Look for faulty motions.

    Jerk, floating, sliding feet, penetration, bones that change, jumps. Faulty clips are named in quarantine.jsonl in
    the folder of the motions, and training leaves them out. With --out the numbers of every clip go to audit.jsonl.
    """
    config = load_config(preset, overrides or [])
    from motionlab.jobs.audit import audit as job
    from motionlab.jobs.audit import audit_text

    print(audit_text(job(config, out)))
