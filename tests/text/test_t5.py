"""A T5 folder: read offline, padded right, named by its content, and refused when it is broken."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from motionlab.errors import InputError
from motionlab.text.encoder import TextEncoder
from motionlab.text.t5 import T5Folder

CAPTIONS = ["a person walks forward", "runs", "é"]


def test_byt5_reads_one_token_a_byte(byt5_folder: Path) -> None:
    encoder = T5Folder(byt5_folder)
    assert isinstance(encoder, TextEncoder) and encoder.dim == 16
    features = encoder.encode(CAPTIONS)
    assert features.lengths.tolist() == [len(text.encode()) + 1 for text in CAPTIONS]  # and the end mark
    for row, caption in enumerate(CAPTIONS):
        alone = encoder.encode([caption]).states[0]
        torch.testing.assert_close(features.states[row][features.mask[row]], alone, rtol=0, atol=1e-5)


def test_equals_the_model_itself(byt5_folder: Path) -> None:
    import transformers

    model = transformers.T5EncoderModel.from_pretrained(byt5_folder).eval()
    ids = torch.tensor([[byte + 3 for byte in b"runs"] + [1]])
    expected = model(input_ids=ids).last_hidden_state[0].detach()
    torch.testing.assert_close(T5Folder(byt5_folder).encode(["runs"]).states[0], expected)


def test_a_whole_encoder_decoder_checkpoint_works(byt5_folder: Path, tmp_path: Path) -> None:
    import transformers

    folder = tmp_path / "whole"
    config = transformers.T5Config.from_pretrained(byt5_folder)
    transformers.T5ForConditionalGeneration(config).save_pretrained(folder)
    transformers.ByT5Tokenizer().save_pretrained(folder)
    assert T5Folder(folder).encode(["runs"]).states.shape == (1, 5, 16)


def test_the_name_follows_the_content_not_the_place(byt5_folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / byt5_folder.name
    shutil.copytree(byt5_folder, copy)
    assert T5Folder(copy).name == T5Folder(byt5_folder).name
    weights = copy / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    changed = T5Folder(copy).name
    assert changed != T5Folder(byt5_folder).name
    (copy / "added_tokens.json").write_text("{}")
    assert T5Folder(copy).name != changed, "another tokenizer reads other ids"


def test_limit(byt5_folder: Path) -> None:
    with pytest.raises(InputError, match="found 5 tokens, expected at most 4"):
        T5Folder(byt5_folder, max_tokens=4).encode(["runs"])


def test_states_that_are_no_numbers_are_refused(byt5_folder: Path) -> None:
    encoder = T5Folder(byt5_folder)
    encoder._loaded[1].shared.weight.data.fill_(float("nan"))
    with pytest.raises(InputError, match="features of caption 'runs' from T5EncoderModel: found nan"):
        encoder.encode(["runs"])


def test_no_folder_names_the_three_choices(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="minilm.*T5.*already in the cache"):
        T5Folder(tmp_path / "nothing")


@pytest.mark.parametrize(
    "config", ["", "[]", "{}", '{"model_type": "t5", "d_model": "wide"}', '{"model_type": "t5", "d_model": 16.5}']
)
def test_config_of_something_else(tmp_path: Path, config: str) -> None:
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(InputError, match=r"config.json.*the settings of a T5|config.json: (d_model|model_type)"):
        T5Folder(tmp_path)


def test_a_missing_tensor_is_not_replaced_by_random_numbers(byt5_folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "model"
    shutil.copytree(byt5_folder, folder)
    state = load_file(folder / "model.safetensors")
    del state["encoder.block.1.layer.0.SelfAttention.q.weight"]
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match="found no encoder.block.1.layer.0.SelfAttention.q.weight"):
        T5Folder(folder).encode(["runs"])


@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_broken_weights(byt5_folder: Path, tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "model"
    shutil.copytree(byt5_folder, folder)
    weights = folder / "model.safetensors"
    content = weights.read_bytes()
    weights.unlink()
    if damage == "truncated":
        weights.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="no weights, expected a complete T5 model folder|a whole safetensors file"):
        T5Folder(folder).encode(["runs"])


def rewritten(source: Path, folder: Path, config: dict[str, object], **tensors: torch.Tensor) -> Path:
    """A copy of a T5 folder with some fields and tensors replaced or added."""
    from safetensors.torch import load_file, save_file

    shutil.copytree(source, folder)
    settings = json.loads((folder / "config.json").read_text()) | config
    (folder / "config.json").write_text(json.dumps(settings))
    state = load_file(folder / "model.safetensors") | tensors
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


QUERY = "encoder.block.1.layer.0.SelfAttention.q"


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({f"{QUERY}.weight": torch.ones(16, 16, dtype=torch.int8)}, f"{QUERY}.weight of I8"),
        ({f"{QUERY}.weight": torch.ones(16, 16).to(torch.float8_e4m3fn)}, f"{QUERY}.weight of F8_E4M3"),
        ({f"{QUERY}.SCB": torch.ones(16)}, "quantised weights"),
        ({f"{QUERY}.lora_A.weight": torch.ones(2, 16)}, "a LoRA adapter"),
        ({"decoder.block.0.layer.0.SelfAttention.q.SCB": torch.ones(16)}, "quantised weights"),
        ({"decoder.block.0.layer.0.SelfAttention.q.weight": torch.ones(4, 4, dtype=torch.int8)}, "q.weight of I8"),
        ({"encoder.block.1.layer.0.SelfAttention.relative_attention_bias.weight": torch.ones(32, 2)}, "unknown"),
        ({f"{QUERY}.weight": torch.full((16, 16), float("nan"))}, f"{QUERY}.weight: found NaN"),
    ],
)
def test_other_tensors_than_those_of_a_plain_t5(
    byt5_folder: Path, tmp_path: Path, tensors: dict[str, torch.Tensor], words: str
) -> None:
    """transformers casts the first, and is silent about the others."""
    encoder = T5Folder(rewritten(byt5_folder, tmp_path / "model", {}, **tensors))
    with pytest.raises(InputError, match=words):
        encoder.encode(["runs"])


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("num_layers", 10**12, "num_layers: found 1000000000000"),
        ("num_layers", 3, "no encoder.block.2"),
        ("num_layers", 1, "unknown encoder.block.1"),
        ("num_layers", 0, "num_layers: found 0"),
        ("d_ff", 2**40, "instead of"),
        ("d_model", 2**40, "instead of"),
        ("num_heads", 0, "num_heads: found 0"),
        ("num_heads", "2", "num_heads: found 2"),
        ("relative_attention_max_distance", 8, "relative_attention_max_distance: found 8, expected .* of 9 or more"),
        ("relative_attention_num_buckets", 3, "relative_attention_num_buckets: found 3"),
        ("layer_norm_epsilon", -1e-6, "layer_norm_epsilon: found -1e-06"),
        ("vocab_size", -1, "vocab_size: found -1"),
        ("feed_forward_proj", "swish", "feed_forward_proj: found swish"),
        ("feed_forward_proj", "relu", "no encoder.block.0.layer.1.DenseReluDense.wi.weight"),
    ],
)
def test_sizes_are_compared_with_the_file_first(
    byt5_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, value: object, words: str
) -> None:
    import transformers

    encoder = T5Folder(rewritten(byt5_folder, tmp_path / "model", {key: value}))
    monkeypatch.setattr(transformers.T5EncoderModel, "from_pretrained", None)  # no model is built
    with pytest.raises(InputError, match=words):
        encoder.encode(["runs"])


@pytest.mark.parametrize(
    ("key", "value"),
    [("quantization_config", {"quant_method": "bitsandbytes"}), ("model_type", "umt5"), ("model_type", 5)],
)
def test_other_models_are_refused_at_once(byt5_folder: Path, tmp_path: Path, key: str, value: object) -> None:
    folder = rewritten(byt5_folder, tmp_path / "model", {key: value})
    with pytest.raises(InputError, match=f"config.json: {key}: found"):
        T5Folder(folder)


def test_a_folder_with_a_pickle_is_read(byt5_folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    folder = rewritten(byt5_folder, tmp_path / "model", {})
    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(state, folder / "pytorch_model.bin")
    features = T5Folder(folder).encode(["runs"])
    assert torch.equal(features.states, T5Folder(byt5_folder).encode(["runs"]).states)
    torch.save(state | {f"{QUERY}.SCB": torch.ones(16)}, folder / "pytorch_model.bin")
    with pytest.raises(InputError, match="quantised weights"):
        T5Folder(folder).encode(["runs"])
