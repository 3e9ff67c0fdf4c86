"""272 features, alone, in our archives and in Parquet rows; and numpy files and pickles that are refused."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from motionlab.data.composed.samples import load_samples, samples_dir
from motionlab.errors import InputError
from motionlab.motion.formats.parquet import ROWS_AT_ONCE
from motionlab.motion.formats.physical import has_bones
from motionlab.motion.formats.read import find_format, read_file
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


def test_unknown_arrays_are_listed(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", betas=np.zeros(16), faces=np.zeros((4, 3), dtype=int))
    with pytest.raises(InputError, match=r"found betas \(16,\), faces \(4, 3\), expected \[T, 272\]"):
        read(tmp_path / "a.npz")


class Trap:
    """Unpickling one is seen."""

    opened = False

    def __reduce__(self) -> Any:
        return _spring, ()


def _spring() -> str:
    Trap.opened = True
    return ""


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".pkl", ".pt", ".p"])
def test_pickles_are_refused_unopened(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    if suffix == ".npy":
        np.save(path, np.array(Trap(), dtype=object))
    elif suffix == ".npz":
        np.savez(path, motion=np.array(Trap(), dtype=object))
    else:
        path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(InputError, match="pickled Python objects") as caught:
        read(path)
    assert "np.savez" in caught.value.fix and not Trap.opened


def test_a_real_poselib_file_is_refused(real_motion: Callable[[str], Path]) -> None:
    with pytest.raises(InputError, match="pickled Python objects") as caught:
        read(real_motion("poselib_pickled_walk.npy"))
    assert "global_translation" in caught.value.fix


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY\x01\x00", b"{}"])
def test_damaged_files(tmp_path: Path, content: bytes) -> None:
    for name in ("a.npy", "a.npz"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=name):
            read(tmp_path / name)


def parquet(path: Path, columns: dict[str, Any], **options: Any) -> Path:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    pq.write_table(pa.table(columns), path, **options)
    return path


@pytest.mark.parametrize("kind", ["list", "fixed", "large", "flat", "flat64"])
def test_rows_of_a_parquet_file(tmp_path: Path, kind: str) -> None:
    pa = pytest.importorskip("pyarrow")
    names = ("walk", "run", "walk_forward")
    clips = [sample(name).features.numpy() for name in names]
    types = {
        "list": pa.list_(pa.list_(pa.float32())),
        "fixed": pa.list_(pa.list_(pa.float32(), 272)),
        "large": pa.large_list(pa.large_list(pa.float64())),
        "flat": pa.list_(pa.float32()),
        "flat64": pa.large_list(pa.float64()),
    }
    values = pa.array([clip.ravel() if kind.startswith("flat") else clip.tolist() for clip in clips], type=types[kind])
    captions = [["one", " two "], None, ["three"]]
    path = parquet(
        tmp_path / "a.parquet", {"motion": values, "caption": captions, "text": ["x", "", "y"], "name": names}
    )
    readings = read(path)
    assert [reading.captions for reading in readings] == [("one", "two", "x"), (), ("three", "y")]
    for reading, name, clip in zip(readings, names, clips, strict=True):
        assert isinstance(reading.motion, Motion) and reading.motion.name == name
        assert np.array_equal(reading.motion.features.numpy(), clip)


def test_parquet_rows_are_read_as_they_are_asked_for(tmp_path: Path) -> None:
    clip = sample().features.numpy().ravel()
    count = 3 * ROWS_AT_ONCE
    path = parquet(tmp_path / "a.parquet", {"motion": [clip] * count, "fps": [20] * count}, row_group_size=5)
    rows = read_file(path)
    first = next(rows).motion
    assert isinstance(first, Motion) and first.fps == 20.0 and first.name == "a_0"
    assert len(list(rows)) == count - 1


def test_a_bad_row_leaves_the_others(tmp_path: Path) -> None:
    clip = sample().features.numpy().ravel().tolist()
    motions = [clip, None, [1.0] * 272 * 3, clip[:-1], clip]
    rows = read_file(parquet(tmp_path / "a.parquet", {"motion": motions}))
    assert [getattr(next(rows).motion, "name", "") for _ in range(2)] == ["a_0", "a_4"]
    with pytest.raises(InputError, match="3 of 5 rows that cannot be read; the first: .*row 1"):
        next(rows)


def test_wrong_parquet_files(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    with pytest.raises(InputError, match="columns caption"):
        read(parquet(tmp_path / "a.parquet", {"caption": ["x"]}))
    (tmp_path / "a.parquet").write_bytes(b"PAR1 nothing else")
    with pytest.raises(InputError, match=r"a\.parquet"):
        read(tmp_path / "a.parquet")
    assert find_format(tmp_path / "a.parquet").extra == "parquet"
