"""LeRobot data sets: what is written comes back, pictures and videos of others, and faults."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from motionlab.errors import InputError, MissingExtra
from motionlab.vla.lerobot import read as reading
from motionlab.vla.lerobot.layout import EPISODES, INFO, ONE_FILE, STATS, TASKS
from motionlab.vla.lerobot.read import episodes_of_tasks, is_lerobot, read_lerobot
from motionlab.vla.lerobot.video import frames_between
from motionlab.vla.lerobot.write import write_lerobot
from motionlab.vla.libero.layout import Episode

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def episode(seed: int, length: int = 5, sentence: str = "pick up the red cube", size: int = 16) -> Episode:
    rng = np.random.default_rng(seed)
    actions = rng.uniform(-1, 1, (length, 7)).astype(np.float32)
    actions[:, 6] = np.where(actions[:, 6] > 0, 1, -1)
    return Episode(
        instruction=sentence,
        actions=actions,
        images={view: rng.integers(0, 256, (length, size, size, 3), np.uint8) for view in ("agentview", "eye_in_hand")},
        ee_pos=rng.normal(size=(length, 3)).astype(np.float32),
        ee_ori=rng.normal(size=(length, 3)).astype(np.float32),
        gripper=rng.normal(size=(length, 2)).astype(np.float32),
    )


EPISODES_OF_TEST = [episode(0), episode(1, 3, "open the drawer"), episode(2, 4)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_lerobot(tmp_path / "set", EPISODES_OF_TEST, fps=10)
    return tmp_path / "set"


def assert_equal(found: Episode, expected: Episode) -> None:
    assert found.instruction == expected.instruction
    for name in ("actions", "ee_pos", "ee_ori", "gripper"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    assert found.images.keys() == expected.images.keys()
    for view, stack in found.images.items():
        np.testing.assert_array_equal(stack, expected.images[view])


def test_what_is_written_comes_back(folder: Path) -> None:
    assert is_lerobot(folder) and not is_lerobot(folder.parent)
    for found, expected in zip(read_lerobot(folder), EPISODES_OF_TEST, strict=True):
        assert_equal(found, expected)
    assert episodes_of_tasks(folder) == {"pick up the red cube": [0, 2], "open the drawer": [1]}
    (second,) = read_lerobot(folder, only=[1])
    assert_equal(second, EPISODES_OF_TEST[1])


def test_the_files_around_the_frames(folder: Path) -> None:
    info = json.loads((folder / INFO).read_text())
    assert (info["total_episodes"], info["total_frames"], info["total_tasks"], info["fps"]) == (3, 12, 2, 10)
    assert set(info["features"]) == set(pq.read_schema(folder / "data" / f"{ONE_FILE}.parquet").names)
    rows = pq.read_table(folder / EPISODES / f"{ONE_FILE}.parquet").to_pylist()
    assert [(row["dataset_from_index"], row["dataset_to_index"]) for row in rows] == [(0, 5), (5, 8), (8, 12)]
    statistics = json.loads((folder / STATS).read_text())
    actions = np.concatenate([one.actions for one in EPISODES_OF_TEST])
    np.testing.assert_allclose(statistics["action"]["mean"], actions.mean(0), atol=1e-6)
    np.testing.assert_allclose(statistics["action"]["std"], actions.std(0), atol=1e-6)
    reds = np.concatenate([one.images["agentview"][..., 0].ravel() for one in EPISODES_OF_TEST]) / 255
    assert statistics["observation.images.image"]["mean"][0][0][0] == pytest.approx(reds.mean())
    assert statistics["index"]["max"] == [11] and statistics["index"]["count"] == [12]


@pytest.mark.parametrize("stored", ["flipped", "rotated"])
def test_pictures_that_are_stored_otherwise_are_turned(folder: Path, stored: Any) -> None:
    found = next(read_lerobot(folder, stored)).images["agentview"]
    expected = EPISODES_OF_TEST[0].images["agentview"]
    np.testing.assert_array_equal(found, expected[:, ::-1] if stored == "flipped" else expected[:, ::-1, ::-1])


def test_the_pictures_of_a_video(folder: Path) -> None:
    """Three episodes in one video; every picture is one grey, so that a codec cannot change which one it is."""
    av = pytest.importorskip("av", reason="av is not installed (extra lerobot)")
    key = "observation.images.image"
    path = folder / "videos" / key / f"{ONE_FILE}.mp4"
    path.parent.mkdir(parents=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10, width=32, height=32, pix_fmt="yuv420p")
        for number in range(12):
            picture = np.full((32, 32, 3), 20 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    info = json.loads((folder / INFO).read_text())
    info["features"][key]["dtype"], info["video_path"] = (
        "video",
        "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
    )
    (folder / INFO).write_text(json.dumps(info))
    rows = pq.read_table(folder / EPISODES / f"{ONE_FILE}.parquet").to_pylist()
    for row in rows:
        where = {"chunk_index": 0, "file_index": 0, "from_timestamp": row["dataset_from_index"] / 10}
        row |= {f"videos/{key}/{name}": value for name, value in where.items()}
    pq.write_table(pa.Table.from_pylist(rows), folder / EPISODES / f"{ONE_FILE}.parquet")
    found = [one.images["agentview"].mean((1, 2, 3)) for one in read_lerobot(folder)]
    np.testing.assert_allclose(np.concatenate(found), 20 * np.arange(12), atol=6)
    rows[2][f"videos/{key}/from_timestamp"] = 9.5
    pq.write_table(pa.Table.from_pylist(rows), folder / EPISODES / f"{ONE_FILE}.parquet")
    with pytest.raises(InputError, match=r"file-000.mp4: found no picture at 9.500 s"):
        list(read_lerobot(folder))
    path.unlink()
    with pytest.raises(InputError, match=r"file-000.mp4: found no file"):
        list(read_lerobot(folder))


def _change_info(folder: Path, change: Any) -> None:
    info = json.loads((folder / INFO).read_text())
    change(info)
    (folder / INFO).write_text(json.dumps(info))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda info: info.update(codebase_version="v2.1"), r"found v2.1, expected v3.0"),
        (lambda info: info["features"]["action"].update(shape=[14]), r"action: found \[14\], expected \[7\]"),
        (lambda info: info["features"].pop("action"), "action: found None"),
        (lambda info: info.update(fps=0), "fps: found 0"),
        (lambda info: info.update(data_path="../{chunk_index}/{file_index}.parquet"), "leaves the folder"),
        (lambda info: info.update(data_path="{other}"), "found no 'other'"),
        (
            lambda info: [info["features"].pop(key) for key in list(info["features"]) if "images" in key],
            r"found no pictures, expected observation.images.image, observation.images.image2",
        ),
    ],
)
def test_a_description_that_does_not_fit(folder: Path, change: Any, message: str) -> None:
    _change_info(folder, change)
    with pytest.raises(InputError, match=message):
        list(read_lerobot(folder))


DATA = f"data/{ONE_FILE}.parquet"


def _zero_and_one(rows: list[Any]) -> None:
    for row in rows:
        row["action"][6] = float(row["action"][6] > 0)


def _change_rows(path: Path, change: Any) -> None:
    rows = pq.read_table(path).to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows), path)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (DATA, lambda rows: rows[6]["action"].__setitem__(0, float("nan")), "episode 1: action: found NaN"),
        (DATA, lambda rows: rows[6].update(task_index=7), "episode 1: task_index: found"),
        (DATA, lambda rows: rows.pop(), "episode 2: found 3 frames, expected 4"),
        (DATA, _zero_and_one, "a gripper of 0 and 1"),
        (f"{EPISODES}/{ONE_FILE}.parquet", lambda rows: [row.pop("length") for row in rows], "found no 'length'"),
        (TASKS, lambda rows: rows[1].update(task=" "), "row 1: found ' ', expected a sentence"),
    ],
)
def test_tables_that_do_not_fit(folder: Path, name: str, change: Any, message: str) -> None:
    _change_rows(folder / name, change)
    with pytest.raises(InputError, match=message):
        list(read_lerobot(folder))


def test_arguments_and_folders(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="pictures: found 'mirrored', expected upright, flipped, rotated"):
        read_lerobot(folder, "mirrored")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"info.json: found no file"):
        read_lerobot(tmp_path / "nothing")
    with pytest.raises(InputError, match="found content, expected a new folder"):
        write_lerobot(folder, EPISODES_OF_TEST)
    faults = {
        "no episode": [],
        r"episode 1: found \{'agentview'": [episode(0), episode(1, size=8)],
        "no state of the hand": [replace(episode(0), gripper=None)],
    }
    for message, episodes in faults.items():
        with pytest.raises(InputError, match=message):
            write_lerobot(tmp_path / "new", episodes)
        assert not (tmp_path / "new").exists(), "nothing half written"


@pytest.mark.parametrize(("module", "name"), [("pyarrow.parquet", "pyarrow"), ("av", "av")])
def test_without_a_package_the_extra_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, module: str, name: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtra, match=rf'{name} is not installed.*pip install "motionlab\[lerobot\]"'):
        if name == "av":
            frames_between(folder / "any.mp4", 0.0, 1, 10)
        list(read_lerobot(folder))


def test_turns_are_their_own_inverse() -> None:
    pictures = EPISODES_OF_TEST[0].images["agentview"]
    for turn in reading.TURNS.values():
        np.testing.assert_array_equal(turn(turn(pictures)), pictures)
