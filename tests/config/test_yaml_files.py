"""Presets load, YAML goes out and comes back, and a wrong key or value is one clear line."""

import pytest
import yaml

from motionlab.config import RunConfig, VlaRunConfig, from_mapping, load_config, preset_names, to_yaml
from motionlab.config.yaml_values import read_yaml
from motionlab.errors import InputError


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_survives_a_round_trip_through_yaml(name):
    config = load_config(name)
    assert from_mapping(type(config), yaml.safe_load(to_yaml(config)), where="again") == config
    assert config.name == name


def test_the_settings_of_the_robot_half_belong_to_files_that_have_them():
    assert isinstance(load_config("vla", ["vla.hidden=8"]), VlaRunConfig)
    assert type(load_config("tiny")) is RunConfig
    with pytest.raises(InputError, match="tiny.yaml: vla: found a section of the robot half.*--preset vla"):
        load_config("tiny", ["vla.hidden=8"])
    with pytest.raises(InputError, match="vla.yaml: vla_evaluation.execute: found 2, expected at most vla.horizon"):
        load_config("vla", ["vla_evaluation.execute=2"])
    with pytest.raises(InputError, match="vla_data.path: found null"):
        load_config("vla", ["vla_data.source=files"])


def test_a_file_of_the_robot_half_holds_no_settings_that_nothing_uses():
    assert list(yaml.safe_load(to_yaml(load_config("vla")))) == [
        "name", "seed", "device", "vla_data", "vla_pretrain", "vla_pretrain_training", "vla", "vla_training",
        "vla_evaluation",
    ]  # fmt: skip
    changed = load_config("vla", ["corpus.n_train=100"])
    assert yaml.safe_load(to_yaml(changed))["corpus"]["n_train"] == 100, "what was set is never lost"
    assert from_mapping(VlaRunConfig, yaml.safe_load(to_yaml(changed)), where="again") == changed


@pytest.mark.parametrize("name", ["1e-3", "007", "1:30", "no", "null", "2026-11-28", "0x10", "1_000", "true", "~"])
def test_a_name_that_looks_like_something_else_survives(name):
    config = RunConfig(name=name)
    assert from_mapping(RunConfig, read_yaml(to_yaml(config), "again"), where="again") == config
    assert yaml.safe_load(to_yaml(config))["name"] == name, "other programs read the file, too"


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
        ("llama.dim=abc", ["llama.dim", "'abc'", "a whole number"]),
        ("llama.dim='64'", ["llama.dim", "'64'", "a whole number"]),
        ("llama.dim=100", ["llama.dim", "100", "multiple"]),
        ("llama.n_kv_heads=3", ["llama.n_kv_heads", "divisor"]),
        ("corpus=3", ["corpus", "group"]),
        ("nonsense", ["override", "key=value"]),
        ("llama.dim=", ["override llama.dim", "a blank value", "Write null"]),
        ("llama.dim.deep=1", ["llama.dim.deep", "dim is a value"]),
        ("llama.rope_factor=2", ["llama.rope_factor", "rope_scaling"]),
        ("llama.rope_scaling=yarn", ["llama.rope_scaling", "ntk"]),
        ("llama.text_drop=1.5", ["llama.text_drop", "0 to 1"]),
        ("llama.strategy=masking", ["llama.strategy", "scheduled_sampling"]),
        ("llama_training.warmup_steps=99999", ["llama_training.warmup_steps", "less than steps (2000)"]),
        ("llama_training.clip_norm=0", ["llama_training.clip_norm", "above 0, or null"]),
        ("corpus.speed_min=2", ["corpus.speed_min", "speed_max"]),
        ("tokenizer.quantizer=fsk", ["tokenizer.quantizer", "fsk", "fsq"]),
        ("compare_quantizers=[foo]", ["compare_quantizers", "foo", "vq_ema"]),
        ("tokenizer.patcher=wavelet", ["tokenizer.patch_size", "found 1", "2, 4 or 8", "compat"]),
        ("tokenizer.patch_size=4", ["tokenizer.patch_size", "found 4", "wavelet"]),
        ("tokenizer.patch_size=3", ["tokenizer.patch_size", "3"]),
        ("tokenizer.kernel_size=4", ["tokenizer.kernel_size", "4", "3 or 5"]),
        ("tokenizer.norm=IN", ["tokenizer.norm", "IN"]),
        ("tokenizer.down_t=4", ["tokenizer.down_t", "found 4", "0 to 3"]),
        ("tokenizer.joint_weight=-1", ["tokenizer.joint_weight", "0 or more"]),
        ("tokenizer.foot_weight=-1", ["tokenizer.foot_weight", "0 or more"]),
        ("tokenizer.window=0", ["tokenizer.window", "1 or more"]),
        ("tokenizer.window=301", ["tokenizer.window", "found 301", "corpus.max_frames (300)"]),
        ("llama.text_drop=0", ["sampling.guidance", "2.5", "text_drop"]),
        ("name=a/b", ["name", "the name of one folder", "--out"]),
        ('name="a\\nb"', ["name", "the name of one folder"]),
        ("name=' a'", ["name", "the name of one folder"]),
        ("name=" + "x" * 300, ["name", "xxx...", "the name of one folder"]),
        ("llama=null", ["llama: found null", "a group of keys"]),
        ("llama={null: 2}", ["llama.null", "an unknown key"]),
        ("llama.hidden=# 3", ["override llama.hidden", "a blank value", "Write null"]),
        ("llama.hidden=---", ["override llama.hidden", "a blank value", "Write null"]),
        ("betas=[0.9]", ["betas", "Did you mean tokenizer_training.betas or llama_training.betas?"]),
        ("llama.window=3", ["llama.window", "Did you mean tokenizer.window?"]),
        ("llama.dim=" + "9" * 30, ["llama.dim", "9" * 30, "(at most 2147483647)"]),
        ("llama.dim=" + "9" * 4000, ["llama.dim", "more than 100 digits"]),
    ],
)
def test_bad_overrides_are_named(override, parts):
    with pytest.raises(InputError) as caught:
        load_config("tiny", [override])
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_an_override_of_a_whole_group_says_what_it_resets(capsys):
    config = load_config("tiny", ["llama={dim: 64, n_head: 2, text_drop: 0.1}"])
    assert (config.llama.dim, config.llama.n_layer, config.llama.hidden) == (64, 12, None)
    told = capsys.readouterr().err
    assert told.startswith("note: llama={...} replaces the whole group and resets llama.n_layer (was 4), ")
    assert "llama.hidden (was 384)" in told and "llama.dim" not in told and told.count("\n") == 1
    load_config("tiny", ["llama.dim=64", "betas=1"][:1])
    assert capsys.readouterr().err == ""


