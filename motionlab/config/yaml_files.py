"""Settings in and out of YAML: presets by name, `key.sub=value` overrides, and one clear error for every mistake.

`yaml_values.py` reads the text, `fields.py` judges the values.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import yaml

from motionlab.config.fields import hints, shown
from motionlab.config.run import RunConfig, VlaRunConfig, run_config
from motionlab.config.yaml_values import DEEPEST, LONGEST_TEXT, Dumper, is_null, read_yaml, shortened
from motionlab.errors import InputError
from motionlab.files.reading import read_text

T = TypeVar("T")
SECRET = re.compile(r"(api_?key|token|secret|password|credential)s?$", re.IGNORECASE)
PRESETS_DIR = Path(__file__).parent / "presets"


def preset_names() -> list[str]:
    """Names of the bundled presets."""
    return sorted(path.stem for path in PRESETS_DIR.glob("*.yaml"))


def load_config(preset_or_path: str | Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Read a preset or a YAML file, apply `key.sub=value` overrides, check everything.

    An override of a whole group (`llama={dim: 64}`) replaces it: its other keys get their defaults, and a line on
    stderr says which of those the file had set.

    Raises:
        InputError: unknown preset, unreadable YAML, unknown key (with the nearest name) or a value that its key may
            not have.

    >>> load_config("tiny", ["llama_training.lr=1e-4"]).llama_training.lr
    0.0001
    """
    path = _find(preset_or_path)
    values = read_settings(path)
    kind = run_config(values)  # by the file: an override of vla.hidden makes no robot of a run of text to motion
    notes = [note for text in overrides for note in _apply_override(values, text)]
    config = from_mapping(kind, values, where=str(path.name))
    for note in notes:
        print(note, file=sys.stderr)
    return config


def from_mapping(kind: type[T], values: Mapping[str, Any], where: str) -> T:
    """Build a section from plain values; unknown keys and wrong values are errors that name the key."""
    return _build(kind, kind, values, where, prefix="")


def to_mapping(config: Any) -> dict[str, Any]:
    """The config as nested plain values."""
    return dataclasses.asdict(config)


def to_yaml(config: Any) -> str:
    """The config as YAML, in the order of the fields. Groups that its kind does not use are there if they were set."""
    values = to_mapping(config)
    unused = getattr(config, "UNUSED", ())
    defaults = to_mapping(type(config)()) if unused else {}
    shown = {name: value for name, value in values.items() if name not in unused or value != defaults[name]}
    return yaml.dump(shown, Dumper=Dumper, sort_keys=False, allow_unicode=True)


def _build(kind: Any, make: Callable[..., T], values: Mapping[str, Any], where: str, prefix: str) -> T:
    """A section with its groups, made by `make`, which is `kind` or `kind` with other defaults."""
    _refuse_unknown(kind, values, where, prefix)
    taken = dict(values)
    for field in dataclasses.fields(kind):
        group = hints(kind)[field.name]
        if field.name in values and dataclasses.is_dataclass(group):
            inner = values[field.name]
            if not isinstance(inner, Mapping):
                key, found = f"{where}: {prefix}{field.name}", shown(inner)
                raise InputError(key, found=found, expected="a group of keys", fix="Indent its keys below.")
            factory: Any = field.default_factory
            taken[field.name] = _build(group, factory, inner, where, f"{prefix}{field.name}.")
    try:
        return make(**taken)
    except InputError as error:  # the section knows its field; the file knows which section it is
        name = error.where.removeprefix(prefix)
        named = InputError(f"{where}: {prefix}{name}", found=error.found, expected=error.expected, fix=error.fix)
        raise named from None


