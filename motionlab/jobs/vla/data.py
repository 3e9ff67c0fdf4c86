"""The demonstrations of a run: made by the expert of its world, or files in LIBERO's layout."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from motionlab.config import RunConfig, VlaRunConfig
from motionlab.errors import InputError
from motionlab.files.litter import sweep
from motionlab.jobs.artefacts import difference, read_record, write_record
from motionlab.jobs.run_folder import Run
from motionlab.jobs.vla.demonstration_files import files_for_training, hdf5_files
from motionlab.jobs.vla.settings import vla_settings
from motionlab.jobs.vla.worlds import has_world, world_of
from motionlab.runtime import cache_dir
from motionlab.vla.actions import ActionUnits
from motionlab.vla.frames import LiberoFrames
from motionlab.vla.lerobot.read import is_lerobot
from motionlab.vla.libero.hdf5 import h5py
from motionlab.vla.splits import split_episodes

MOST_IN_MEMORY = 2 << 30  # bytes of pictures and depths; larger sets are read from their files, moment by moment


@dataclass(frozen=True)
class Demonstrations:
    """All moments, and which episodes are for what.

    Fields:
        frames: of all episodes.
        train, validation: numbers of episodes.
        digest: changes with the files and with the split.
        units: what one unit of an action is.
    """

    frames: LiberoFrames
    files: tuple[Path, ...]
    train: tuple[int, ...]
    validation: tuple[int, ...]
    digest: str
    units: ActionUnits

    def describe(self) -> str:
        """One line for the screen and the report."""
        held_out = len(self.frames.of_episodes(self.validation))
        return (
            f"{len(self.train)} episodes ({len(self.frames) - held_out:,} moments) to learn from, "
            f"{len(self.validation)} held out ({held_out:,} moments)"
        )


def check_vla_data(config: RunConfig) -> VlaRunConfig:
    """Refuse, before anything is written, settings that name no demonstrations.

    Raises:
        InputError: no section vla, or a folder that is not there or holds no demonstrations.
        MissingExtra: h5py, or the simulator that is asked for, is not installed.
    """
    settings = vla_settings(config)
    h5py()
    data = settings.vla_data
    if has_world(settings):
        world_of(settings)
    elif not (data.path is not None and is_lerobot(data.path)):
        hdf5_files(data.path, "vla_data.path")
    return settings


def prepare_demonstrations(config: RunConfig, processes: int = 1) -> Demonstrations:
    """The demonstrations of a run; those of a world are made unless the cache has them.

    Raises:
        InputError: files that cannot be read, or too few episodes to hold some out.
    """
    settings = check_vla_data(config)
    data, vla = settings.vla_data, settings.vla
    if has_world(settings):
        sweep(cache_dir(), depth=2)
        world = world_of(settings)
        files, content, units = world.make_files(processes), [world.key], world.units
    else:
        files, content = files_for_training(data.path, data.lerobot_pictures)
        units = ActionUnits()
    size = vla.image_size if vla.backbone == "tiny_vggt" or data.source == "files" else None
    frames = LiberoFrames(files, views=vla.views, horizon=vla.horizon, image_size=size)
    shares = (1 - data.validation_share, data.validation_share)
    train, validation = split_episodes(len(frames.episodes), data.split_seed, shares, groups=frames.instructions)
    digest = hashlib.sha256(json.dumps([content, vla.image_size, vla.views, train, validation]).encode()).hexdigest()
    return Demonstrations(frames, tuple(files), train, validation, digest, units)


def frames_in_memory(config: VlaRunConfig, data: Demonstrations) -> LiberoFrames:
    """The same moments with their pictures in memory, if they fit."""
    vla = config.vla
    size = len(data.frames) * len(vla.views) * vla.image_size**2 * 5  # bytes: 3 of a colour, 2 of a depth
    return LiberoFrames(
        data.files, views=vla.views, horizon=vla.horizon, image_size=vla.image_size, in_memory=size <= MOST_IN_MEMORY
    )


def require_demonstrations(run: Run, data: Demonstrations) -> None:
    """Make sure that a run began with these demonstrations. Nothing is written.

    Raises:
        InputError: it began with others.
    """
    record = read_record(run.folder)
    changed = difference(record, {"demonstrations": data.digest}) if "demonstrations" in record else ""
    if changed:
        raise InputError(
            run.folder, found=f"a run on other data ({changed})", expected="the demonstrations that are here now",
            fix="Bring back those that it was trained on, or begin a run under another --name.",
        )  # fmt: skip


def bind_demonstrations(run: Run, data: Demonstrations) -> None:
    """Make sure of it, and write it down for a new run."""
    require_demonstrations(run, data)
    record = read_record(run.folder)
    if record.get("demonstrations") != data.digest:
        write_record(run.folder, {**record, "demonstrations": data.digest})
