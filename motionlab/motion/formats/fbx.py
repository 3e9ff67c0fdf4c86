"""FBX is a closed binary format without a reader outside of its owner's SDK; here is the way around it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from motionlab.errors import InputError
from motionlab.motion.formats.registry import Format, any_file
from motionlab.motion.formats.source import Reading, ReadOptions


def _read(path: Path, options: ReadOptions) -> Iterator[Reading]:
    raise InputError(
        path,
        found="an FBX file",
        expected="an open format",
        fix="Open it in Blender (or another program) and export it as glTF, which keeps the pelvis track, or as BVH.",
    )


FORMAT = Format(
    name="FBX",
    suffixes=(".fbx",),
    carries="nothing that is read here: export it as glTF (.glb) or BVH",
    loses="everything",
    recognises=any_file,
    read=_read,
)
