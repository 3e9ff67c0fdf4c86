"""A wrong name, and packages that are missing, are told before any work."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import pytest

from motionlab.errors import InputError, MissingExtra
from motionlab.llama.decoding.engine.packages import check_engine
from motionlab.llama.decoding.generate import generate
from motionlab.llama.decoding.sampling import Sampling
from motionlab.llama.model import MotionLlama
from motionlab.text.encoder import TextFeatures


def test_an_unknown_engine(make_model: Callable[..., MotionLlama], text: TextFeatures) -> None:
    with pytest.raises(InputError, match="engine: found 'tensorrt', expected torch or onnx or onnx-int8"):
        generate(make_model(), text.states, text.mask, Sampling(max_tokens=3), engine="tensorrt")


@pytest.mark.parametrize("absent", ["onnx", "onnxruntime"])
def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch, absent: str) -> None:
    original = importlib.util.find_spec

    def find(name: str, *rest: Any) -> Any:
        return None if name == absent else object() if name in ("onnx", "onnxruntime") else original(name, *rest)

    monkeypatch.setattr(importlib.util, "find_spec", find)
    check_engine("torch")  # needs neither
    with pytest.raises(MissingExtra, match=rf"{absent} is not installed.*motionlab\[fast\]"):
        check_engine("onnx")
