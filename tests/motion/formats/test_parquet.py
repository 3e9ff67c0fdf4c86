"""Rows of Parquet files: features in every kind of list, captions, names; a bad row costs nothing but itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from motionlab.data.composed.samples import samples_dir
from motionlab.errors import InputError
from motionlab.motion.formats.parquet import ROWS_AT_ONCE
from motionlab.motion.formats.read import find_format, read_file
from motionlab.motion.formats.source import Reading
from motionlab.motion.motion import Motion


def read(path: Path) -> list[Reading]:
    return list(read_file(path))


def sample(name: str = "walk") -> Motion:
    return Motion.load(samples_dir() / "motions" / f"{name}.npy")


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
