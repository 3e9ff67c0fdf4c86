"""The weights that a training starts with."""

from __future__ import annotations

import pytest
import torch

from motionlab.llama.model import MotionLlama


def test_initial_weights() -> None:
    model = MotionLlama(1000, n_layer=8, n_head=4, dim=128, text_dim=64)
    expected = {"lm_head": 0.02, "wte": 0.02, "c_attn": 0.02, "c_fc": 0.02, "llama_proj": 0.02, "c_proj": 0.02 / 4}
    for name, parameter in model.named_parameters():
        if parameter.dim() == 2:
            std = next(value for part, value in expected.items() if part in name)
            assert float(parameter.detach().std()) == pytest.approx(std, rel=0.1), name
        else:
            assert torch.equal(parameter, torch.full_like(parameter, 0.0 if name.endswith("bias") else 1.0)), name
