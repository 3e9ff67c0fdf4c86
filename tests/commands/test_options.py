"""Options that several commands have are the same in all of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from typer.main import get_command

from motionlab.cli import app
from motionlab.config import preset_names


def commands(group: Any, path: str = "motionlab") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


def test_every_command_lists_all_presets_and_begins_with_the_same() -> None:
    found = {
        path: option for path, command in commands(get_command(app)) for option in command.params
        if option.name == "preset"
    }  # fmt: skip
    assert {"motionlab run", "motionlab train", "motionlab card", "motionlab encode"} <= set(found)
    for path, option in found.items():
        assert all(name in option.help for name in preset_names()), path
        assert option.default == "tiny", path
