"""Demonstrations from one layout to the other: HDF5 files as LIBERO has them, folders as LeRobot has them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args

from motionlab.data.building import build_once, building
from motionlab.errors import InputError, printable
from motionlab.files import sha256, write_text
from motionlab.runtime import cache_dir
from motionlab.vla.demonstrations import DemonstrationSettings, make_demonstrations
from motionlab.vla.lerobot.read import Stored, episodes_of_tasks, is_lerobot, read_lerobot
from motionlab.vla.lerobot.write import write_lerobot
from motionlab.vla.libero.hdf5 import h5py, reading
from motionlab.vla.libero.index import index_file
from motionlab.vla.libero.layout import Episode
from motionlab.vla.libero.read import read_episode
from motionlab.vla.libero.write import write_libero

TABLE_LAB = "table_lab"
SUMS = "sha256.json"  # next to files that were made from a LeRobotDataset
Layout = Literal["hdf5", "lerobot"]


def convert_demonstrations(
    source: str | Path, out: str | Path, to: str | None = None, pictures: Stored = "upright", per_task: int = 100
) -> str:
    """Write demonstrations in another layout and say in a line what was written.

    Args:
        source: "table_lab" for those of the table-top world, a folder of .hdf5 files, or a LeRobotDataset.
        out: a new folder.
        to: "hdf5" or "lerobot"; None is the one that the source is not, and hdf5 for table_lab.
        pictures: how a LeRobotDataset stores them.
        per_task: table_lab: demonstrations of each task.

    Raises:
        InputError: a source that is neither, a layout that does not exist, an `out` with content, or a fault of a file.
        MissingExtra: h5py or pyarrow is not installed.
    """
    h5py()
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(out, found="content", expected="a new folder", fix="Choose another one.")
    comes_as: Layout = "lerobot" if str(source) != TABLE_LAB and is_lerobot(source) else "hdf5"
    other = "lerobot" if comes_as == "hdf5" and str(source) != TABLE_LAB else "hdf5"
    to = other if to is None else to
    if to not in get_args(Layout):
        raise InputError("to", found=repr(to), expected=", ".join(get_args(Layout)), fix="Choose one of them.")
    if str(source) == TABLE_LAB:
        files = make_demonstrations(cache_dir(), DemonstrationSettings(per_task=per_task))
    else:
        files = [] if comes_as == "lerobot" else hdf5_files(source)
    with building(out) as temporary:
        if comes_as == "lerobot" and to == "hdf5":
            lerobot_to_hdf5(source, temporary, pictures)
        elif to == "hdf5":
            for path in files:
                index = index_file(path)
                with reading(path) as file:
                    write_libero(temporary / path.name, (read_episode(file, index, demo) for demo in index.demos))
        else:
            episodes = read_lerobot(source, pictures) if comes_as == "lerobot" else _episodes_of(files)
            write_lerobot(temporary, episodes)
    written = sorted(path for path in out.rglob("*") if path.is_file())
    size = sum(path.stat().st_size for path in written)
    return f"{printable(out)}: {len(written)} files, {size / 1e6:.1f} MB, in the layout of {to}"


def lerobot_to_hdf5(folder: str | Path, out: Path, pictures: Stored) -> list[Path]:
    """A LeRobotDataset as HDF5 files in `out`, one for each sentence, without holding more than an episode."""
    written = []
    for number, (sentence, episodes) in enumerate(episodes_of_tasks(folder).items()):
        words = re.sub(r"\W+", "_", sentence).strip("_").lower()[:80]
        path = out / f"{number:03d}_{words}_demo.hdf5"
        write_libero(path, read_lerobot(folder, pictures, only=set(episodes)), problem_name="lerobot")
        written.append(path)
    return written


def files_for_training(path: str | None, pictures: Stored) -> tuple[list[Path], list[str]]:
    """The HDF5 files behind `vla_data.path`, and the sha256 of each.

    Those of a LeRobotDataset are made once and kept in the cache with their sums: what names them there is the sha256
    of the whole dataset, so they need not be read again to know that they are the same.
    """
    if path is None or not is_lerobot(path):
        files = hdf5_files(path, "vla_data.path")
        return files, [sha256(file) for file in files]
    folder = cache_dir() / f"lerobot_{_digest(Path(path), pictures)}"

    def make(new: Path) -> None:
        sums = {file.name: sha256(file) for file in lerobot_to_hdf5(path, new, pictures)}
        write_text(new / SUMS, json.dumps(sums, indent=1) + "\n")

    build_once(folder, make)
    files, kept = sorted(folder.glob("*.hdf5")), folder / SUMS
    sums = json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else {}  # an older version kept none
    return files, [sums.get(file.name) or sha256(file) for file in files]


def hdf5_files(path: str | Path | None, where: str = "demonstrations") -> list[Path]:
    """The .hdf5 files of a folder, by name; `where` names the folder in an error.

    Raises:
        InputError: no folder, or none in it.
    """
    if path is None or not Path(path).is_dir():
        found = "null" if path is None else printable(path)
        raise InputError(where, found=found, expected="a folder that exists", fix="Check the path.")
    files = sorted(Path(path).glob("*.hdf5"))
    if not files:
        expected = "files in LIBERO's layout (*.hdf5), or a LeRobotDataset (meta/info.json)"
        raise InputError(path, found="neither", expected=expected, fix="Check the path.")
    return files


def _episodes_of(files: list[Path]) -> Iterator[Episode]:
    for path in files:
        index = index_file(path)
        with reading(path) as file:
            for demo in index.demos:
                yield read_episode(file, index, demo)


def _digest(folder: Path, pictures: Stored) -> str:
    """Changes with every file of a LeRobotDataset, and with how its pictures are read."""
    parts = [(str(path.relative_to(folder)), sha256(path)) for path in sorted(folder.rglob("*")) if path.is_file()]
    return hashlib.sha256(json.dumps([1, pictures, parts]).encode()).hexdigest()[:12]
