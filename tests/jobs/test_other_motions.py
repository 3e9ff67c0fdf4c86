"""A run refuses every other corpus than its own, by name, before anything in its folder changes."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from motionlab import cli
from motionlab.data.composed.samples import samples_dir
from motionlab.jobs.ablations.strategy_point import open_ground
from motionlab.jobs.run_folder import Run

pytestmark = pytest.mark.usefixtures("without_pictures")

Change = Callable[[Path], None]


def change_caption(folder: Path) -> None:
    """Another phrase; every feature stays."""
    path = folder / "captions.jsonl"
    path.write_text(path.read_text(encoding="utf-8").replace(" ahead", " onwards"), encoding="utf-8")


def change_features(folder: Path) -> None:
    """A millimetre in one frame; every caption stays."""
    path = folder / "motions" / "walk_forward.npy"
    values = np.load(path)
    values[3, 9] += 0.001
    np.save(path, values)


def leave_one_out(folder: Path) -> None:
    path = folder / "captions.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(line for line in lines if '"name": "run"' not in line), encoding="utf-8")


def sealed(folder: Path, change: Change) -> Path:
    """Samples of the bundled form that their own digests confirm, with a change."""
    shutil.copytree(samples_dir(), folder)
    change(folder)
    path = folder / "provenance.json"
    known = json.loads(path.read_text(encoding="utf-8"))
    for name in known["files"]:
        if (folder / name).is_file():
            known["files"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    path.write_text(json.dumps(known), encoding="utf-8")
    return folder


@pytest.mark.parametrize("recorded", [True, False], ids=["recorded", "record lost"])
@pytest.mark.parametrize("change", [change_caption, change_features, leave_one_out])
def test_every_command_refuses_other_samples(
    finished_run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    change: Change,
    recorded: bool,
) -> None:
    folder = Path(shutil.copytree(finished_run.folder, tmp_path / "runs" / "ci"))
    if not recorded:
        (folder / "made_from.json").unlink()  # the trainings still know
    monkeypatch.setenv("MOTIONLAB_SAMPLES", str(sealed(tmp_path / "samples", change)))
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    out = ["--preset", "ci", "--out", str(tmp_path / "runs")]
    for words in (
        ["evaluate", "--run", str(folder)],
        ["evaluate", "--run", str(folder), "sampling.temperature=0.5"],
        ["run", *out],
        ["run", *out, "sampling.temperature=0.5"],
        ["train", "tokenizer", *out],
        ["train", "tokenizer", *out, "--quantizer", "vq_rotation"],  # a new training in the same run
        ["train", "llama", *out],
        ["ablate", "strategies", "--run", str(folder), "--grid", "steps=1", "--out", str(tmp_path / "s.jsonl")],
    ):
        open_ground.cache_clear()
        with pytest.raises(SystemExit) as ended:
            cli.main(words)
        told = capsys.readouterr().err
        assert ended.value.code == 2 and "found a run on other motions (train " in told, words
        assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before, words
    assert not (tmp_path / "s.jsonl").exists()
