"""The code of something, in a cell: for what is too long to be written out in a lesson and should not be hidden."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable
from typing import Any


def source(thing: Callable[..., Any] | type) -> None:
    """Print the code of a function or class as the package has it, without its docstrings.

    >>> def half(x: float) -> float:
    ...     "One of two."
    ...     return x / 2
    >>> source(half)
    def half(x: float) -> float:
        return x / 2
    """
    text = textwrap.dedent(inspect.getsource(thing))
    text = re.sub(r'^[ \t]*("""(?:.|\n)*?"""|"[^"\n]*")[ \t]*\n', "", text, flags=re.MULTILINE)
    print(text.rstrip())
