"""One way to say that an input is wrong.

Every error a user can cause answers five questions in one line: which file or argument, which field,
what was found, what was expected, and what to do. The command line prints the line and exits with 2.
"""

from __future__ import annotations

from functools import partial
from typing import Any


class InputError(ValueError):
    """An input of the user cannot be used.

    Args:
        where: the file, argument or config key that is wrong.
        found: what was there.
        expected: what should have been there.
        fix: what to do now, as an imperative sentence.

    >>> print(InputError("walk.npy", found="shape (38, 263)", expected="(T, 272)", fix="Convert it first."))
    walk.npy: found shape (38, 263), expected (T, 272). Convert it first.
    """

    def __init__(self, where: object, *, found: object, expected: object, fix: str) -> None:
        self.where, self.found, self.expected, self.fix = str(where), str(found), str(expected), fix
        super().__init__(f"{where}: found {found}, expected {expected}. {fix}")

    def __reduce__(self) -> tuple[Any, ...]:
        # pickle would call InputError(message) and fail; errors cross process boundaries in worker pools.
        return partial(InputError, found=self.found, expected=self.expected, fix=self.fix), (self.where,)


class MissingExtra(ImportError):
    """An optional package is not installed; the message names the extra that brings it.

    >>> print(MissingExtra("transformers", extra="text", purpose="encode new captions"))
    transformers is not installed, and it is needed to encode new captions. Run: pip install "motionlab[text]"
    """

    def __init__(self, package: str, *, extra: str, purpose: str) -> None:
        self.extra, self.purpose = extra, purpose
        super().__init__(
            f'{package} is not installed, and it is needed to {purpose}. Run: pip install "motionlab[{extra}]"',
            name=package,
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(MissingExtra, extra=self.extra, purpose=self.purpose), (self.name,)
