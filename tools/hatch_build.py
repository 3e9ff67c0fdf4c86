"""Build hook: a wheel carries data_samples/ inside the package, and an editable install does not.

`force-include` in pyproject.toml would copy the samples for editable installs as well, and the copy would grow old.
"""

from __future__ import annotations

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class SamplesHook(BuildHookInterface):  # type: ignore[misc, unused-ignore]  # hatchling may be missing
    """Called by hatchling before it builds a wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """`version` is "standard" or "editable"."""
        if version == "standard":
            build_data["force_include"]["data_samples"] = "motionlab/data_samples"
