"""The report shows motions as they were written."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from motionlab.errors import InputError
from motionlab.jobs.report import write_report
from motionlab.jobs.run_folder import Run


def test_a_motion_that_changed_is_not_shown(finished_run: Run, tmp_path: Path) -> None:
    run = Run.open(shutil.copytree(finished_run.folder, tmp_path / "run"))
    path = next(iter(sorted((run.folder / "motions").glob("*-generated.npy"))))
    content = bytearray(path.read_bytes())
    content[-4] ^= 1  # the last bit of a number
    path.write_bytes(bytes(content))
    with pytest.raises(InputError, match=rf"{path.name}: found changed content.*motionlab evaluate --run"):
        write_report(run)


@pytest.mark.parametrize("rows", [0, 1])
def test_a_training_without_validation_has_a_report(finished_run: Run, tmp_path: Path, rows: int) -> None:
    """Its history has no column of validation: there was nothing to validate on, or no row yet."""
    run = Run.open(shutil.copytree(finished_run.folder, tmp_path / "run"))
    for path in run.folder.glob("*/history.csv"):
        path.with_suffix(".jsonl").unlink()
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        names = lines[0].strip().split(",")
        assert any(name.startswith("val_") for name in names)
        kept = [i for i, name in enumerate(names) if not name.startswith("val_")]
        cut = (",".join(line.strip().split(",")[i] for i in kept) + "\n" for line in lines[: rows + 1])
        path.write_text("".join(cut), encoding="utf-8")
    page = write_report(run).read_text(encoding="utf-8")
    assert "validation loss at the best step" not in page
    assert ("training speed, last row" in page) == (rows > 0)
