"""Settings in and out of YAML: presets by name, `key.sub=value` overrides, and one clear error for every mistake.

pydantic checks and converts the values, so `1e-4` is a number here, although YAML 1.1 reads it as text.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import yaml

from motionlab.config import RunConfig, run_config
from motionlab.errors import InputError

T = TypeVar("T")
SECRET = re.compile(r"(api_?key|token|secret|password|credential)s?$", re.IGNORECASE)
PRESETS_DIR = Path(__file__).parent / "presets"


def preset_names() -> list[str]:
    """Names of the bundled presets."""
    return sorted(path.stem for path in PRESETS_DIR.glob("*.yaml"))


def load_config(preset_or_path: str | Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Read a preset or a YAML file, apply `key.sub=value` overrides, check everything.

    Raises:
        InputError: unknown preset, unreadable YAML, unknown key (with the nearest name) or a value of the wrong type.

    >>> load_config("tiny", ["llama_training.lr=1e-4"]).llama_training.lr
    0.0001
    """
    path = _find(preset_or_path)
    values = _read_yaml(path)
    for text in overrides:
        _apply_override(values, text)
    return from_mapping(run_config(), values, where=str(path.name))


def from_mapping(kind: type[T], values: Mapping[str, Any], where: str) -> T:
    """Build a config dataclass from plain values; unknown keys and wrong types are errors that name the key."""
    from pydantic import TypeAdapter, ValidationError

    _refuse_unknown(kind, values, where, prefix="")
    try:
        return TypeAdapter(kind).validate_python(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        cause = first.get("ctx", {}).get("error")
        if isinstance(cause, InputError):  # a range check of __post_init__, which knows its field but not its group
            key = f"{key}.{cause.where}" if key else cause.where
            raise InputError(f"{where}: {key}", found=cause.found, expected=cause.expected, fix=cause.fix) from None
        raise InputError(
            f"{where}: {key}", found=repr(first["input"]), expected=first["msg"], fix="Change this key."
        ) from None


def to_mapping(config: Any) -> dict[str, Any]:
    """The config as nested plain values."""
    return dataclasses.asdict(config)


def to_yaml(config: Any) -> str:
    """The config as YAML, in the order of the fields."""
    return yaml.safe_dump(to_mapping(config), sort_keys=False, allow_unicode=True)


def _find(preset_or_path: str | Path) -> Path:
    path = Path(preset_or_path)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise InputError(path, found="no such file", expected="a YAML file", fix="Check the path.")
        return path
    candidate = PRESETS_DIR / f"{preset_or_path}.yaml"
    if not candidate.is_file():
        names = preset_names()
        near = difflib.get_close_matches(str(preset_or_path), names, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else "Name a preset, or a file that ends in .yaml."
        raise InputError("preset", found=repr(str(preset_or_path)), expected="one of " + ", ".join(names), fix=hint)
    return candidate


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            path, found=f"no valid YAML ({reason})", expected="key: value lines", fix="Mend the file."
        ) from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise InputError(path, found=type(values).__name__, expected="key: value lines", fix="Mend the file.")
    return values


def _apply_override(values: dict[str, Any], text: str) -> None:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise InputError("override", found=repr(text), expected="key=value", fix="For example llama_training.lr=1e-4.")
    *sections, last = key.split(".")
    target = values
    for section in sections:
        target = target.setdefault(section, {})
        if not isinstance(target, dict):
            raise InputError(
                f"override {text}", found=f"{section} is a value", expected="a group", fix="Check the key."
            )
    try:
        target[last] = yaml.safe_load(value)
    except yaml.YAMLError:
        raise InputError(f"override {key}", found=repr(value), expected="a YAML value", fix="Quote it.") from None


def _refuse_unknown(kind: type, values: Mapping[str, Any], where: str, prefix: str) -> None:
    hints = get_type_hints(kind)
    for key, value in values.items():
        if key not in hints:
            near = difflib.get_close_matches(str(key), hints, n=1)
            if not near and SECRET.search(str(key)):  # the value is not named: it may be one
                raise InputError(
                    f"{where}: {prefix}{key}",
                    found="a key that looks like a secret",
                    expected="settings only",
                    fix="Set it in the environment (such as WANDB_API_KEY); this file is copied into runs and reports.",
                )
            raise InputError(
                f"{where}: {prefix}{key}",
                found="an unknown key",
                expected="one of " + ", ".join(hints),
                fix=f"Did you mean {prefix}{near[0]}?" if near else "Remove it.",
            )
        if dataclasses.is_dataclass(hints[key]):
            if not isinstance(value, Mapping):
                raise InputError(
                    f"{where}: {prefix}{key}",
                    found=repr(value),
                    expected="a group of keys",
                    fix="Indent its keys below.",
                )
            _refuse_unknown(hints[key], value, where, f"{prefix}{key}.")
