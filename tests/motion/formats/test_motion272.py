"""272 features, alone and in our archives: metres only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from motionlab.data.composed.samples import load_samples, samples_dir
from motionlab.errors import InputError
from motionlab.motion.formats.physical import has_bones
from motionlab.motion.formats.read import read_file
from motionlab.motion.formats.source import Reading, ReadOptions
from motionlab.motion.motion import Motion
from motionlab.motion.normalizer import Normalizer


def read(path: Path, **options: Any) -> list[Reading]:
    return list(read_file(path, ReadOptions(**options)))


def sample(name: str = "walk") -> Motion:
    return Motion.load(samples_dir() / "motions" / f"{name}.npy")


@pytest.mark.parametrize("dtype", [np.float32, np.float64, ">f8"])
def test_an_npy(tmp_path: Path, dtype: Any) -> None:
    np.save(tmp_path / "a.npy", sample().features.numpy().astype(dtype))
    (reading,) = read(tmp_path / "a.npy")
    assert isinstance(reading.motion, Motion) and torch.equal(reading.motion.features, sample().features)
    assert reading.motion.fps == 30.0 and "30 frames a second were taken" in reading.notes[0]
    (reading,) = read(tmp_path / "a.npy", fps=60)
    assert isinstance(reading.motion, Motion) and reading.motion.fps == 60.0 and reading.notes == ()


def test_our_archive_says_its_rate(tmp_path: Path) -> None:
    Motion(sample().features, fps=50.0, name="home").save(tmp_path / "a.npz")
    (reading,) = read(tmp_path / "a.npz")
    assert isinstance(reading.motion, Motion)
    assert (reading.motion.fps, reading.motion.name, reading.notes) == (50.0, "home", ())


def test_normalised_features_are_refused(tmp_path: Path) -> None:
    clips = load_samples()
    normalizer = Normalizer.fit([clip.motion.features for clip in clips])
    for clip in clips:
        assert has_bones(clip.motion.joints())
        np.save(tmp_path / "a.npy", clip.motion.features.numpy())
        read(tmp_path / "a.npy")
        np.save(tmp_path / "a.npy", normalizer.normalize(clip.motion.features).numpy())
        with pytest.raises(InputError, match="features that were normalised"):
            read(tmp_path / "a.npy")
    normalizer.normalize(sample()).save(tmp_path / "a.npz")
    with pytest.raises(InputError, match="features that were normalised"):
        read(tmp_path / "a.npz")


def test_wrong_numbers(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((0, 272)))
    with pytest.raises(InputError, match=r"shape \(0, 272\)"):
        read(tmp_path / "a.npy")
    np.save(tmp_path / "a.npy", sample().features.numpy() * np.float32(1e9))
    with pytest.raises(InputError, match="features in metres"):
        read(tmp_path / "a.npy")
