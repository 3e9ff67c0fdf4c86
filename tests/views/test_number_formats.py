"""Formats against torch's own float16 and bfloat16, bit by bit."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from motionlab.errors import InputError
from motionlab.plots.curves import figure_to_png
from motionlab.views.number_formats import FORMATS, bits_figure, gradient_figure, spacing_figure

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@pytest.mark.parametrize("name", DTYPES)
def test_limits_are_torchs(name: str) -> None:
    form, info = FORMATS[name], torch.finfo(DTYPES[name])
    assert (form.largest, form.smallest_normal) == (info.max, info.tiny)
    assert float(form.spacing(torch.tensor(1.0))) == info.eps
    assert form.smallest == info.smallest_normal * info.eps


@pytest.mark.parametrize("name", DTYPES)
@settings(deadline=None)
@given(value=st.floats(-1e6, 1e6) | st.floats(-1e-4, 1e-4))
def test_rounding_and_bits_are_torchs(name: str, value: float) -> None:
    form, dtype = FORMATS[name], DTYPES[name]
    x = torch.tensor(value, dtype=torch.float32)  # both round this number, once
    ours, theirs = form.round(x), x.to(dtype)
    if name != "bf16" and 0 < abs(float(x)) < 2**-126:
        return  # subnormal float32: some processors flush them to 0
    assert float(ours) == float(theirs)
    if math.isfinite(float(theirs)):
        width = 32 if name == "fp32" else 16
        number = theirs.view(torch.int32 if width == 32 else torch.int16).item() & (2**width - 1)
        if float(theirs) != 0:
            assert form.bits(float(theirs)) == f"{number:0{width}b}"


def test_tf32_keeps_ten_digits_of_the_mantissa() -> None:
    bits = FORMATS["tf32"].bits(0.1)
    (whole,) = struct.unpack(">I", struct.pack(">f", np.float32(0.1)))
    assert len(bits) == 19 and bits[:9] == f"{whole:032b}"[:9]
    assert float(FORMATS["tf32"].round(torch.tensor(1 + 2.0**-10))) == 1 + 2.0**-10
    assert float(FORMATS["tf32"].round(torch.tensor(1 + 2.0**-12))) == 1


def test_too_large_is_inf_and_has_no_bits() -> None:
    assert float(FORMATS["fp16"].round(torch.tensor(-2.3819763e38))) == -math.inf
    with pytest.raises(InputError, match="65504"):
        FORMATS["fp16"].bits(70000.0)


def test_figures_show_the_numbers() -> None:
    axes = bits_figure(0.1, ("bf16", "fp16")).axes[0]
    digits = "".join(text.get_text() for text in axes.texts if text.get_text() in "01")
    assert digits == FORMATS["bf16"].bits(0.1) + FORMATS["fp16"].bits(0.1)
    lines = {line.get_label(): line for line in spacing_figure().axes[0].lines}
    assert set(np.asarray(lines["bf16"].get_ydata())) == {2.0**-7} and max(np.asarray(lines["fp16"].get_ydata())) == 1
    gradients = torch.tensor([1e-9, 1e-3, 0.0, 1e-3, 1e-3])
    figure = gradient_figure({"g": gradients})
    legend = figure.axes[0].get_legend()
    assert legend is not None and legend.get_texts()[0].get_text() == "g: 25 % become 0"
    assert figure_to_png(figure).startswith(b"\x89PNG")
