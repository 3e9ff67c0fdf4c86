"""Places of joints as CSV: every kind of header gives the same places, names and times."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from motionlab.data.composed.samples import samples_dir
from motionlab.errors import InputError
from motionlab.motion.formats.joints_csv import find_layout
from motionlab.motion.formats.read import find_format, read_file
from motionlab.motion.formats.source import Reading, ReadOptions, SourceMotion
from motionlab.motion.motion import Motion
from motionlab.motion.skeleton import JOINT_NAMES, PARENTS

FRAMES = 12


@pytest.fixture(scope="module")
def places() -> np.ndarray:
    return Motion.load(samples_dir() / "motions" / "dance_a.npy").joints()[:FRAMES].double().numpy()


def read(path: Path, **options: Any) -> tuple[SourceMotion, Reading]:
    (reading,) = read_file(path, ReadOptions(**options))
    assert isinstance(reading.motion, SourceMotion)
    return reading.motion, reading


def table(places: np.ndarray, first: list[float] | None = None) -> list[list[float]]:
    start = [[]] * FRAMES if first is None else [[value] for value in first]
    return [[*begin, *row.ravel().tolist()] for begin, row in zip(start, places, strict=True)]


def write(path: Path, head: list[list[str]], rows: list[list[Any]], mark: str = ",") -> Path:
    path.write_text(
        "\n".join(mark.join(str(cell) for cell in row) for row in [*head, *rows]) + "\n", encoding="utf-8-sig"
    )
    return path


@pytest.mark.parametrize("pattern", ["{}_{}", "{}.{}", "{} {}", "{}{}", "{}_pos_{}", "{1}_{0}", "{}:{}"])
def test_three_columns_a_joint(tmp_path: Path, places: np.ndarray, pattern: str) -> None:
    axes = "XYZ" if pattern == "{}{}" else "xyz"
    head = ["time", *(pattern.format(name, axis) for name in JOINT_NAMES for axis in axes)]
    path = write(tmp_path / "a.csv", [head], table(places, [i / 25 for i in range(FRAMES)]))
    assert find_format(path).name == "joints as CSV"
    found, reading = read(path)
    assert np.array_equal(found.positions.numpy(), places) and found.joints == JOINT_NAMES and found.parents == PARENTS
    assert found.fps == pytest.approx(25.0) and reading.notes == ()


def test_columns_in_another_order_and_other_columns(tmp_path: Path, places: np.ndarray) -> None:
    head = ["index", "confidence"] + [f"{name}_{axis}" for axis in "zyx" for name in JOINT_NAMES]
    rows = [["", "high", *row[:, ::-1].T.ravel().tolist()] for row in places]
    for number, row in enumerate(rows):
        row[0] = number
    found, _ = read(write(tmp_path / "a.tsv", [head], rows, "\t"), fps=30)
    assert np.array_equal(found.positions.numpy(), places)


def test_two_rows_of_header_and_lost_frames(tmp_path: Path, places: np.ndarray) -> None:
    head = [["", *(cell for name in JOINT_NAMES for cell in (name, "", ""))], ["Frame", *["X", "Y", "Z"] * 22]]
    path = write(tmp_path / "a.csv", head, table(places, [1, 2, 3, 4, 5, 6, 10, 11, 12, 13, 14, 15]))
    found, _ = read(path, fps=100)
    assert np.array_equal(found.positions.numpy(), places) and found.joints == JOINT_NAMES
    assert float(found.times[6] - found.times[5]) == pytest.approx(0.04)


def test_one_row_a_joint(tmp_path: Path, places: np.ndarray) -> None:
    rows = [
        [i * 40, name, *place]
        for i, row in enumerate(places.tolist())
        for name, place in zip(JOINT_NAMES, row, strict=True)
    ]
    found, _ = read(write(tmp_path / "a.csv", [["time_ms", "joint", "x", "y", "z"]], rows))
    assert np.array_equal(found.positions.numpy(), places) and found.fps == pytest.approx(25.0)
    rows[30], rows[31] = rows[31], rows[30]
    with pytest.raises(InputError, match="out of order"):
        read(write(tmp_path / "a.csv", [["time_ms", "joint", "x", "y", "z"]], rows))


def test_decimal_commas_and_no_header(tmp_path: Path, places: np.ndarray) -> None:
    rows = [[str(value).replace(".", ",") for value in row] for row in table(places)]
    found, reading = read(write(tmp_path / "a.csv", [], rows, ";"), fps=30)
    assert np.array_equal(found.positions.numpy(), places) and found.joints == JOINT_NAMES
    assert "names no joints" in reading.notes[0]


@pytest.mark.parametrize(
    "head",
    [
        ["name", "caption"],
        ["index", "max", "why"],
        ["x", "y", "z"],
        ["1.0"] * 36,
        ["a_x", "a_y"],
        [""],
        ["time", "x_y"],
    ],
)
def test_other_tables_are_not_motions(tmp_path: Path, head: list[str]) -> None:
    assert find_layout([head, ["1"] * len(head)]) is None
    with pytest.raises(InputError, match="a file of no known format"):
        find_format(write(tmp_path / "a.csv", [head], [[1] * len(head)]))


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ([1.0] * 20, "'20 columns' in row 4"),
        (["left", *[1.0] * 66], "'left' in row 4"),
        ([1.0, *["nan"] * 66], "nan in frame 2"),
    ],
)
def test_wrong_rows(tmp_path: Path, places: np.ndarray, row: list[Any], words: str) -> None:
    head = ["time", *(f"{name}_{axis}" for name in JOINT_NAMES for axis in "xyz")]
    with pytest.raises(InputError, match=words):
        read(write(tmp_path / "a.csv", [head], [*table(places, list(range(FRAMES)))[:2], row]))
