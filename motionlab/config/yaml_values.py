"""YAML as a person reads it: `yaml.safe_load` without its surprises.

YAML 1.1 reads `1:30` as 90, `0100` as 64, `no` as false and `1e-3` as text, silently takes the last of two equal
keys, and a blank value as null. Here a plain value is null, true, false, a decimal number, or the text that was written
(the core schema of YAML 1.2); a key that appears twice and a blank value are errors that name their lines.

A text may be short and yet cost minutes: lists in lists in lists, or an alias of aliases, which doubles its content in
each line. So the length, the depth, and the number of values with every alias written out are bounded while it is read.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from motionlab.errors import InputError

LONGEST_TEXT = 1 << 16  # letters; the longest preset with every key has 5,000
DEEPEST = 20  # groups and lists within each other; settings have 3
MOST_VALUES = 10_000  # keys and values, aliases written out; settings have 250
NULL = re.compile(r"^(?:~|null|Null|NULL|)$")
BOOL = re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$")
INT = re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$")
FLOAT = re.compile(
    r"^[-+]?(?:(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+|\.(?:inf|Inf|INF))$|^\.(?:nan|NaN|NAN)$"
)
RULES = (
    ("null", NULL, ["~", "n", "N", ""]),
    ("bool", BOOL, list("tTfF")),
    ("int", INT, list("-+0123456789")),
    ("float", FLOAT, list("-+.0123456789")),
    ("merge", re.compile(r"^<<$"), ["<"]),
)


class Loader(yaml.SafeLoader):
    """`yaml.SafeLoader` with the rules of this module."""

    yaml_implicit_resolvers = {}

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.depth = 0
        self.sizes: dict[str, tuple[int, int]] = {}  # anchor -> values and depth of what it names
        self.here = [(0, 0)]  # the same of each node that is being read

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """A node; refuses one that would be too large or too deep with every alias in it written out."""
        event = self.peek_event()
        anchor, is_alias = event.anchor, isinstance(event, yaml.AliasEvent)
        self.here.append(self.sizes.get(anchor, (1, 0)) if is_alias else (1, 0))
        if len(self.here) > DEEPEST + 2:
            raise _limit(f"more than {DEEPEST} groups and lists within each other", event)
        node = super().compose_node(parent, index)
        count, depth = self.here.pop()
        if anchor is not None and not is_alias:
            self.sizes[anchor] = count, depth
        above, deepest = self.here[-1]
        self.here[-1] = above + count, max(deepest, depth + 1)
        if self.here[-1][0] > MOST_VALUES:
            raise _limit(f"more than {MOST_VALUES:,} values, counting each alias with all that it names", event)
        if len(self.here) + self.here[-1][1] > DEEPEST + 2:
            raise _limit(f"more than {DEEPEST} groups and lists within each other, counting aliases", event)
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping in which each key appears once, with a value."""
        lines: dict[str, int] = {}
        for key, value in node.value if isinstance(node, yaml.MappingNode) else ():  # no mapping: refused below
            name, line = str(key.value), key.start_mark.line + 1
            if name in lines and isinstance(key, yaml.ScalarNode) and name != "<<":
                raise _error(f"the key {name} twice, in lines {lines[name]} and {line}", key)
            lines[name] = line
            if _is_blank(value):
                raise _error(f"a blank value for {name} in line {line} (write null for nothing)", value)
        return super().construct_mapping(node, deep)

    def construct_sequence(self, node: yaml.SequenceNode, deep: bool = False) -> list[Any]:
        """A list without blank values."""
        for value in node.value if isinstance(node, yaml.SequenceNode) else ():
            if _is_blank(value):
                raise _error(f"a blank value in a list in line {value.start_mark.line + 1}", value)
        return super().construct_sequence(node, deep)


class Dumper(yaml.SafeDumper):
    """`yaml.SafeDumper` that puts quotes around every text that either version of YAML would read as a number."""


def _number(kind: type) -> Any:
    def construct(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> Any:
        text = str(loader.construct_scalar(node)).lower()
        try:
            if "_" in text or not text.isascii():  # Python would take 1_000
                raise ValueError
            return kind(text.replace(".inf", "inf").replace(".nan", "nan"))
        except ValueError:  # an explicit tag, such as !!int 1:30, or more digits than Python reads
            raise _error(f"{shortened(repr(text))}, which is no {kind.__name__}", node) from None

    return construct


for _name, _pattern, _first in RULES:
    Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", _pattern, _first)
Dumper.add_implicit_resolver("tag:yaml.org,2002:float", FLOAT, list("-+.0123456789"))
Loader.add_constructor("tag:yaml.org,2002:int", _number(int))
Loader.add_constructor("tag:yaml.org,2002:float", _number(float))


def read_yaml(text: str, where: object) -> Any:
    """The values of a YAML text.

    Args:
        where: names the text in errors.

    Raises:
        InputError: no valid YAML, a key twice, a blank value, or more than settings can be meant to have.

    >>> read_yaml("{a: 1e-3, b: 1:30, c: 0100, d: no, e: ~}", "example")
    {'a': 0.001, 'b': '1:30', 'c': '0100', 'd': 'no', 'e': None}
    """
    if len(text) > LONGEST_TEXT:
        found, expected = f"{len(text):,} letters", f"settings of at most {LONGEST_TEXT:,} letters"
        raise InputError(where, found=found, expected=expected, fix="Leave out what is not a setting.")
    try:
        return _unshared(yaml.load(text, Loader=Loader))
    except yaml.constructor.ConstructorError as error:
        found = " ".join((error.problem or "").split()).removeprefix("found ")
        raise InputError(where, found=found, expected="each key once, with a value", fix="Fix that line.") from None
    except (yaml.YAMLError, RecursionError) as error:
        endless = isinstance(error, RecursionError)
        reason = "a value that holds itself, or too many in one another" if endless else " ".join(str(error).split())
        raise InputError(
            where, found=f"no valid YAML ({reason})", expected="key: value lines", fix="Fix it, or quote the text."
        ) from None
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:  # a tag, such as !!bool x
        found = f"a value that does not fit its tag ({shortened(repr(error))})"
        raise InputError(where, found=found, expected="plain values", fix="Leave the tag (!!...) out.") from None


def is_null(text: str) -> bool:
    """Whether a YAML text says null, rather than nothing at all (blank, or only a comment).

    >>> is_null("null  # off"), is_null("# off")
    (True, False)
    """
    plain = text.partition(" #")[0].strip()
    return plain != "" and NULL.match(plain) is not None


def shortened(text: str, longest: int = 100) -> str:
    """A text for a message, cut where it is too long to be read.

    >>> shortened("1" * 1000, 10)
    '1111111...'
    """
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def _is_blank(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.value == "" and node.style is None


def _limit(problem: str, event: yaml.Event) -> yaml.constructor.ConstructorError:
    line = event.start_mark.line + 1 if event.start_mark else 1
    return yaml.constructor.ConstructorError(None, None, f"{problem}, in line {line}")


def _error(problem: str, node: yaml.Node) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


def _unshared(value: Any) -> Any:
    """A copy in which no two places are one object, as `*alias` makes them: an override must change one place only."""
    if isinstance(value, dict):
        return {key: _unshared(part) for key, part in value.items()}
    return [_unshared(part) for part in value] if isinstance(value, list) else value