def _find(preset_or_path: str | Path) -> Path:
    path = Path(preset_or_path)
    if path.suffix in (".yaml", ".yml"):
        if not os.path.isfile(path):  # False for a name that is too long, too, where Path.is_file raises
            raise InputError(path, found="no such file", expected="a YAML file", fix="Check the path.")
        return path
    names = preset_names()
    if str(preset_or_path) not in names:
        near = difflib.get_close_matches(str(preset_or_path), names, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else "Name a preset, or a file that ends in .yaml."
        raise InputError("preset", found=repr(str(preset_or_path)), expected="one of " + ", ".join(names), fix=hint)
    return PRESETS_DIR / f"{preset_or_path}.yaml"


def read_settings(path: Path) -> dict[str, Any]:
    """The values of a YAML file as they were written; which of them are settings is not judged.

    Raises:
        InputError: no such file, no YAML, or more than settings can be meant to have.
    """
    text = read_text(path, expected="a YAML file in UTF-8", fix="Check the path.", most=4 * LONGEST_TEXT)
    values = read_yaml(text, path)
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise InputError(path, found=type(values).__name__, expected="key: value lines", fix="Fix the file.")
    return values


def _apply_override(values: dict[str, Any], text: str) -> list[str]:
    """Put one override into the values; returns notes for the user."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        found, fix = shown(text), "For example llama_training.lr=1e-4."
        raise InputError("override", found=found, expected="key=value", fix=fix)
    *sections, last = key.split(".")
    if len(sections) > DEEPEST:
        found, expected = f"{len(sections)} groups in a key", "a key such as llama_training.lr"
        raise InputError("override", found=found, expected=expected, fix="Check the key.")
    target = values
    for section in sections:
        target = target.setdefault(section, {})
        if not isinstance(target, dict):
            raise InputError(
                f"override {shortened(text)}", found=f"{section} is a value", expected="a group", fix="Check the key."
            )
    before, now = target.get(last), read_yaml(value, f"override {key}")
    if now is None and not is_null(value):
        fix = "Write null for nothing."
        raise InputError(f"override {key}", found="a blank value", expected="a YAML value", fix=fix)
    target[last] = now
    return _reset(key, before, now) if isinstance(before, dict) and isinstance(now, dict) else []


def _reset(key: str, before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """An override of a group replaces all of it, which is easily overlooked: the rest falls back to the defaults."""
    reset = [f"{key}.{name} (was {shown(before[name])})" for name in before if name not in now]
    return [f"note: {key}={{...}} replaces the whole group and resets {', '.join(reset)}"] if reset else []


def _refuse_unknown(kind: type, values: Mapping[str, Any], where: str, prefix: str) -> None:
    for key in values:
        if key in hints(kind):
            continue
        name = key if isinstance(key, str) else shown(key)
        near = difflib.get_close_matches(name, hints(kind), n=1)
        if not prefix and name in hints(VlaRunConfig):
            expected = "one of " + ", ".join(hints(kind))
            fix = "Begin with --preset vla, or with a file that has a section vla."
            raise InputError(
                f"{where}: {prefix}{name}", found="a section of the robot half", expected=expected, fix=fix
            )
        elsewhere = [full for full in _keys(run_config()) if f".{full}".endswith(f".{name}")]
        if not near and SECRET.search(str(key)):  # the value is not named: it may be one
            raise InputError(
                f"{where}: {prefix}{name}",
                found="a key that looks like a secret",
                expected="settings only",
                fix="Set it in the environment (such as WANDB_API_KEY); this file is copied into runs and reports.",
            )
        fix = f"Did you mean {prefix}{near[0]}?" if near else "Remove it."
        if name in elsewhere and "." in name:  # in a file, where sections are indented
            section, _, last = name.rpartition(".")
            fix = f"Write {last} indented below {section}."
        elif elsewhere and not near:
            fix = f"Did you mean {' or '.join(elsewhere)}?"
        expected = "one of " + ", ".join(hints(kind))
        raise InputError(f"{where}: {prefix}{name}", found="an unknown key", expected=expected, fix=fix)


def _keys(kind: type, prefix: str = "") -> Iterator[str]:
    """Every key of a section and of the sections in it, with dots."""
    for name, hint in hints(kind).items():
        if dataclasses.is_dataclass(hint):
            yield from _keys(cast(type, hint), f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"
