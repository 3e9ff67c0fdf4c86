"""The stages that `motionlab train NAME` knows. Adding one is a file or folder, and one line of registration below.

Nothing heavy is imported here: a stage's own module is imported when the stage is used.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from motionlab.config import add_section
from motionlab.errors import InputError

if TYPE_CHECKING:
    from motionlab.jobs.stages.run_stage import RunStage


@dataclass(frozen=True)
class StageEntry:
    """A line of the register.

    Fields:
        name: as in `motionlab train NAME`; the folder `NAME` of a run and the settings `NAME_training` belong to it.
        where: "module:Class" of a subclass of `RunStage`.
        sections: sections that the stage adds to the config, such as `NAME_training`: name to dataclass. They must not
            load torch: a config is read before anything heavy is imported.
    """

    name: str
    where: str
    sections: Mapping[str, type] = field(default_factory=dict)


STAGES: dict[str, StageEntry] = {}


def register(entry: StageEntry) -> None:
    """Make a stage known to every job and to the command line.

    Raises:
        ValueError: a name that could not be told from its variant in the name of a folder, or a section that cannot be
            added.
    """
    if not entry.name.isidentifier():
        raise ValueError(f"the name of a stage must be letters, digits and _, not {entry.name!r}")
    for name, kind in entry.sections.items():
        add_section(name, kind, f"stage {entry.name}")
    STAGES[entry.name] = entry


register(StageEntry("tokenizer", "motionlab.jobs.stages.tokenizer:TokenizerStage"))
register(StageEntry("llama", "motionlab.jobs.stages.llama:LlamaStage"))
# The sections of the robot half belong to `VlaRunConfig`: a run of text to motion does not show them.
register(StageEntry("vla_pretrain", "motionlab.jobs.stages.vla_pretrain:VlaPretrainStage"))
register(StageEntry("vla", "motionlab.jobs.stages.vla:VlaStage"))


def require_stage(name: str) -> StageEntry:
    """The entry of a stage.

    Raises:
        InputError: no stage has this name; the known ones are listed.
    """
    if name not in STAGES:
        near = difflib.get_close_matches(name, STAGES, n=1)
        raise InputError(
            "stage",
            found=repr(name),
            expected="one of " + ", ".join(STAGES),
            fix=f"Did you mean {near[0]!r}?" if near else "Name one of these.",
        )
    return STAGES[name]


def stage_class(name: str) -> type[RunStage[Any]]:
    """The class of a stage, imported now.

    Raises:
        InputError: no stage has this name.
    """
    module, _, kind = require_stage(name).where.partition(":")
    found: type[RunStage[Any]] = getattr(importlib.import_module(module), kind)
    return found
