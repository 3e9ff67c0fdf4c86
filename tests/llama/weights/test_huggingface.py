"""Hugging Face models: equal logits in both directions, whole folders, and clear refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from motionlab.errors import InputError
from motionlab.llama.decoding.generate import generate
from motionlab.llama.decoding.sampling import Sampling
from motionlab.llama.masks import prefix_mask
from motionlab.llama.model import MotionLlama
from motionlab.llama.rope import RopeSettings
from motionlab.llama.rope_scaling import LinearScaling, Llama3Scaling, NTKScaling
from motionlab.llama.weights.huggingface import body_from_huggingface, from_huggingface, to_huggingface
from motionlab.text.encoder import TextFeatures

transformers = pytest.importorskip("transformers")
Make = Callable[..., MotionLlama]
NO_TEXT = torch.zeros(2, 0, 6), torch.zeros(2, 0, dtype=torch.bool)

VARIANTS: dict[str, dict[str, Any]] = {
    "mha": {"n_kv_heads": 4},
    "gqa": {"n_kv_heads": 2},
    "mqa": {"n_kv_heads": 1},
    "theta": {"rope": RopeSettings(500.0), "norm_eps": 1e-6},
    "linear": {"rope": RopeSettings(scaling=LinearScaling(3.0))},
    "ntk": {"rope": RopeSettings(scaling=NTKScaling(3.0))},
    "llama3": {"rope": RopeSettings(scaling=Llama3Scaling(4.0, original_length=16))},
    "tied": {"tied_embeddings": True, "n_kv_heads": 2},
    "qk_norm": {"qk_norm": True, "n_kv_heads": 2},
}


@pytest.fixture(params=VARIANTS)
def model(request: pytest.FixtureRequest, make_model: Make) -> MotionLlama:
    return make_model(**VARIANTS[request.param]).eval()


@torch.no_grad()
def test_logits_are_equal_there_and_back(model: MotionLlama) -> None:
    tokens = torch.randint(22, (2, 40), generator=torch.Generator().manual_seed(0))
    ours = model(tokens, *NO_TEXT)
    theirs = to_huggingface(model)
    logits = theirs(tokens).logits
    assert logits.shape == (2, 40, 22)
    torch.testing.assert_close(logits[..., :21], ours, rtol=0, atol=1e-5)
    back = from_huggingface(theirs, text_dim=6, max_length=48)
    torch.testing.assert_close(back(tokens, *NO_TEXT), ours, rtol=0, atol=1e-5)
    assert back.tied_embeddings == model.tied_embeddings and back.qk_norm == model.qk_norm


@torch.no_grad()
def test_text_goes_in_as_embeddings_with_a_4d_mask(make_model: Make, text: TextFeatures) -> None:
    model = make_model(n_kv_heads=2).eval()
    tokens = torch.randint(20, (4, 16), generator=torch.Generator().manual_seed(0))
    front = torch.where(text.mask[..., None], model.llama_proj(text.states), model.transformer["wte"](tokens[:, :7]))
    embeddings = torch.cat([front, model.transformer["wte"](tokens[:, 7:])], dim=1)
    logits = to_huggingface(model)(inputs_embeds=embeddings, attention_mask=prefix_mask(text.mask, 16)).logits
    torch.testing.assert_close(logits[..., :21], model(tokens, text.states, text.mask), rtol=0, atol=1e-5)


def test_their_generate_writes_the_same_codes(make_model: Make) -> None:
    """One text token: the prefix mask of a single position is the causal one."""
    model = make_model(n_kv_heads=2).eval()
    states = torch.randn(1, 1, 6, generator=torch.Generator().manual_seed(1))
    ours = generate(model, states, torch.ones(1, 1), Sampling(max_tokens=20, min_tokens=0, greedy=True))[0]
    theirs: Any = to_huggingface(model)
    made = theirs.generate(
        inputs_embeds=model.llama_proj(states), attention_mask=torch.ones(1, 1), max_new_tokens=20, do_sample=False
    )[0]
    ends = (made == model.end_token).nonzero()
    assert ours.tokens.tolist() == made[: int(ends[0]) if len(ends) else None].tolist()


def test_the_layouts_differ(make_model: Make) -> None:
    """Without the reordering of rows the logits would be far off: the test above must not pass by luck."""
    model = make_model().eval()
    theirs = to_huggingface(model)
    query, key, _ = model.get_parameter("transformer.h.0.attn.c_attn.weight").split((32, 32, 32))
    theirs.model.layers[0].self_attn.q_proj.weight.data = query.detach().clone()
    theirs.model.layers[0].self_attn.k_proj.weight.data = key.detach().clone()
    tokens = torch.arange(20).expand(2, 20)
    assert (theirs(tokens).logits[..., :21] - model(tokens, *NO_TEXT)).abs().max() > 0.1


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A public LLaMA in small: words, GQA, bfloat16, in two files."""
    config = transformers.LlamaConfig(
        vocab_size=50,
        hidden_size=32,
        intermediate_size=40,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        rms_norm_eps=1e-6,
        rope_parameters={
            "rope_type": "llama3",
            "rope_theta": 5e5,
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 16,
        },
    )
    torch.manual_seed(0)
    transformers.LlamaForCausalLM(config).bfloat16().save_pretrained(tmp_path, max_shard_size="10KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    return tmp_path


@torch.no_grad()
def test_a_public_folder_becomes_the_body(folder: Path) -> None:
    model = body_from_huggingface(folder, 500, text_dim=6, max_length=64)
    assert model.codebook_size == 500 and model.transformer["wte"].weight.shape == (502, 32)
    theirs = transformers.LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokens = torch.randint(500, (2, 60), generator=torch.Generator().manual_seed(0))
    expected = theirs.model(inputs_embeds=model.transformer["wte"](tokens)).last_hidden_state
    torch.testing.assert_close(model.hidden(tokens, *NO_TEXT), expected, rtol=0, atol=1e-5)
    assert float(model.get_parameter("transformer.wte.weight").std()) == pytest.approx(
        0.02, rel=0.1
    )  # new, not their words


def test_a_whole_folder_comes_back(make_model: Make, tmp_path: Path) -> None:
    model = make_model(tied_embeddings=True).eval()
    to_huggingface(model).save_pretrained(tmp_path)
    back = from_huggingface(tmp_path, text_dim=6, max_length=48)
    tokens = torch.arange(20).expand(2, 20)
    torch.testing.assert_close(back(tokens, *NO_TEXT), model(tokens, *NO_TEXT), rtol=0, atol=1e-5)


def test_old_settings_are_understood(folder: Path) -> None:
    """transformers 4 wrote the base and the scaling in two places; older still had no number of key-value heads."""
    new = body_from_huggingface(folder, 10, text_dim=6)
    config = json.loads((folder / "config.json").read_text())
    config["rope_scaling"] = config.pop("rope_parameters")
    config["rope_theta"] = config["rope_scaling"].pop("rope_theta")
    (folder / "config.json").write_text(json.dumps(config))
    old = body_from_huggingface(folder, 10, text_dim=6)
    assert (old.rotary.theta, old.rotary.scaling) == (new.rotary.theta, new.rotary.scaling) == (5e5, new.rotary.scaling)
    assert isinstance(old.rotary.scaling, Llama3Scaling)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model_type", "gpt2"),
        ("attention_bias", True),
        ("hidden_act", "gelu"),
        ("head_dim", 16),
        ("num_hidden_layers", 4),
        ("intermediate_size", 48),
        ("hidden_size", None),
        ("rope_parameters", {"rope_type": "yarn", "factor": 2.0}),
    ],
)
def test_another_architecture_is_refused(folder: Path, key: str, value: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, key: value}))
    with pytest.raises(InputError, match="rope_type" if key == "rope_parameters" else "model.layers|" + key):
        body_from_huggingface(folder, 10, text_dim=6)


def test_broken_folders(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="config.json"):
        body_from_huggingface(folder / "nowhere", 10, text_dim=6)
    files = list(folder.glob("*.safetensors"))
    files[0].write_bytes(files[0].read_bytes()[:100])
    with pytest.raises(InputError, match="safetensors"):
        body_from_huggingface(folder, 10, text_dim=6)
    for file in files:
        file.unlink()
    with pytest.raises(InputError, match="no .*safetensors file"):
        body_from_huggingface(folder, 10, text_dim=6)


def test_a_bidirectional_decoder_is_refused(make_model: Make) -> None:
    with pytest.raises(InputError, match="MASK"):
        to_huggingface(make_model(mask_token=True))
