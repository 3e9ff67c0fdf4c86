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


def change(folder: Path, **values: object) -> None:
    """Set fields of config.json; None removes one."""
    config = json.loads((folder / "config.json").read_text()) | values
    kept = {key: value for key, value in config.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(kept))


@pytest.fixture
def nothing_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refusing must not need a model: its sizes may be anything."""

    def build(*_: object, **__: object) -> None:
        raise AssertionError("a model is being built")

    monkeypatch.setattr("motionlab.llama.weights.huggingface.MotionLlama", build)


@pytest.mark.usefixtures("nothing_is_built")
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model_type", "gpt2"),
        ("model_type", None),
        ("attention_bias", True),
        ("mlp_bias", True),
        ("hidden_act", "gelu"),
        ("layer_types", ["sliding_attention"] * 3),
        ("head_dim", 16),
        ("head_dim", 0),
        ("num_attention_heads", 0),
        ("num_attention_heads", -4),
        ("num_attention_heads", 3),
        ("num_attention_heads", True),
        ("num_attention_heads", None),
        ("num_key_value_heads", 0),
        ("num_key_value_heads", 3),
        ("num_key_value_heads", "2"),
        ("num_hidden_layers", 0),
        ("num_hidden_layers", 10**12),
        ("hidden_size", None),
        ("hidden_size", 0),
        ("hidden_size", 32.0),
        ("vocab_size", 2),
        ("rms_norm_eps", 0),
        ("rms_norm_eps", None),
        ("rope_parameter", {"rope_type": "linear", "factor": 2.0}),
        ("rms_norm_eps", "small"),
        ("tie_word_embeddings", "no"),
        ("quantization_config", {"quant_method": "fp8"}),
    ],
)
def test_settings_that_are_refused_by_name(make_model: Make, tmp_path: Path, key: str, value: object) -> None:
    to_huggingface(make_model(n_kv_heads=2)).save_pretrained(tmp_path)
    change(tmp_path, **{key: value})
    with pytest.raises(InputError, match=f"config.json: {key}: found"):
        from_huggingface(tmp_path, text_dim=6)


@pytest.mark.usefixtures("nothing_is_built")
@pytest.mark.parametrize(
    ("key", "value", "tensor"),
    [
        ("num_hidden_layers", 4, "no model.layers.3.input_layernorm.weight"),
        ("num_hidden_layers", 2, "unknown model.layers.2"),
        ("intermediate_size", 2**40, r"mlp.gate_proj.weight \[40, 32\] instead of \[1099511627776, 32\]"),
        ("hidden_size", 2**30, r"model.embed_tokens.weight \[50, 32\] instead of \[50, 1073741824\]"),
        ("vocab_size", 2**40, r"model.embed_tokens.weight \[50, 32\] instead of"),
        ("model_type", "qwen3", "no model.layers.0.self_attn.q_norm.weight"),
    ],
)
def test_sizes_are_compared_with_the_files_first(folder: Path, key: str, value: object, tensor: str) -> None:
    change(folder, head_dim=None, **{key: value})
    if key == "model_type":
        change(folder, head_dim=8)
    with pytest.raises(InputError, match=f"{folder}: found .*{tensor}"):
        body_from_huggingface(folder, 10, text_dim=6)


def rewrite(folder: Path, **tensors: torch.Tensor | None) -> None:
    """The weights in one file, with some tensors replaced, added, or (None) left out."""
    from safetensors.torch import load_file, save_file

    state = {name: value for path in folder.glob("*.safetensors") for name, value in load_file(path).items()}
    for path in folder.glob("*.safetensors*"):
        path.unlink()
    changed = {name: value for name, value in (state | tensors).items() if value is not None}
    save_file(changed, folder / "model.safetensors")


QUERY = "model.layers.1.self_attn.q_proj"


@pytest.mark.usefixtures("nothing_is_built")
@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({f"{QUERY}.weight": torch.zeros(32, 32, dtype=torch.int8)}, rf"{QUERY}.weight of I8"),
        ({f"{QUERY}.weight": torch.zeros(32, 32).to(torch.float8_e4m3fn)}, rf"{QUERY}.weight of F8_E4M3"),
        ({f"{QUERY}.weight_scale_inv": torch.ones(1, 1)}, rf"quantised weights \({QUERY}.weight_scale_inv\)"),
        ({f"{QUERY}.weight": None, f"{QUERY}.qweight": torch.ones(4, 32, dtype=torch.int32)}, "quantised weights"),
        ({f"{QUERY}.lora_A.weight": torch.ones(2, 32), f"{QUERY}.lora_B.weight": torch.ones(32, 2)}, "LoRA.*2 tensors"),
        ({f"{QUERY}.bias": torch.ones(32)}, rf"biases \({QUERY}.bias\)"),
        ({"model.layers.1.mlp.experts.weight": torch.ones(2)}, r"unknown model.layers.1.mlp.experts.weight \[2\]"),
    ],
)
def test_other_tensors_than_those_of_a_plain_llama(
    folder: Path, tensors: dict[str, torch.Tensor | None], words: str
) -> None:
    rewrite(folder, **tensors)
    with pytest.raises(InputError, match=f"{folder}: found .*{words}"):
        body_from_huggingface(folder, 10, text_dim=6)


def test_a_tensor_in_two_files_is_refused(folder: Path) -> None:
    first = sorted(folder.glob("*.safetensors"))[0]
    (folder / "model.safetensors").write_bytes(first.read_bytes())
    with pytest.raises(InputError, match="found it in another file as well"):
        body_from_huggingface(folder, 10, text_dim=6)


def test_numbers_that_are_not_finite_are_refused(folder: Path) -> None:
    rewrite(folder, **{f"{QUERY}.weight": torch.full((32, 32), float("nan"))})
    with pytest.raises(InputError, match=f"{QUERY}.weight: found NaN or infinity"):
        body_from_huggingface(folder, 10, text_dim=6)


def test_a_quantised_live_model_is_refused(make_model: Make) -> None:
    theirs: Any = to_huggingface(make_model())
    layer = theirs.model.layers[0].self_attn
    layer.q_proj.weight = torch.nn.Parameter(torch.ones(32, 32, dtype=torch.int8), requires_grad=False)
    with pytest.raises(InputError, match="q_proj.weight of int8"):
        from_huggingface(theirs, text_dim=6)


def test_a_tied_model_with_another_output_is_refused(make_model: Make, tmp_path: Path) -> None:
    to_huggingface(make_model(tied_embeddings=True)).save_pretrained(tmp_path)
    rewrite(tmp_path, **{"lm_head.weight": torch.ones(22, 32)})
    with pytest.raises(InputError, match="tie_word_embeddings: found true, and an lm_head.weight"):
        from_huggingface(tmp_path, text_dim=6)


def test_wrappers_and_old_tables_of_angles_are_understood(folder: Path) -> None:
    from safetensors.torch import load_file

    theirs = transformers.LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
    angles = theirs.model.rotary_emb.inv_freq.clone()
    plain = body_from_huggingface(folder, 10, text_dim=6)
    rewrite(folder, **{f"model.layers.{i}.self_attn.rotary_emb.inv_freq": angles.clone() for i in range(3)})
    state = {f"module._orig_mod.{name}": value for name, value in load_file(folder / "model.safetensors").items()}
    rewrite(folder, **dict.fromkeys(load_file(folder / "model.safetensors")), **state)
    wrapped = body_from_huggingface(folder, 10, text_dim=6)
    assert torch.equal(plain.get_parameter("transformer.ln_f.scale"), wrapped.get_parameter("transformer.ln_f.scale"))
    rewrite(folder, **{"module._orig_mod.model.layers.0.self_attn.rotary_emb.inv_freq": angles * 2})
    with pytest.raises(InputError, match="layers.0.self_attn.rotary_emb.inv_freq: found other angles"):
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
