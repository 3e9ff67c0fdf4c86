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
    assert T5Folder(copy).name != T5Folder(byt5_folder).name


def test_limit(byt5_folder: Path) -> None:
    with pytest.raises(InputError, match="found 5 tokens, expected at most 4"):
        T5Folder(byt5_folder, max_tokens=4).encode(["runs"])


def test_no_folder_names_the_three_choices(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="minilm.*T5.*already in the cache"):
        T5Folder(tmp_path / "nothing")


@pytest.mark.parametrize("config", ["", "{}", '{"d_model": "wide"}', json.dumps({"d_model": [1]})])
def test_config_of_something_else(tmp_path: Path, config: str) -> None:
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(InputError, match=r"the config.json of a T5"):
        T5Folder(tmp_path)


def test_a_missing_tensor_is_not_replaced_by_random_numbers(byt5_folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "model"
    shutil.copytree(byt5_folder, folder)
    state = load_file(folder / "model.safetensors")
    del state["encoder.block.1.layer.0.SelfAttention.q.weight"]
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match="no weights for encoder.block.1.layer.0.SelfAttention.q.weight"):
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
    with pytest.raises(InputError, match="a complete T5 model folder.*already in the cache"):
        T5Folder(folder).encode(["runs"])
