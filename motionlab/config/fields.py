"""How a setting is declared: its default, what it means, and which values it may have.

    temperature: float = setting(1.0, "below 1 sharper, above 1 flatter", above=0)

This one line drives everything else that is known about the setting. `Section` refuses every other value as soon as
the settings are made, before any work begins, and `motionlab config` prints the default, the range and the sentence.

The annotation gives the type, and nothing is converted by guessing: "3" is not 3, 1.5 is not a whole number, and true
is not 1. Only a whole number where a fraction is allowed becomes a float. nan and inf are no settings. `| None` allows
null, and only null ever means "the default" or "off"; 0 is a number like any other.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from types import NoneType, UnionType
from typing import Any, ClassVar, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from motionlab.config.yaml_values import shortened
from motionlab.environment import usable_path
from motionlab.errors import InputError

T = TypeVar("T")
Test = Callable[[Any], bool]
KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
CHANGE = "Change this key."
LARGEST = 2**31 - 1  # of a whole number without a limit of its own: more overflows somewhere far from its key


@dataclasses.dataclass(frozen=True)
class Rule:
    """The values that a setting may have, besides their type. The limits of a list hold for each of its values."""

    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None
    length: int | None = None  # of a list
    test: Test | None = None  # anything that limits cannot say, in the words of `says`
    says: str = ""
    fix: str = CHANGE

    def allows(self, value: Any) -> bool:
        """Whether one value is within the limits.

        >>> Rule(at_least=0, below=1).allows(1.0), Rule().allows(float("nan"))
        (False, False)
        """
        if isinstance(value, float) and not math.isfinite(value):
            return False
        if self.is_huge(value):
            return False
        return (
            (self.at_least is None or value >= self.at_least)
            and (self.above is None or value > self.above)
            and (self.at_most is None or value <= self.at_most)
            and (self.below is None or value < self.below)
            and (self.test is None or self.test(value))
        )

    def is_huge(self, value: Any) -> bool:
        """Whether a whole number without an upper limit is larger than anything that can be meant."""
        return type(value) is int and self.at_most is None and self.below is None and value > LARGEST

    @property
    def limits(self) -> str:
        """The limits in words.

        >>> Rule(at_least=0, at_most=1).limits, Rule(above=0, at_most=1).limits, Rule(at_least=1).limits
        ('0 to 1', 'above 0, at most 1', '1 or more')
        """
        if self.at_least is not None and self.at_most is not None:
            return f"{self.at_least} to {self.at_most}"
        parts = [] if self.at_least is None else [f"{self.at_least} or more"]
        names = (("above", self.above), ("at most", self.at_most), ("below", self.below))
        return ", ".join([*parts, *(f"{name} {limit}" for name, limit in names if limit is not None)])


def setting(
    default: T,
    help: str,
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
    length: int | None = None,
    test: Test | None = None,
    says: str = "",
    fix: str = CHANGE,
) -> T:
    """A field of a section: default, sentence and limits on one line. A list is copied for every section."""
    metadata = {"help": help, "rule": Rule(at_least, above, at_most, below, length, test, says, fix)}
    if isinstance(default, list):
        return dataclasses.field(default_factory=lambda: list(default), metadata=metadata)  # type: ignore[return-value]
    return dataclasses.field(default=default, metadata=metadata)


def required(help: str, **limits: Any) -> Any:
    """A field without a default: the caller must choose."""
    return dataclasses.field(metadata={"help": help, "rule": Rule(**limits)})


def seed_setting(help: str) -> int:
    """A field that holds a seed: of a size that every random generator takes."""
    return setting(0, help, at_least=0, at_most=2**32 - 1)


def is_path(path: str) -> bool:
    """Whether a file or folder can have this name; a test of a setting."""
    try:
        usable_path(path)
    except InputError:
        return False
    return True


def group(kind: type[T], help: str, **defaults: Any) -> T:
    """A field that is itself a section; `defaults` are those that differ from the section's own."""
    factory = functools.partial(kind, **defaults) if defaults else kind
    return dataclasses.field(default_factory=factory, metadata={"help": help})


