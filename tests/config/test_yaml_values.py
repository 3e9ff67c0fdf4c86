"""A YAML value is what was written, or an error; it never becomes another number."""

import math
from typing import Any

import pytest

from motionlab.config import RunConfig, from_mapping
from motionlab.config.yaml_values import DEEPEST, LONGEST_TEXT, MOST_VALUES, read_yaml
from motionlab.errors import InputError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001), ("1E5", 100000.0), ("1.0e-3", 0.001), (".5", 0.5), ("5.", 5.0), ("-1.5e+2", -150.0), ("+7", 7),
        ("0", 0), ("-1", -1), ("1:30", "1:30"), ("0100", "0100"), ("0o14", "0o14"), ("0x1F", "0x1F"), ("0b11", "0b11"),
        ("1_000", "1_000"), ("190:20:30.5", "190:20:30.5"), ("yes", "yes"), ("no", "no"), ("on", "on"), ("off", "off"),
        ("true", True), ("False", False), ("~", None), ("null", None), ("2026-11-28", "2026-11-28"), ("'1'", "1"),
        ("[1, 1e1]", [1, 10.0]), ("!!int 0100", 100), ("{a: {b: 1}}", {"a": {"b": 1}}), ("''", ""),
        ("{<<: {a: 1, b: 2}, a: 3}", {"a": 3, "b": 2}),
    ],
)  # fmt: skip
def test_a_value_is_what_was_written(text: str, value: Any) -> None:
    read = read_yaml(text, "here")
    assert read == value and type(read) is type(value)


def test_what_is_not_finite_is_read_as_such() -> None:
    assert read_yaml(".inf", "here") == math.inf == -read_yaml("-.inf", "here") and math.isnan(
        read_yaml(".nan", "here")
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("seed: 1\nname: x\nseed: 2\n", "the key seed twice, in lines 1 and 3"),
        ("llama:\n  dim: 8\n  n_head: 2\n  dim: 16\n", "the key dim twice, in lines 2 and 4"),
        ("{a: 1, 'a': 2}", "the key a twice, in lines 1 and 1"),
        ("seed: 1\nname:\n", "a blank value for name in line 2"),
        ("llama:\n  dim:   # later\n", "a blank value for dim in line 2"),
        ("[1, ]\n- ", "no valid YAML"),
        ("a:\n- 1\n-\n", "a blank value in a list in line 3"),
        ("!!int 1:30", "'1:30', which is no int"),
        ("!!float 1:30", "'1:30', which is no float"),
        ("{[1]: 2}", "unhashable key"),
        ("!!python/object/apply:os.system [ls]", "python/object"),
        ("&a [*a]", "a value that holds itself"),
        ("!!int 1_000", "'1_000', which is no int"),
        ("9" * 5000, "999..., which is no int"),
        ("{[1]: 2}", "mine.yaml: found unhashable key"),
    ],
)
def test_what_cannot_be_meant_is_an_error_with_its_line(text: str, told: str) -> None:
    with pytest.raises(InputError) as caught:
        read_yaml(text, "mine.yaml")
    message = str(caught.value)
    assert message.startswith("mine.yaml: found ") and told in message and "\n" not in message


@pytest.mark.parametrize("text", ["1:30", "0100", "yes", "1_000", "0x10"])
@pytest.mark.parametrize("key", ["steps", "lr", "auto_batch"])
def test_no_text_becomes_a_setting_of_another_type(key: str, text: str) -> None:
    values = read_yaml(f"llama_training: {{{key}: {text}}}", "mine.yaml")
    with pytest.raises(InputError, match=rf"mine.yaml: llama_training.{key}: found '{text}'"):
        from_mapping(RunConfig, values, where="mine.yaml")


TAGS = (
    "null",
    "bool",
    "int",
    "float",
    "binary",
    "timestamp",
    "omap",
    "pairs",
    "set",
    "str",
    "seq",
    "map",
    "python/name:os",
)


@pytest.mark.parametrize("content", ["x", "'%%%'", "[1]", "[[1]]", "{a: 1}", "1_0", "''"])
@pytest.mark.parametrize("tag", TAGS)
def test_an_explicit_tag_is_met_or_an_error_of_one_line(tag: str, content: str) -> None:
    for text in (f"!!{tag} {content}", f"seed: !!{tag} {content}"):
        try:
            read_yaml(text, "mine.yaml")
        except InputError as error:
            message = str(error)
            assert message.startswith("mine.yaml: found ") and "\n" not in message and "found found" not in message


def test_a_text_has_bounds() -> None:
    """Just inside is read; just outside is refused before it is built."""
    assert read_yaml("[" * DEEPEST + "0" + "]" * DEEPEST, "here")
    for text, told in [
        ("[" * (DEEPEST + 2) + "]" * (DEEPEST + 2), f"more than {DEEPEST} groups and lists within each other"),
        ("[" * 300, f"more than {DEEPEST} groups"),
        ("{a: " * 300, f"more than {DEEPEST} groups"),
        ("\n".join(" " * i + "a:" for i in range(300)) + " 1", f"more than {DEEPEST} groups"),
        (f"[{', '.join(['0'] * MOST_VALUES)}]", f"more than {MOST_VALUES:,} values"),
        ("# " + "x" * LONGEST_TEXT, f"{LONGEST_TEXT + 2:,} letters"),
    ]:
        with pytest.raises(InputError, match="^here: found ") as caught:
            read_yaml(text, "here")
        assert told in str(caught.value)


@pytest.mark.parametrize("shape", ["[{}]", "{{<<: [{}]}}", "[{}, x]"])
def test_aliases_count_with_all_that_they_name(shape: str) -> None:
    def text(lines: int, width: int) -> str:
        made = ["k0: &k0 {a: 1}"]
        made += [f"k{i}: &k{i} " + shape.format(", ".join([f"*k{i - 1}"] * width)) for i in range(1, lines)]
        return "\n".join(made)

    assert read_yaml(text(4, 2), "here")["k0"] == {"a": 1}
    with pytest.raises(InputError, match=f"here: found more than {MOST_VALUES:,} values, counting each alias"):
        read_yaml(text(8, 9), "here")
    with pytest.raises(InputError, match=f"here: found more than {DEEPEST} groups .*, counting aliases"):
        read_yaml(text(60, 1), "here")


def test_an_alias_within_what_it_names_is_refused() -> None:
    for text in ("&a [*a]", "a: &a {b: *a}"):
        with pytest.raises(InputError, match="^here: found "):
            read_yaml(text, "here")
