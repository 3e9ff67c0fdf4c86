"""Every field of every section refuses what it cannot be, and takes what is just possible.

The fields are found by introspection, so a setting that is added tomorrow is tested, too.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args, get_origin

import pytest

from motionlab import cli
from motionlab.config import (
    QUANTIZERS,
    RunConfig,
    Sampling,
    TrainConfig,
    VlaRunConfig,
    from_mapping,
    load_config,
    to_mapping,
)
from motionlab.config.fields import Rule, Section, check_value, hints, without_none
from motionlab.errors import InputError
from motionlab.quantizers.build import KINDS

NAN, INF = float("nan"), float("inf")


class Field(NamedTuple):
    """One field of a section, and its place in a config."""

    key: str
    kind: type
    field: Any

    @property
    def rule(self) -> Rule:
        return self.field.metadata["rule"]

    @property
    def hint(self) -> Any:
        return hints(self.kind)[self.field.name]


def fields(kind: type, prefix: str = "") -> Iterator[Field]:
    for field in dataclasses.fields(kind):
        hint = hints(kind)[field.name]
        if isinstance(hint, type) and issubclass(hint, Section):
            yield from fields(hint, f"{prefix}{field.name}.")
        else:
            yield Field(f"{prefix}{field.name}", kind, field)


FIELDS = {field.key: field for field in fields(VlaRunConfig)}
TEXT_TO_MOTION = {field.key for field in fields(RunConfig)}


def bad_values(hint: Any, rule: Rule) -> list[Any]:
    """Values that no field of this type and with these limits may have."""
    inner, optional = without_none(hint)
    wrong: list[Any] = [{"a": 1}] + ([] if optional else [None])
    if get_origin(inner) is list:
        item = get_args(inner)[0]
        good = good_values(item, rule)[0]
        lengths = [[], [good], [good] * 3] if rule.length else []
        return [*wrong, 5, "text", *lengths, *([value] * (rule.length or 1) for value in bad_values(item, rule))]
    if get_origin(inner) is Literal:
        return [*wrong, "nonsense", True, 1.5, [get_args(inner)[0]], 77]
    if inner is bool:
        return [*wrong, 0, 1, "true", "yes", 1.0]
    if inner is str:
        return [*wrong, "", 3, True, ["text"]]
    wrong += [True, "3", "1e-3", [1], NAN, INF, -INF, *([1.5] if inner is int else [10**400])]
    wrong += [2**31, 10**5000] if inner is int and rule.at_most is None else []
    wrong += [] if rule.at_least is None else [rule.at_least - 1]
    wrong += [] if rule.at_most is None else [rule.at_most + 1]
    wrong += [] if rule.above is None else [rule.above, rule.above - 1]
    wrong += [] if rule.below is None else [rule.below, rule.below + 1]
    return wrong


def good_values(hint: Any, rule: Rule) -> list[Any]:
    """Values at the edges of what a field may have."""
    inner, optional = without_none(hint)
    null = [None] if optional else []
    if get_origin(inner) is list:
        return [[value] * rule.length if rule.length else [value] for value in good_values(get_args(inner)[0], rule)]
    if get_origin(inner) is Literal:
        return [*get_args(inner), *null]
    if inner is bool:
        return [True, False]
    if inner is str:
        return ["cpu", *null]  # it is the name of a folder, too
    whole = inner is int
    low = rule.at_least if rule.at_least is not None else rule.above + (1 if whole else 1e-9)  # type: ignore[operator]
    high = rule.at_most if rule.at_most is not None else low if rule.below is None else rule.below - 1e-9
    return [low, high, *null]


def values_with(key: str, value: Any) -> dict[str, Any]:
    section, _, name = key.rpartition(".")
    return {section: {name: value}} if section else {name: value}


def test_the_fields_are_found() -> None:
    assert len(TEXT_TO_MOTION) > 100 and {"seed", "llama.dim", "sampling.top_p"} <= TEXT_TO_MOTION < set(FIELDS)
    assert {"vla.views", "vla_data.source", "vla_pretrain.depth_weight", "vla_evaluation.seed"} <= set(FIELDS)
    assert sum(key.startswith("tokenizer_training.") for key in FIELDS) == len(dataclasses.fields(TrainConfig))


def test_every_field_has_a_sentence() -> None:
    for key, field in FIELDS.items():
        assert field.field.metadata["help"], key


def test_every_number_has_limits() -> None:
    for key, field in FIELDS.items():
        inner, _ = without_none(field.hint)
        if inner in (int, float):
            assert field.rule.limits, key


@pytest.mark.parametrize("key", FIELDS)
def test_bad_values_are_one_error_that_names_the_key(key: str) -> None:
    bad = bad_values(FIELDS[key].hint, FIELDS[key].rule)
    assert len(bad) >= 3
    for value in bad:
        with pytest.raises(InputError) as caught:
            from_mapping(VlaRunConfig, values_with(key, value), where="mine.yaml")
        message = str(caught.value)
        assert message.startswith(f"mine.yaml: {key}: found ") and "\n" not in message, (value, message)
        assert caught.value.expected and caught.value.fix


@pytest.mark.parametrize("key", FIELDS)
def test_values_at_the_edge_are_taken(key: str) -> None:
    field = FIELDS[key]
    for value in good_values(field.hint, field.rule):
        assert check_value(field.kind, field.field, value, key) == value


@pytest.mark.parametrize("key", FIELDS)
def test_a_command_refuses_before_it_writes(key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    preset = "ci" if key in TEXT_TO_MOTION else "vla"
    for value in [value for value in bad_values(FIELDS[key].hint, FIELDS[key].rule) if value == value][:3]:
        text = ".inf" if value == INF else json.dumps(value)
        with pytest.raises(SystemExit) as ended:
            cli.main(["run", "--preset", preset, "--out", str(tmp_path), f"{key}={text}"])
        printed = capsys.readouterr().err
        assert ended.value.code == 2 and f"{key}: found " in printed and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "override",
    [
        "llama_training.clip_norm=-1", "llama_training.clip_norm=0", "llama_training.weight_decay=-0.1",
        "llama_training.betas=[0.9]", "llama_training.betas=[0.9, 1.0]", "llama_training.betas=0.9",
        "llama_training.eps=0", "llama_training.lr=.nan", "llama_training.lr=.inf", "llama_training.steps=1.5",
        "llama_training.seed=-1", "llama_training.batch_size=true", "llama_training.ema_decay=1",
        "llama_training.label=1", "llama_training.milestones=[0]", "llama_training.lr_gamma=0",
        "tokenizer_training.lr=0", "tokenizer_training.steps=0", "tokenizer_training.loggers=[print]",
        "sampling.temperature=-1", "sampling.temperature=0", "sampling.top_p=0", "sampling.top_p=1.1",
        "sampling.top_k=0", "sampling.min_tokens=151", "sampling.max_tokens=0", "sampling.seed=-1",
        "sampling.repetition_penalty=0", "sampling.no_repeat_ngram=-1", "evaluation.n_generate=0",
        "evaluation.n_players=-1", "evaluation.classifier_steps=0", "compare_quantizers=[foo]", "compare_quantizers=vq",
        "llama.n_layer=0", "llama.n_head=0", "llama.hidden=0", "llama.n_kv_heads=0", "llama.dim=-128",
        "llama.rope_theta=0", "llama.rope_original_length=0", "llama.label_smoothing=-0.1", "corpus.blend_frames=60",
        "corpus.max_actions=1", "corpus.seed=-1", "corpus.min_frames=300", "corpus.n_train=0", "text.max_tokens=0",
        "text.max_tokens=513",
        "text.folder=somewhere", "tokenizer.dilation_growth_rate=0", "tokenizer.depth=-1", "device=gpu", "seed=-1",
    ],
)  # fmt: skip
def test_mistakes_that_were_made(override: str) -> None:
    with pytest.raises(InputError) as caught:
        load_config("tiny", [override])
    named = override.partition("=")[0].replace("min_frames", "max_frames")  # the relation is told from the other end
    assert f"tiny.yaml: {named}: found " in str(caught.value)


@pytest.mark.parametrize(
    "overrides",
    [
        ["llama_training.clip_norm=null", "llama_training.weight_decay=0", "llama_training.betas=[0, 0.5]"],
        ["llama_training.steps=1", "llama_training.warmup_steps=0", "llama_training.patience=1"],
        ["sampling.top_p=1", "sampling.top_k=1", "sampling.min_tokens=80", "sampling.guidance=0"],
        ["tokenizer.window=300", "tokenizer.down_t=0", "tokenizer.depth=0", "compare_quantizers=[]", "device='cuda:1'"],
        ["corpus.blend_frames=29", "corpus.max_frames=64", "evaluation.n_players=0", "llama.n_kv_heads=null"],
        [
            "text.encoder=t5",
            "text.folder=somewhere",
            "text.max_tokens=600",
            "llama.rope_scaling=ntk",
            "llama.rope_factor=2",
        ],
    ],
)
def test_just_possible_settings_load(overrides: list[str]) -> None:
    assert load_config("tiny", overrides).name == "tiny"


def test_a_whole_number_may_stand_for_a_fraction() -> None:
    training = TrainConfig(lr=1, betas=(0, 0.5), clip_norm=2)  # type: ignore[arg-type]
    assert type(training.lr) is float and training.betas == [0.0, 0.5] and type(training.betas[0]) is float


def test_a_section_by_itself_names_its_field() -> None:
    with pytest.raises(InputError, match=r"^sampling\.temperature: found 0\.0, .* For no randomness use greedy=true"):
        Sampling(max_tokens=5, temperature=0)
    with pytest.raises(InputError, match=r"^steps: found 0"):
        TrainConfig(steps=0)
    with pytest.raises(InputError, match=r"^sampling: found \{\}, expected a group"):
        RunConfig(sampling={})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="max_tokens"):
        Sampling()  # a limit that nobody chose would cut motions short


def test_lists_are_not_shared() -> None:
    one, other = RunConfig(), RunConfig()
    one.compare_quantizers.append("vq")
    one.llama_training.betas[0] = 0.5
    assert other.compare_quantizers == ["vq_ema"] and other.llama_training.betas == [0.9, 0.99] == TrainConfig().betas


def test_each_quantizer_is_compared_once() -> None:
    config = load_config("tiny", ["tokenizer.quantizer=vq_ema", "compare_quantizers=[vq_ema, fsq, fsq]"])
    assert config.quantizers == ["vq_ema", "fsq"]


def test_quantizers_of_the_config_are_those_that_can_be_built() -> None:
    assert QUANTIZERS == KINDS


def test_the_config_holds_the_class_that_draws() -> None:
    from motionlab.llama.decoding.sampling import Sampling as used

    assert type(RunConfig().sampling) is used is Sampling
    assert list(to_mapping(RunConfig())["sampling"]) == [field.name for field in dataclasses.fields(used)]


@pytest.mark.parametrize(
    ("overrides", "frames"),
    [
        ([], 2),
        (["tokenizer.down_t=3"], 8),
        (["tokenizer.patcher=wavelet", "tokenizer.patch_size=8", "tokenizer.down_t=0"], 8),
        (["tokenizer.patcher=compat"], 2),
    ],
)
def test_frames_per_token_is_that_of_the_model(overrides: list[str], frames: int) -> None:
    import torch

    from motionlab.jobs.build import make_tokenizer

    config = load_config("motionmillion", overrides).tokenizer
    with torch.device("meta"):
        model = make_tokenizer(config)
    assert config.frames_per_token == model.frames_per_token == frames
