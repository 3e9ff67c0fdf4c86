"""The settings of somebody else's model, `config.json`: each field with its type, each fault with file and field."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from motionlab.errors import InputError
from motionlab.files.reading import read_text, refusing

QUANTISED = ("quantization_config", "compression_config", "quantization", "quant_config")
"""Keys under which programs say how weights were quantised."""


@dataclass(frozen=True)
class ForeignConfig:
    """Fields by name; null is the same as a missing field, as in transformers.

    Attributes:
        where: the file, for messages.
        fix: the advice of every message.

    >>> ForeignConfig("config.json", {"d_model": 16}, fix="Use another model.").whole("d_model")
    16
    """

    where: str
    values: Mapping[str, Any]
    fix: str

    def __contains__(self, key: str) -> bool:
        return self.values.get(key) is not None

    def whole(self, key: str, default: int | None = None, *, least: int = 1) -> int:
        """A whole number of `least` or more."""
        value = self._value(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            self.refuse(key, value, f"a whole number of {least} or more")
        return value

    def number(self, key: str, default: float | None = None, *, least: float = 0.0) -> float:
        """A finite number above 0, and of `least` or more."""
        value = self._value(key, default)
        good = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300
        if not good or not math.isfinite(value) or value <= 0 or value < least:
            self.refuse(key, value, f"a number of {least} or more" if least else "a number above 0")
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        """True or false."""
        value = self._value(key, default)
        if not isinstance(value, bool):
            self.refuse(key, value, "true or false")
        return value

    def text(self, key: str, choices: Collection[str], default: str | None = None) -> str:
        """One of some words."""
        value = self._value(key, default)
        if not isinstance(value, str) or value not in choices:
            self.refuse(key, value, " or ".join(choices))
        return value

    def section(self, key: str) -> ForeignConfig | None:
        """A group of fields; None when it is missing or empty."""
        value = self.values.get(key)
        if value is None or value == {}:
            return None
        if not isinstance(value, Mapping):
            self.refuse(key, value, "a group of fields")
        return ForeignConfig(f"{self.where}: {key}", value, self.fix)

    def refuse_quantised(self) -> None:
        """Raise InputError when the settings say that the weights are quantised."""
        for key in QUANTISED:
            if self.values.get(key) not in (None, {}):
                self.refuse(key, "quantised weights", "plain weights")

    def refuse(self, key: str, found: object, expected: object) -> NoReturn:
        """Raise the InputError of a field."""
        words = f"a {type(found).__name__}" if isinstance(found, dict | list) else str(found)[:120]
        where = f"{self.where}: {key[:120]}"
        raise InputError(where, found="nothing" if found is None else words, expected=expected, fix=self.fix)

    def _value(self, key: str, default: object) -> Any:
        value = self.values.get(key)
        return default if value is None else value


def read_foreign_config(folder: Path, expected: str, fix: str) -> ForeignConfig:
    """The `config.json` of a folder.

    Raises:
        InputError: it is missing or no JSON object; the weights are quantised or an adapter.
    """
    path = folder / "config.json"
    if (folder / "adapter_config.json").exists():
        raise InputError(
            folder / "adapter_config.json",
            found="a LoRA adapter",
            expected="a whole model",
            fix="Merge the adapter into its model (merge_and_unload of peft) and save that.",
        )
    text = read_text(path, expected=expected, fix=fix)
    with refusing(path, expected=expected, fix=fix):
        values = json.loads(text)
    if not isinstance(values, dict):
        raise InputError(path, found=f"a {type(values).__name__}", expected=expected, fix=fix)
    config = ForeignConfig(str(path), values, fix)
    config.refuse_quantised()
    return config
