"""Every key can be looked up: its value, default, allowed values and sentence."""

import dataclasses

import pytest

from motionlab.config import RunConfig, load_config
from motionlab.config.describe import describe, format_described
from motionlab.errors import InputError


def test_all_keys_with_their_values() -> None:
    rows = describe(load_config("tiny", ["llama.dim=64"]))
    by_key = {row.key: row for row in rows}
    assert len(by_key) == len(rows) > 100
    row = by_key["llama.dim"]
    assert (row.value, row.default, row.allowed) == (64, 768, "a whole number, 1 or more")
    assert by_key["tokenizer.norm"].allowed == "LN, GN or BN, or null"
    assert by_key["llama_training.betas"].allowed == "a list of 2, each of them a number, 0 or more, below 1"
    assert by_key["sampling.max_tokens"].default == 150
    assert all(row.sentence and row.allowed for row in rows)


def test_sections_that_nothing_uses_are_listed_only_when_they_were_set() -> None:
    assert {row.key.partition(".")[0] for row in describe(load_config("vla"))} >= {"seed", "vla", "vla_training"}
    assert not any(row.key.startswith("llama.") for row in describe(load_config("vla")))
    assert describe(load_config("vla"), "llama.n_layer")[0].value == 12, "asked for by name it is there"
    assert any(row.key == "llama.n_layer" for row in describe(load_config("vla", ["llama.n_layer=2"])))


def test_a_section_and_a_key() -> None:
    config = RunConfig()
    assert len(describe(config, "llama")) == len(dataclasses.fields(config.llama))
    assert [row.key for row in describe(config, "seed")] == ["seed"]
    text = format_described(describe(config, "corpus"))
    assert text.splitlines()[0].split() == ["key", "value", "default", "meaning", "[allowed]"]
    assert "corpus.n_train" in text and "clips in the training split [a whole number, 1 or more]" in text


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("lama", "Did you mean llama?"),
        ("dim", "Did you mean llama.dim?"),
        ("llama.dimm", "llama.dim"),
        ("zzz", "Leave"),
    ],
)
def test_an_unknown_key_names_the_nearest(key: str, told: str) -> None:
    with pytest.raises(InputError, match="a section or a key of the config") as caught:
        describe(RunConfig(), key)
    assert told in str(caught.value)
