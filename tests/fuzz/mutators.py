"""Seeded changes of a file's content: what a broken disk, a half download, another program or a careless hand leaves.

A mutator takes the content and a random generator and returns other content. It knows the kind of file, never a reader.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from typing import Any

Mutator = Callable[[bytes, random.Random], bytes]
NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
NUMBERS = (
    b"0", b"-1", b"-0.0", b"99999", b"1e-7", b"1e-320", b"1e308", b"1e999", b"-1e999", b"NaN", b"Infinity", b".inf",
    b"2147483648",
    b"9223372036854775808", b"-9223372036854775809", b"1" * 40, b"9" * 5000, b"0.1e", b"1_000", b"0x10", b"1:30",
)  # fmt: skip
WORDS = (
    b"null", b"true", b"[]", b"{}", b'""', b"~", b"\x00", b"\x1b[31m", b"\xff\xfe", b"\xed\xa0\x80", b"\\ud800",
    b'"\\ud800"', b"\r\n", b"\t", "\u202e".encode(), "走".encode(), b"$", b"|", b"{", b"}", b"[", b"]", b":", b",",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, 10**30, 10**400, 1e308, float("nan"), float("inf"), 0.5, "", "x",
    "\ud800", "\x1b[2J", "a\nb", "$x$", "x" * 5000, [], {}, [0], [[]], {"": 0}, ["x"] * 3, [1e308] * 4,
)  # fmt: skip
TAGS = ("int", "float", "bool", "null", "str", "seq", "map", "set", "omap", "pairs", "binary", "timestamp", "merge")


def flip_bits(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 8))):
        if changed:
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def truncate(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def delete_run(data: bytes, rng: random.Random) -> bytes:
    start, length = _run(data, rng)
    return data[:start] + data[start + length :]


def duplicate_run(data: bytes, rng: random.Random) -> bytes:
    start, length = _run(data, rng)
    times = rng.choice((1, 1, 2, 20))
    return data[:start] + data[start : start + length] * times + data[start:]


def insert_bytes(data: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(data) + 1)
    return data[:start] + rng.randbytes(rng.choice((1, 2, 8, 64))) + data[start:]


def replace_number(data: bytes, rng: random.Random) -> bytes:
    """A number becomes an extreme one."""
    found = list(NUMBER.finditer(data))
    if not found:
        return insert_word(data, rng)
    match = rng.choice(found)
    return data[: match.start()] + rng.choice(NUMBERS) + data[match.end() :]


def insert_word(data: bytes, rng: random.Random) -> bytes:
    """A word that means something somewhere: null, an escape sequence, half a surrogate pair, a bracket."""
    start = rng.randrange(len(data) + 1)
    return data[:start] + rng.choice(WORDS) * rng.choice((1, 1, 1, 3, 200)) + data[start:]


def change_lines(data: bytes, rng: random.Random) -> bytes:
    """A line is lost, doubled, or put elsewhere."""
    lines = data.split(b"\n")
    line = lines.pop(rng.randrange(len(lines)))
    for _ in range(rng.choice((0, 1, 2, 50))):
        lines.insert(rng.randrange(len(lines) + 1), line)
    return b"\n".join(lines)


def nest(data: bytes, rng: random.Random) -> bytes:
    """Brackets within brackets, closed or not, in the place of a value."""
    depth, pair = rng.choice((5, 30, 300, 3000)), rng.choice(((b"[", b"]"), (b'{"a":', b"}"), (b"{", b"}")))
    inner = pair[0] * depth + b"0" + (pair[1] * depth if rng.random() < 0.7 else b"")
    match = rng.choice(list(NUMBER.finditer(data)) or [None])
    start, end = (match.start(), match.end()) if match else (len(data), len(data))
    return data[:start] + inner + data[end:]


def json_value(data: bytes, rng: random.Random) -> bytes:
    """A value, anywhere in the document or in one of its lines, becomes one of another type."""
    return _in_json(data, rng, lambda parent, key: parent.__setitem__(key, rng.choice(VALUES)))


def json_remove(data: bytes, rng: random.Random) -> bytes:
    """A key or an entry is gone."""
    return _in_json(data, rng, lambda parent, key: parent.__delitem__(key))


def json_rename(data: bytes, rng: random.Random) -> bytes:
    """A value gets another key, or appears under one more."""

    def change(parent: Any, key: Any) -> None:
        if isinstance(parent, dict):
            name = rng.choice((f"{key}x", "", "\ud800", "\x1b[1m", "$a$", "__class__", "x" * 3000))
            parent[name] = parent.pop(key) if rng.random() < 0.5 else parent[key]
        else:
            parent.insert(key, parent[key])

    return _in_json(data, rng, change)


def json_multiply(data: bytes, rng: random.Random) -> bytes:
    """A list becomes many times as long."""

    def change(parent: Any, key: Any) -> None:
        parent[key] = (parent[key] if isinstance(parent[key], list) else [parent[key]]) * rng.choice((2, 10, 1000))

    return _in_json(data, rng, change)


def yaml_aliases(data: bytes, rng: random.Random) -> bytes:
    """Each line names the one before several times."""
    width, count = rng.choice((1, 2)), rng.choice((2, 6, 12))  # at most 4,096 values when each is counted
    shape = rng.choice(("[{}]", "{{<<: [{}]}}", "{{a: {}}}"))
    lines = [f"k0: &k0 {rng.choice(('[0, 1]', '{a: 1}', 'x'))}"]
    for i in range(1, count):
        lines.append(f"k{i}: &k{i} " + shape.format(", ".join([f"*k{i - 1}"] * (1 if "a:" in shape else width))))
    return b"\n".join([*data.split(b"\n"), *(line.encode() for line in lines), b""])


def yaml_word(data: bytes, rng: random.Random) -> bytes:
    """A value gets a tag, an anchor, an alias, a block mark, or an escape."""
    words = (
        f"!!{rng.choice(TAGS)} ", "&a ", "*a ", "- ", "? ", "| ", "> ", "---\n", "%YAML 9.9\n", "<<: ",
        '"\\U99999999"', '"\\ud800"', "{", "[", "!x!y ", "# ",
    )  # fmt: skip
    lines = data.split(b"\n")
    at = rng.randrange(len(lines))
    key, colon, value = lines[at].partition(b": ")
    lines[at] = key + colon + rng.choice(words).encode() + value
    return b"\n".join(lines)


MUTATORS: dict[str, tuple[Mutator, ...]] = {
    "bytes": (flip_bits, truncate, delete_run, duplicate_run, insert_bytes),
    "text": (replace_number, replace_number, insert_word, change_lines, nest),
    "json": (json_value, json_value, json_remove, json_rename, json_multiply),
    "yaml": (yaml_aliases, yaml_word, yaml_word),
}


def mutate(data: bytes, kinds: tuple[str, ...], rng: random.Random) -> bytes:
    """The content after one change, often, or a few."""
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        data = rng.choice(MUTATORS[rng.choice(kinds)])(data, rng)
    return data


def _run(data: bytes, rng: random.Random) -> tuple[int, int]:
    return rng.randrange(len(data) + 1), rng.choice((1, 2, 8, 64, 512))


def _in_json(data: bytes, rng: random.Random, change: Callable[[Any, Any], None]) -> bytes:
    """Change one place of a JSON document, or of one line of several; other content gets another mutation."""
    lines = data.split(b"\n")
    whole = b"".join(lines[1:]).strip() == b"" or data[:2] in (b"{\n", b"[\n")
    at = rng.randrange(len(lines))
    try:
        document = [json.loads(data if whole else lines[at])]  # in a list, so that the root is a place, too
        places = list(_places(document))
        parent, key = rng.choice(places)
        change(parent, key)
        text = json.dumps(document[0] if document else None).encode()
    except (ValueError, RecursionError):
        return replace_number(data, rng)
    return text if whole else b"\n".join([*lines[:at], text, *lines[at + 1 :]])


def _places(value: Any) -> list[tuple[Any, Any]]:
    found, waiting = [], [value]
    while waiting:
        parent = waiting.pop()
        keys = range(len(parent)) if isinstance(parent, list) else list(parent)
        for key in keys:
            found.append((parent, key))
            if isinstance(parent[key], (list, dict)):
                waiting.append(parent[key])
    return found
