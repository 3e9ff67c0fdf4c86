"""A plain folder of motion files, brought into the form that `motionlab import` writes, in the cache.

It is known by the content of its files: a folder that was imported before is not imported again, and one changed file
makes a new import.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from motionlab.data.building import building
from motionlab.data.captions_file import Caption
from motionlab.data.folder import CLIPS, gather_captions
from motionlab.errors import InputError
from motionlab.files import sha256
from motionlab.files.litter import sweep
from motionlab.files.lock import locked
from motionlab.motion.formats.read import FORMATS, read_file
from motionlab.motion.motion import Motion
from motionlab.motion.retargeting.retarget import retarget

FORMAT = 1  # raise it when the same files give other motions than before
_DAYS = 7 * 24 * 3600.0


def motion_files(folder: Path) -> list[Path]:
    """The files in a folder, and in the folders in it, whose suffix a format has; links are not followed out of it.

    Raises:
        InputError: no such folder, or no motion in it.
    """
    if not folder.is_dir():
        raise InputError(folder, found="no such folder", expected="a folder of motions", fix="Check data.path.")
    suffixes = {suffix for known in FORMATS for suffix in known.suffixes} - {".json", ".txt", ".csv"}
    inside = folder.resolve()
    found = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in suffixes and path.is_file() and path.resolve().is_relative_to(inside)
    )
    if not found:
        fix = "Check data.path; `motionlab formats` lists what can be read."
        raise InputError(folder, found="no motion file", expected=f"files {', '.join(sorted(suffixes))}", fix=fix)
    return found


def import_folder(folder: Path, cache: Path) -> tuple[Path, dict[str, list[Caption]]]:
    """The imported folder in the cache, made when it is not there yet, and the captions of the plain one.

    Raises:
        InputError: no motion file, none that can be read, or captions that cannot be read.
    """
    files = motion_files(folder)
    stems = [path.relative_to(folder).with_suffix("").as_posix() for path in files]
    captions = gather_captions(folder, stems)
    digests = [[path.relative_to(folder).as_posix(), sha256(path)] for path in files]
    key = hashlib.sha256(json.dumps([FORMAT, digests]).encode()).hexdigest()
    target = cache / f"import-{key[:16]}"
    with locked(target.with_name(f"{target.name}.lock.json"), wait=_DAYS):
        if not (target / CLIPS).is_file():
            sweep(cache, depth=1)
            with building(target) as temporary:
                _import(folder, files, temporary)
    return target, captions


def _import(folder: Path, files: Sequence[Path], out: Path) -> None:
    """Read and retarget every file; what cannot be read is said, and the rest goes on."""
    (out / "motions").mkdir()
    lines, refused = [], []
    for path in files:
        stem = path.relative_to(folder).with_suffix("").as_posix()
        try:
            for number, reading in enumerate(read_file(path)):
                name = stem.replace("/", "__") + (f"_{number}" if number else "")
                made = reading.motion
                motion = made if isinstance(made, Motion) else retarget(made).motion
                file = f"motions/{name}.npz"
                motion.save(out / file)
                entry = {"name": name, "file": file, "captions": list(reading.captions), "source": stem}
                lines.append(json.dumps({**entry, "verdict": "right"}, ensure_ascii=False) + "\n")
        except InputError as error:
            refused.append(error)
            print(f"left out: {error}", flush=True)
    if not lines:
        raise refused[0]
    (out / CLIPS).write_text("".join(lines), encoding="utf-8")
