"""Pictures of parameters and memory show the numbers that they are given."""

from __future__ import annotations

import numpy as np
import pytest

from motionlab.config import TokenizerConfig
from motionlab.cost.allocations import record_memory
from motionlab.cost.parameters import tokenizer_parameters
from motionlab.cost.settings import MIB, StepSettings
from motionlab.cost.tokenizer_step import step_memory
from motionlab.plots.curves import figure_to_png
from motionlab.views.memory_figures import COLORS, parameter_figure, parameter_parts, peak_figure, walk_figure


def texts(axes) -> str:
    return " | ".join(text.get_text() for text in axes.texts)


def test_parts_hold_every_parameter_once() -> None:
    parts = parameter_parts(tokenizer_parameters(TokenizerConfig()))
    assert sum(parts.values()) == 11_349_782
    assert parts["quantizer"] == 6_662 and parts["encoder.model.3.1.model.0"] == 1_051_648 and len(parts) == 14


def test_the_parameter_figure_goes_from_input_to_output() -> None:
    axes = parameter_figure(tokenizer_parameters(TokenizerConfig()), title="all").axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names[0] == "encoder.model.1" and names.index("quantizer") == 6 and names[-1] == "decoder.model.5"
    assert "1,051,648" in texts(axes) and axes.get_ylim()[0] > axes.get_ylim()[1]


def test_a_bar_is_as_long_as_the_peak() -> None:
    settings = {"a": StepSettings(batch=8), "b": StepSettings(one_hot=True)}
    memories = {name: step_memory(TokenizerConfig(), step) for name, step in settings.items()}
    figure = peak_figure(
        {name: memory.parts() for name, memory in memories.items()}, measured={"b": 10 * MIB}, limit=300 * MIB
    )
    axes = figure.axes[0]
    ends = [max(bars[i].get_x() + bars[i].get_width() for bars in axes.containers) for i in (0, 1)]
    assert ends == pytest.approx([memories[name].peak / MIB for name in "ab"])
    assert np.asarray(axes.lines[0].get_xdata())[0] == 300
    assert [text.get_text() for text in figure.legends[0].texts].count("measured") == 1


def test_every_part_has_a_colour() -> None:
    assert set(step_memory(TokenizerConfig(), StepSettings()).parts()) == set(COLORS)


def test_the_walk_shows_formula_mark_and_limit() -> None:
    memory = step_memory(TokenizerConfig(), StepSettings())
    axes = walk_figure(memory, measured=370 * MIB, limit=500 * MIB).axes[0]
    assert "peak 372 MiB" in texts(axes) and "forward" in texts(axes) and "backward" in texts(axes)
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.texts][:2] == ["memory there is", "measured peak"]
    assert axes.get_ylim()[1] > 500
    far = walk_figure(memory, limit=5000 * MIB).axes[0]
    legend = far.get_legend()
    assert legend is not None
    assert "memory there is" not in [text.get_text() for text in legend.texts] and far.get_ylim()[1] < 600


def test_the_walk_with_a_record() -> None:
    import torch

    with record_memory() as record:
        with record.phase("forward"):
            tensors = [torch.zeros(MIB // 4) for _ in range(4)]
        with record.phase("backward"):
            tensors.append(torch.zeros(2 * MIB // 4))
            del tensors[:3]
        with record.phase("optimizer"):
            tensors.clear()
    figure = walk_figure(step_memory(TokenizerConfig(), StepSettings()), record)
    upper, lower = figure.axes
    assert "measured peak 6 MiB" in texts(lower) and upper.get_ylim() == lower.get_ylim()
    assert figure_to_png(figure).startswith(b"\x89PNG")
