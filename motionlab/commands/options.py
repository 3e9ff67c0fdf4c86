"""Options that commands of several subjects have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from motionlab.config import preset_names
from motionlab.environment import usable_path


def as_path(path: Path | None) -> Path | None:
    """For `callback`: an InputError for a path that no file can have."""
    return path if path is None else usable_path(path)


def as_paths(paths: list[Path] | None) -> list[Path]:
    """The same for an option that may be given several times."""
    return [usable_path(path) for path in paths or []]


PRESETS = ", ".join(preset_names())
Preset = Annotated[str, typer.Option("--preset", "-p", help=f"Settings to begin with: {PRESETS}, or a YAML file.")]
RunFolder = Annotated[Path, typer.Option("--run", callback=as_path, help="Folder of a finished run.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Processes. Default: one per physical core.")]
