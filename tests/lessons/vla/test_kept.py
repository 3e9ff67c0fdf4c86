"""Numbers and films of a finished main job, as the lesson keeps them."""

from __future__ import annotations

from pathlib import Path

import pytest

from lessons.vla import kept
from motionlab.config import load_config
from motionlab.errors import InputError
from motionlab.jobs.run_folder import Run
from motionlab.jobs.vla.job import run_vla

pytest.importorskip("h5py")


def test_a_finished_run_is_kept_with_two_films_of_one_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MOTIONLAB_CACHE", str(tmp_path / "cache"))
    folder = run_vla(load_config("vla_ci", ["vla_evaluation.control_per_task=1"]), tmp_path / "run").parent
    out = tmp_path / "vla.json"
    kept.keep(out, folder)
    (run,), films = kept.load_kept(out)["runs"], kept.load_kept(out)["films"]
    assert run["steps"] == {"vla_pretrain": 6, "vla": 8} and run["overall"]["success"][3] == 3
    steps, losses = kept.curve(out, "vla", "loss")
    assert steps == [float(step) for step in range(1, 9)] and all(loss > 0 for loss in losses)
    upright, rotated = (kept.film_pictures(tmp_path / name) for name in films)
    assert upright[0].shape == rotated[0].shape and (upright[0] != rotated[0]).any()
    for rows in (kept.success_rows(out), kept.control_rows(out), kept.loss_rows(out), kept.second_rows(out)):
        assert len({len(row) for row in rows}) == 1
    Run.open(folder)  # as it was
    (folder / "metrics.json").unlink()
    with pytest.raises(InputError, match="no trials"):
        kept.keep(out, folder)
