"""Term -> demonstration: a few lines that show a term on a real object, and the text that they give.

    show("teacher forcing")     prints its code and its result
    show_topic("tokenizer")     prints the results of all terms of a topic

A demonstration is written next to those of its topic:

    @shows("stride")
    def _stride() -> str:
        layer = torch.nn.Conv1d(1, 1, 4, stride=2, padding=1)
        return f"64 frames in, {layer(torch.rand(1, 1, 64)).shape[-1]} out"
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable

import torch

from motionlab.errors import InputError
from motionlab.teaching.glossary import Term, find_terms, glossary

Demo = Callable[[], str]
_demos: dict[str, Demo] = {}  # by the English term in lower case


def shows(*terms: str) -> Callable[[Demo], Demo]:
    """Register a function as the demonstration of a term, or of several that explain each other.

    Raises:
        InputError: no such term.
        ValueError: the term has a demonstration.
    """

    entries = glossary(*terms)

    def register(function: Demo) -> Demo:
        for term in entries:
            if term.english.lower() in _demos:
                raise ValueError(f"two demonstrations of {term.english!r}")
            _demos[term.english.lower()] = function
        return function

    return register


def demonstration(term: str) -> Demo:
    """The function that shows a term.

    Raises:
        InputError: no such term, or one without a demonstration.
    """
    (entry,) = glossary(term)
    if entry.english.lower() not in _demos:
        raise InputError("demonstration", found="none", expected=f"one of {entry.english!r}", fix="Write it.")
    return _demos[entry.english.lower()]


def run(term: str) -> str:
    """The result of a demonstration. Its random numbers are its own: the same ones every time, and yours stay."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return demonstration(term)()


def code(term: str) -> str:
    """The lines of a demonstration, without its decorator and its name."""
    lines = textwrap.dedent(inspect.getsource(demonstration(term))).splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("def ")) + 1
    return textwrap.dedent("\n".join(lines[start:]))


def show(*terms: str) -> None:
    """Print the code and the result of some demonstrations."""
    for entry in glossary(*terms):
        print(f"{entry.english} ({entry.chinese})")
        print(textwrap.indent(code(entry.english), "    "))
        print(f"=> {run(entry.english)}\n")


def show_topic(topic: str) -> None:
    """Print the results for all terms of a topic, by the alphabet; terms with one demonstration share a line.

    Raises:
        InputError: no such topic.
    """
    together: dict[Demo, list[Term]] = {}
    for entry in find_terms(topic=topic):
        together.setdefault(demonstration(entry.english), []).append(entry)
    for entries in together.values():
        names = ", ".join(f"{entry.english} ({entry.chinese})" for entry in entries)
        print(f"{names}: {run(entries[0].english)}")
