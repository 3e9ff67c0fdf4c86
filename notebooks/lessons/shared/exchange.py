"""Exchange a part of a model that the learner built, while its trained weights stay: lessons 18 and 19.

Such a model asks a namespace `parts` for its functions, so another function there is another model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from motionlab.errors import InputError

Part = Callable[..., Any]
Exchanges = Mapping[str, Mapping[str, Part]]  # part -> what it may be exchanged for -> function

AS_WRITTEN = "as written"


@contextmanager
def exchanged(parts: SimpleNamespace, exchanges: Exchanges, **choices: str) -> Iterator[None]:
    """Inside the `with`, some parts are others; afterwards they are as before, whatever happened.

    Raises:
        InputError: no such part or no such exchange.

    >>> parts = SimpleNamespace(step=lambda x: x + 1)
    >>> with exchanged(parts, {"step": {"two": lambda x: x + 2}}, step="two"):
    ...     parts.step(1)
    3
    >>> parts.step(1)
    2
    """
    for name, choice in choices.items():
        known = [AS_WRITTEN, *exchanges.get(name, {})]
        if name not in exchanges or choice not in known:
            expected = ", ".join(known if name in exchanges else exchanges)
            raise InputError("parts", found=f"{name}={choice!r}", expected=expected, fix="Choose one of these.")
    before = dict(vars(parts))
    vars(parts).update({name: exchanges[name][choice] for name, choice in choices.items() if choice != AS_WRITTEN})
    try:
        yield
    finally:
        vars(parts).update(before)
