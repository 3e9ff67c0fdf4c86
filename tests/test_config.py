"""Presets load, YAML goes out and comes back, and a wrong key or value is one clear line."""

import pytest
import yaml

from motionlab.config import RunConfig
from motionlab.config_file import from_mapping, load_config, preset_names, to_yaml
from motionlab.errors import InputError


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_survives_a_round_trip_through_yaml(name):
    config = load_config(name)
    assert from_mapping(RunConfig, yaml.safe_load(to_yaml(config)), where="again") == config
    assert config.name == name


def test_scientific_notation_without_a_dot_is_a_number():
    assert yaml.safe_load("1e-4") == "1e-4"  # the trap: YAML 1.1 reads this as text
    assert load_config("tiny", ["llama_training.lr=1e-4"]).llama_training.lr == 1e-4


def test_null_turns_an_optional_setting_off():
    assert load_config("tiny", ["tokenizer.norm=null"]).tokenizer.norm is None


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("lama.dim=3", ["lama", "Did you mean llama?"]),
        ("llama.dmi=3", ["llama.dmi", "Did you mean llama.dim?"]),
        ("llama.dim=abc", ["llama.dim", "'abc'", "integer"]),
        ("llama.dim=100", ["llama.dim", "100", "multiple"]),
        ("llama.n_kv_heads=3", ["llama.n_kv_heads", "divisor"]),
        ("corpus=3", ["corpus", "group"]),
        ("nonsense", ["override", "key=value"]),
        ("llama.dim.deep=1", ["llama.dim.deep", "dim is a value"]),
        ("llama.rope_factor=2", ["llama.rope_factor", "rope_scaling"]),
        ("llama.rope_scaling=yarn", ["llama.rope_scaling", "ntk"]),
        ("llama.text_drop=1.5", ["llama.text_drop", "0 to 1"]),
        ("llama.strategy=masking", ["llama.strategy", "scheduled_sampling"]),
        ("llama_training.warmup_steps=99999", ["llama_training.warmup_steps", "less than steps"]),
        ("corpus.speed_min=2", ["corpus.speed_min", "speed_max"]),
        ("tokenizer.quantizer=fsk", ["tokenizer.quantizer", "fsk", "fsq"]),
        ("tokenizer.patcher=wavelet", ["tokenizer.patch_size", "found 1", "2, 4 or 8", "compat"]),
        ("tokenizer.patch_size=4", ["tokenizer.patch_size", "found 4", "wavelet"]),
        ("tokenizer.patch_size=3", ["tokenizer.patch_size", "3"]),
        ("tokenizer.kernel_size=4", ["tokenizer.kernel_size", "4", "3 or 5"]),
        ("tokenizer.norm=IN", ["tokenizer.norm", "IN"]),
        ("tokenizer.down_t=4", ["tokenizer.down_t", "found 4", "0 to 3"]),
        ("tokenizer.joint_weight=-1", ["tokenizer.joint_weight", "0 or more"]),
        ("tokenizer.window=0", ["tokenizer.window", "1 or more"]),
    ],
)
def test_bad_overrides_are_named(override, parts):
    with pytest.raises(InputError) as caught:
        load_config("tiny", [override])
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_group_norm_needs_the_whole_clip_and_32_groups():
    with pytest.raises(InputError, match="tokenizer.norm: found GN, .*sees the future"):
        load_config("tiny", ["tokenizer.norm=GN", "tokenizer.causal=true"])
    with pytest.raises(InputError, match="tokenizer.width: found 48, expected a multiple of 32"):
        load_config("tiny", ["tokenizer.norm=GN", "tokenizer.width=48"])


def test_quantizers_of_the_config_are_those_that_can_be_built():
    from typing import get_args, get_type_hints

    from motionlab.config import TokenizerConfig
    from motionlab.quantizers.build import KINDS

    assert get_args(get_type_hints(TokenizerConfig)["quantizer"]) == KINDS


@pytest.mark.parametrize(
    ("overrides", "frames"),
    [
        ([], 2),
        (["tokenizer.down_t=3"], 8),
        (["tokenizer.patcher=wavelet", "tokenizer.patch_size=8", "tokenizer.down_t=0"], 8),
        (["tokenizer.patcher=compat"], 2),
    ],
)
def test_frames_per_token_is_that_of_the_model(overrides, frames):
    import torch

    from motionlab.jobs.build import make_tokenizer

    config = load_config("motionmillion", overrides).tokenizer
    with torch.device("meta"):
        model = make_tokenizer(config)
    assert config.frames_per_token == model.frames_per_token == frames


def test_unknown_preset_names_the_nearest():
    with pytest.raises(InputError, match="Did you mean 'tiny'"):
        load_config("tny")


@pytest.mark.parametrize("text", ["a: [1", "- just\n- a list", "a: \x00"])
def test_broken_yaml_names_the_file(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match="mine.yaml"):
        load_config(path)


def test_missing_file_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        load_config(tmp_path / "none.yaml")


def test_every_field_is_documented():
    import dataclasses

    def check(kind):
        for field in dataclasses.fields(kind):
            assert field.metadata.get("help"), f"{kind.__name__}.{field.name} has no documentation"
            if dataclasses.is_dataclass(field.default_factory):
                check(field.default_factory)

    check(RunConfig)
