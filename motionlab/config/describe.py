"""Settings as a person looks them up: value, default, allowed values and sentence of every key."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterator
from typing import Any, NamedTuple

from motionlab.config.fields import allowed_values, hints, shown
from motionlab.config.run import RunConfig, VlaRunConfig
from motionlab.errors import InputError


class Described(NamedTuple):
    """One key of a config."""

    key: str
    value: Any
    default: Any
    allowed: str  # type, choices and range in words
    sentence: str


def describe(config: RunConfig, key: str | None = None) -> list[Described]:
    """All keys of a config that are used or were set, those of one section, or one key.

    Raises:
        InputError: no such section or key; the nearest one is named.

    >>> print(describe(RunConfig(), "llama.n_layer")[0])
    Described(key='llama.n_layer', value=12, default=12, allowed='a whole number, 1 or more', \
sentence='transformer blocks')
    """
    rows = list(_rows(config, type(config)(), ""))  # with the sections of further stages
    if key is None:
        unused = set(getattr(config, "UNUSED", ()))
        set_anyway = {row.key.partition(".")[0] for row in rows if row.value != row.default}
        return [row for row in rows if row.key.partition(".")[0] not in unused - set_anyway]
    found = [row for row in rows if row.key == key or row.key.startswith(f"{key}.")]
    if not found:
        sections = [field.name for field in dataclasses.fields(config)]
        names = [*sections, *(row.key for row in rows), *(row.key.rpartition(".")[2] for row in rows)]
        near = difflib.get_close_matches(key, names, n=1)
        same = [row.key for row in rows if near and (row.key == near[0] or row.key.endswith(f".{near[0]}"))] or near
        fix = f"Did you mean {' or '.join(same)}?" if near else "Leave it out to see all."
        if key.partition(".")[0] in hints(VlaRunConfig):
            fix = "It belongs to the robot half: add --preset vla." if not same else fix
        raise InputError("key", found=repr(key), expected="a section or a key of the config", fix=fix)
    return found


def format_described(rows: list[Described]) -> str:
    """A table; a single key as lines with names.

    >>> print(format_described(describe(RunConfig(), "corpus.n_train")))
    corpus.n_train: clips in the training split
      value    1600
      default  1600
      allowed  a whole number, 1 or more
    """
    if len(rows) == 1:
        (row,) = rows
        parts = {"value": shown(row.value), "default": shown(row.default), "allowed": row.allowed}
        return "\n".join([f"{row.key}: {row.sentence}", *(f"  {name:<7}  {text}" for name, text in parts.items())])
    table = [(row.key, shown(row.value), shown(row.default), row.allowed, row.sentence) for row in rows]
    table.insert(0, ("key", "value", "default", "allowed", "meaning"))
    widths = [max(len(line[column]) for line in table) for column in range(3)]
    return "\n".join(
        f"{key:<{widths[0]}}  {value:<{widths[1]}}  {default:<{widths[2]}}  {sentence} [{allowed}]"
        for key, value, default, allowed, sentence in table
    )


def _rows(config: Any, default: Any, prefix: str) -> Iterator[Described]:
    for field in dataclasses.fields(config):
        key, value, usual = f"{prefix}{field.name}", getattr(config, field.name), getattr(default, field.name)
        if dataclasses.is_dataclass(value):
            yield from _rows(value, usual, f"{key}.")
        else:
            yield Described(key, value, usual, allowed_values(type(config), field), field.metadata["help"])
