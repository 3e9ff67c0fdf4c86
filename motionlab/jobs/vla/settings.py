"""The settings of the robot half within those of a run."""

from __future__ import annotations

from motionlab.config import RunConfig, VlaRunConfig
from motionlab.errors import InputError


def vla_settings(config: RunConfig) -> VlaRunConfig:
    """The same config, which has the sections of the robot half.

    Raises:
        InputError: it has none.
    """
    if isinstance(config, VlaRunConfig):
        return config
    raise InputError(
        f"config {config.name}",
        found="settings of text to motion",
        expected="a section vla",
        fix="Use --preset vla, or a file with a section vla.",
    )
