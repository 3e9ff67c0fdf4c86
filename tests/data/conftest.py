"""The bundled clips, and those that the corpus is made from."""

import pytest

from motionlab.data.plan import usable_samples
from motionlab.data.samples import Sample, load_samples


@pytest.fixture(scope="session")
def samples() -> list[Sample]:
    return load_samples()


@pytest.fixture(scope="session")
def usable(samples) -> list[Sample]:
    return usable_samples(samples)
