"""Demonstrations from one layout to the other and back, and a training from a LeRobotDataset."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from motionlab import cli
from motionlab.cli import app
from motionlab.config import load_config
from motionlab.errors import InputError
from motionlab.files import sha256
from motionlab.jobs.vla import demonstration_files
from motionlab.jobs.vla.data import prepare_demonstrations
from motionlab.jobs.vla.demonstration_files import SUMS, convert_demonstrations
from motionlab.vla.libero.read import read_libero
from motionlab.vla.table_lab.env import TASKS

pytest.importorskip("h5py")
pytest.importorskip("pyarrow")


@pytest.fixture(scope="module")
def table_lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demonstrations") / "hdf5"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("motionlab.jobs.vla.demonstration_files.DemonstrationSettings", _small)
        convert_demonstrations("table_lab", out, per_task=2)
    return out


def _small(**settings: Any) -> Any:
    from motionlab.vla.demonstrations import DemonstrationSettings

    return DemonstrationSettings(**{**settings, "image_size": 16})


def test_there_and_back(table_lab: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["demos", str(table_lab), "--out", str(tmp_path / "lerobot")])
    assert done.exit_code == 0 and "in the layout of lerobot" in done.output, done.output
    said = convert_demonstrations(tmp_path / "lerobot", tmp_path / "hdf5")
    assert "3 files" in said and "in the layout of hdf5" in said
    before = [episode for path in sorted(table_lab.glob("*.hdf5")) for episode in read_libero(path)]
    after = [episode for path in sorted((tmp_path / "hdf5").glob("*.hdf5")) for episode in read_libero(path)]
    assert len(before) == len(after) == 6
    assert {episode.instruction for episode in after} == set(TASKS)
    for old, new in zip(before, after, strict=True):
        assert old.instruction == new.instruction and not new.depth and new.executed is None
        for name in ("actions", "ee_pos", "ee_ori", "gripper"):
            np.testing.assert_array_equal(getattr(old, name), getattr(new, name))
        for view, pictures in old.images.items():
            np.testing.assert_array_equal(new.images[view], pictures)


def test_a_run_takes_the_folder_as_it_is(table_lab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTIONLAB_CACHE", str(tmp_path / "cache"))
    convert_demonstrations(table_lab, tmp_path / "lerobot", "lerobot")
    settings = ["vla_data.source=files", f"vla_data.path={tmp_path / 'lerobot'}", "vla_data.validation_share=0.5"]
    config = load_config("vla_ci", settings)
    first = prepare_demonstrations(config)
    sums = first.files[0].with_name(SUMS)
    assert list(json.loads(sums.read_text()).values()) == [sha256(path) for path in first.files]
    read: list[Path] = []
    monkeypatch.setattr(demonstration_files, "sha256", lambda path: [read.append(path), sha256(path)][1])
    again = prepare_demonstrations(config)
    assert read and not set(read) & set(first.files), "the dataset is read, what was made from it is not read again"
    sums.unlink()  # as an older version left it
    assert prepare_demonstrations(config).digest == first.digest
    assert set(first.frames.instructions) == set(TASKS) and first.digest == again.digest
    other = prepare_demonstrations(load_config("vla_ci", [*settings, "vla_data.lerobot_pictures=flipped"]))
    assert other.digest != first.digest
    np.testing.assert_array_equal(other.frames[0].images.numpy(), first.frames[0].images.numpy()[:, :, ::-1])


def test_a_bad_folder_ends_a_run_before_it_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MOTIONLAB_CACHE", str(tmp_path / "cache"))
    (tmp_path / "old" / "meta").mkdir(parents=True)
    (tmp_path / "old" / "meta" / "info.json").write_text('{"codebase_version": "v2.1", "fps": 10, "features": {}}')
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "a_b_demo.hdf5").write_bytes(b"no HDF5")
    for name, message in (("old", "found v2.1, expected v3.0"), ("torn", "a_b_demo.hdf5: found")):
        words = ["vla_data.source=files", f"vla_data.path={tmp_path / name}"]
        with pytest.raises(SystemExit) as stop:
            cli.main(["run", "--preset", "vla_ci", "--out", str(tmp_path / "runs"), *words])
        assert stop.value.code == 2
        assert message in capsys.readouterr().err
        assert not [path for path in (tmp_path / "runs").rglob("*") if path.is_file()]


def test_faults(table_lab: Path, tmp_path: Path) -> None:
    faults: dict[str, tuple[Any, ...]] = {
        "found content, expected a new folder": (table_lab, table_lab),
        "demonstrations: found .*nowhere, expected a folder": (tmp_path / "nowhere", tmp_path / "out"),
        "found neither, expected files in LIBERO's layout": (tmp_path, tmp_path / "out"),
        "to: found 'rlds', expected hdf5, lerobot": (table_lab, tmp_path / "out", "rlds"),
    }
    for message, arguments in faults.items():
        with pytest.raises(InputError, match=message):
            convert_demonstrations(*arguments)
        assert not (tmp_path / "out").exists()
