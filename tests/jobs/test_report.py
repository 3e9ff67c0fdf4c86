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
