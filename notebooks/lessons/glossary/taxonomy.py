"""A survey's table: systems of the field on four levels, each with one question.

A cell holds what the source of the system says of itself. A system may serve several aims; the cell names the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from motionlab.errors import InputError


class Level(NamedTuple):
    """A level of the taxonomy: a name, its Chinese one, and the question that it asks."""

    name: str
    chinese: str
    question: str


LEVELS = (
    Level("aim", "目标导向", "what for?"),
    Level("mechanism", "方法机制", "how?"),
    Level("input", "数据与输入", "on what?"),
    Level("layer", "结构与推理层次", "at what level?"),
)

# system -> its place on each level; what it puts out; where it says so
SYSTEMS: dict[str, dict[str, str]] = {
    "VQ-VAE": {
        "aim": "discrete latents", "mechanism": "nearest code", "input": "images, sound",
        "layer": "representation", "output": "tokens", "source": "van den Oord et al. 2017, arXiv:1711.00937",
    },
    "T2M-GPT": {
        "aim": "quality from text", "mechanism": "autoregressive", "input": "text, VQ tokens",
        "layer": "whole body", "output": "tokens", "source": "Zhang et al. 2023, arXiv:2301.06052",
    },
    "MDM": {
        "aim": "variety from text", "mechanism": "diffusion", "input": "text, poses",
        "layer": "whole body", "output": "numbers", "source": "Tevet et al. 2022, arXiv:2209.14916",
    },
    "MoMask": {
        "aim": "quality from text", "mechanism": "masked", "input": "text, residual VQ tokens",
        "layer": "whole body", "output": "tokens", "source": "Guo et al. 2023, arXiv:2312.00063",
    },
    "MotionMillion": {
        "aim": "generalisation by scale", "mechanism": "autoregressive", "input": "text, FSQ tokens",
        "layer": "whole body", "output": "tokens", "source": "Fan et al. 2025, arXiv:2507.07095",
    },
    "OpenVLA": {
        "aim": "generalisation, open weights", "mechanism": "autoregressive", "input": "image, text",
        "layer": "control", "output": "tokens", "source": "Kim et al. 2024, arXiv:2406.09246",
    },
    "pi0": {
        "aim": "dexterity, generalisation", "mechanism": "flow matching", "input": "images, text, state",
        "layer": "control", "output": "numbers", "source": "Black et al. 2024, arXiv:2410.24164",
    },
    "pi0-FAST": {
        "aim": "faster training", "mechanism": "autoregressive", "input": "images, text, state",
        "layer": "control", "output": "tokens", "source": "Pertsch et al. 2025, arXiv:2501.09747",
    },
    "AtlasVLA": {
        "aim": "3D awareness", "mechanism": "regression", "input": "images, text, geometry",
        "layer": "control", "output": "numbers", "source": "its published code of February 2026",
    },
    "RT-2": {
        "aim": "reasoning from the web", "mechanism": "autoregressive", "input": "image, text",
        "layer": "planning and control", "output": "tokens", "source": "Brohan et al. 2023, arXiv:2307.15818",
    },
    "SayCan": {
        "aim": "long tasks", "mechanism": "modular, with RL", "input": "text, image",
        "layer": "planning", "output": "choice of a skill", "source": "Ahn et al. 2022, arXiv:2204.01691",
    },
}  # fmt: skip


def table(systems: Sequence[str] | None = None) -> list[tuple[str, ...]]:
    """Rows for `ml.Table`: a system each, its place on the four levels.

    Raises:
        InputError: a system that the table does not have.
    """
    names = list(SYSTEMS) if systems is None else list(systems)
    for name in names:
        if name not in SYSTEMS:
            raise InputError("system", found=repr(name), expected=", ".join(SYSTEMS), fix="Choose one of these.")
    head = ("system", *(f"{level.question} {level.chinese}" for level in LEVELS))
    return [head, *((name, *(SYSTEMS[name][level.name] for level in LEVELS)) for name in names)]


def groups(level: str) -> dict[str, list[str]]:
    """The field by one level: place -> systems.

    Raises:
        InputError: no such level.

    >>> groups("output")["numbers"]
    ['MDM', 'pi0', 'AtlasVLA']
    """
    if level not in ("output", *(one.name for one in LEVELS)):
        expected = ", ".join(one.name for one in LEVELS)
        raise InputError("level", found=repr(level), expected=expected, fix="Choose one of these.")
    found: dict[str, list[str]] = {}
    for name, system in SYSTEMS.items():
        found.setdefault(system[level], []).append(name)
    return found
