"""Encoders by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from motionlab.errors import InputError
from motionlab.text.load import load_text_encoder


def test_kinds(byt5_folder: Path) -> None:
    assert load_text_encoder("minilm", max_tokens=48).max_tokens == 48
    assert load_text_encoder("minilm", pooled=True).name.endswith("pooled")
    assert load_text_encoder("t5", byt5_folder).dim == 16


@pytest.mark.parametrize("arguments", [{"kind": "clip"}, {"kind": "t5"}])
def test_names_the_three_choices(arguments: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="minilm.*T5.*already in the cache"):
        load_text_encoder(**arguments)


def test_pooled_t5(byt5_folder: Path) -> None:
    pooled, words = (load_text_encoder("t5", byt5_folder, pooled=pooled).encode(["runs"]) for pooled in (True, False))
    mean = words.states.mean(1, keepdim=True)
    torch.testing.assert_close(pooled.states, mean / mean.norm())
    assert load_text_encoder("t5", byt5_folder, pooled=True).name.endswith("-pooled")
