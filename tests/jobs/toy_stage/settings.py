"""The settings of the toy stage."""

from __future__ import annotations

from dataclasses import dataclass

from motionlab.config import option, require


@dataclass
class ToyConfig:
    """A sum of two numbers, learned."""

    width: int = option(4, "hidden numbers")

    def __post_init__(self) -> None:
        require("width", self.width, self.width >= 1, "1 or more")