def test_an_override_changes_one_place_also_where_the_file_has_an_alias(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("tokenizer_training: &both {steps: 100, lr: 1e-3}\nllama_training: *both\n")
    config = load_config(path, ["llama_training.steps=200"])
    assert (config.tokenizer_training.steps, config.llama_training.steps) == (100, 200)


def test_group_norm_needs_the_whole_clip_and_32_groups():
    with pytest.raises(InputError, match="tokenizer.norm: found 'GN', .*sees the future"):
        load_config("tiny", ["tokenizer.norm=GN", "tokenizer.causal=true"])
    with pytest.raises(InputError, match="tokenizer.width: found 48, expected a multiple of 32"):
        load_config("tiny", ["tokenizer.norm=GN", "tokenizer.width=48"])


def test_unknown_preset_names_the_nearest():
    with pytest.raises(InputError, match="Did you mean 'tiny'"):
        load_config("tny")


@pytest.mark.parametrize("text", ["a: [1", "- just\n- a list", "a: \x00", "llama:\n", "seed: 1\nseed: 2\n"])
def test_broken_yaml_names_the_file(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match="mine.yaml"):
        load_config(path)


def test_an_empty_file_is_all_defaults(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("# nothing\n")
    assert load_config(path) == RunConfig()


def test_missing_file_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        load_config(tmp_path / "none.yaml")


def test_a_dotted_key_in_a_file_is_told_how_to_be_written(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("llama.dim: 96\n")
    with pytest.raises(InputError, match=r"llama\.dim: found an unknown key.*Write dim indented below llama\."):
        load_config(path)


@pytest.mark.parametrize(
    "name", ["../presets/ci", "x" * 5000, "x" * 5000 + ".yaml", ".yaml", "", "a/" * 3000 + "b.yaml"]
)
def test_a_preset_that_is_none_is_one_error(name):
    with pytest.raises(InputError, match="expected (one of ci|a YAML file)"):
        load_config(name)


def test_a_file_that_cannot_be_read_is_one_error(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    (tmp_path / "mine.yaml").write_text("seed: 1")
    monkeypatch.setattr("pathlib.Path.read_bytes", refuse)
    with pytest.raises(InputError, match=r"mine\.yaml: found Permission denied"):
        load_config(tmp_path / "mine.yaml")


def test_a_refused_override_of_a_group_says_only_what_is_wrong(capsys):
    with pytest.raises(InputError, match="multiple"):
        load_config("tiny", ["llama={dim: 65}"])
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "text",
    [
        "x." * 100 + "y=1", "llama.dim." * 30 + "x=1", "name=" + "x" * 10**5, "=" * 1000, "name='a\x1b[31m'",
        'name="\\ud800"', 'name="a\\u202eb"', 'name="a\\u0007"', 'text={encoder: t5, folder: "a\\0b"}', "\ud800=1",
        "seed=18446744073709551616",
        "seed=" + "9" * 5000, "text={encoder: t5, folder: " + "x" * 300 + "}",
    ],
)  # fmt: skip
def test_an_override_beyond_what_is_possible_is_one_short_line(text):
    with pytest.raises(InputError) as caught:
        load_config("tiny", [text])
    assert str(caught.value).isprintable() and len(str(caught.value)) < 3000
