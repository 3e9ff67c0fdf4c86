"""The bundled clips, and those that the corpus is made from."""

import shutil
from pathlib import Path

import pytest

from motionlab.data.composed.plan import usable_samples
from motionlab.data.composed.samples import Sample, load_samples, samples_dir


@pytest.fixture(scope="session")
def samples() -> list[Sample]:
    return load_samples()


@pytest.fixture(scope="session")
def usable(samples) -> list[Sample]:
    return usable_samples(samples)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of the folder, to be broken."""
    folder = tmp_path / "data_samples"
    shutil.copytree(samples_dir(), folder)
    return folder