class Section:
    """Base of every section: checks each field when it is made, then how the fields belong together.

    Raises:
        InputError: names the first wrong field as `section.field`.
    """

    NAME: ClassVar[str] = (
        ""  # of the section, for messages; the two trainings share a class and get theirs from the file
    )

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            checked = check_value(type(self), field, value, self.key(field.name))
            if checked is not value:
                object.__setattr__(self, field.name, checked)  # a section may be frozen
        self.check_relations()

    def check_relations(self) -> None:
        """Whether the fields belong together; a section with such rules has its own."""

    def require(self, name: str, condition: bool, expected: str, fix: str = CHANGE) -> None:
        """Raise an InputError that names the field when a condition does not hold."""
        if not condition:
            raise InputError(self.key(name), found=shown(getattr(self, name)), expected=expected, fix=fix)

    def key(self, name: str) -> str:
        """The field as a user writes it: `section.field`."""
        return f"{self.NAME}.{name}" if self.NAME else name


def check_value(kind: type, field: dataclasses.Field[Any], value: Any, key: str) -> Any:
    """The value of a field in its own type; an InputError that names `key` when it is none that the field may have."""
    rule: Rule | None = field.metadata.get("rule")
    hint = hints(kind)[field.name]
    if rule is None:  # a section
        if not isinstance(value, hint):
            raise InputError(key, found=shown(value), expected="a group of keys", fix="Indent its keys below.")
        return value
    good, value = _read(hint, rule, value)
    if not good:
        huge = any(rule.is_huge(part) for part in (value if isinstance(value, list) else [value]))
        limit = f" (at most {LARGEST})" if huge else ""
        raise InputError(key, found=shown(value), expected=allowed_values(kind, field) + limit, fix=rule.fix)
    return value


def allowed_values(kind: type, field: dataclasses.Field[Any]) -> str:
    """Type, choices and limits of a field in words, such as "a whole number, 1 or more, or null"."""
    rule: Rule = field.metadata["rule"]
    inner, optional = without_none(hints(kind)[field.name])
    if get_origin(inner) is list:
        item = _described(get_args(inner)[0], rule)
        length = f" of {rule.length}" if rule.length else ""
        text = f"a list{length}, each of them {item}"
    else:
        text = _described(inner, rule)
    return f"{text}, or null" if optional else text


def shown(value: Any) -> str:
    """A value as a user would have written it; a long one is cut.

    >>> shown(None), shown(True), shown("3"), shown([0.9, None])
    ('null', 'true', "'3'", '[0.9, null]')
    """
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int) and abs(value) >= 10**100:  # Python does not write more than 4,300 digits
        return "a whole number of more than 100 digits"
    if isinstance(value, list):
        return shortened(f"[{', '.join(shown(part) for part in value)}]")
    try:
        return shortened(repr(value))
    except (ValueError, RecursionError):  # such a whole number within something else
        return f"a {type(value).__name__} that is too large to be shown"


@functools.cache
def hints(kind: type) -> dict[str, Any]:
    """The types of a section's fields."""
    return {field.name: get_type_hints(kind)[field.name] for field in dataclasses.fields(kind)}


def without_none(hint: Any) -> tuple[Any, bool]:
    """A type without its `| None`, and whether it had one."""
    if get_origin(hint) in (Union, UnionType):
        (inner,) = [part for part in get_args(hint) if part is not NoneType]
        return inner, True
    return hint, False


def _read(hint: Any, rule: Rule, value: Any) -> tuple[bool, Any]:
    """Whether a value is allowed here, and the value in the type of the field."""
    hint, optional = without_none(hint)
    if value is None:
        return optional, None
    if get_origin(hint) is list:
        if not isinstance(value, list | tuple) or rule.length not in (None, len(value)):
            return False, value
        parts = [_read(get_args(hint)[0], rule, part) for part in value]
        return all(good for good, _ in parts), [part for _, part in parts]
    if get_origin(hint) is Literal:  # 1 == True, so the types are compared as well
        return any(value == choice and type(value) is type(choice) for choice in get_args(hint)), value
    if hint is float and type(value) is int and abs(value) < 2**1023:
        value = float(value)
    good = isinstance(value, hint) and not (hint is not bool and isinstance(value, bool))
    return good and rule.allows(value) and value != "", value


def _described(hint: Any, rule: Rule) -> str:
    if get_origin(hint) is Literal:
        names = [str(choice) for choice in get_args(hint)]
        return f"{', '.join(names[:-1])} or {names[-1]}"
    if rule.says:
        return rule.says
    return ", ".join(part for part in (KINDS[hint], rule.limits) if part)
