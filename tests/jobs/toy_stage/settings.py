"""The settings of the toy stage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from motionlab.config.fields import Section, setting


@dataclass
class ToyConfig(Section):
    """A sum of two numbers, learned."""

    NAME: ClassVar[str] = "toy"

    width: int = setting(4, "hidden numbers", at_least=1)
