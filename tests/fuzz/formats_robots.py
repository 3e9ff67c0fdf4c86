"""Demonstrations of robots, in the HDF5 layout of LIBERO."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from motionlab.vla.demonstrations import DemonstrationSettings, demonstrate
from motionlab.vla.libero.layout import Episode
from motionlab.vla.libero.read import read_libero
from motionlab.vla.libero.write import write_libero
from tests.fuzz.registry import Format, register

NAME = "demo.hdf5"


def _make(folder: Path) -> list[Path]:
    settings = DemonstrationSettings(per_task=1, image_size=8)
    write_libero(folder / NAME, [demonstrate(settings, (0, 0))])
    return [folder / NAME]


def _check(episodes: list[Episode]) -> None:
    assert episodes
    for episode in episodes:
        length = len(episode.actions)
        assert length > 0 and episode.instruction.strip() and episode.images
        assert episode.actions.shape == (length, 7) and np.isfinite(episode.actions).all()
        assert set(np.unique(episode.actions[:, 6])) <= {-1.0, 1.0}
        for pictures in episode.images.values():
            assert pictures.dtype == np.uint8 and len(pictures) == length and pictures.shape[3] == 3
        for rows in (episode.ee_pos, episode.ee_ori, episode.gripper, episode.executed, episode.states):
            assert rows is None or (len(rows) == length and np.isfinite(rows).all())


register(Format("libero", _make, lambda folder: read_libero(folder / NAME), _check, ("bytes",)))
