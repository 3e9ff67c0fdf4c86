"""One way to say that an input is wrong.

Every error a user can cause answers five questions in one line: which file or argument, which field,
what was found, what was expected, and what to do. The command line prints the line and exits with 2.
"""

from __future__ import annotations


class InputError(ValueError):
    """Something the user handed over cannot be used.

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


class MissingExtra(ImportError):
    """An optional package is not installed; the message names the extra that brings it.

    >>> print(MissingExtra("transformers", extra="text", purpose="encode new captions"))
    transformers is not installed, and it is needed to encode new captions. Run: pip install "motionlab[text]"
    """

    def __init__(self, package: str, *, extra: str, purpose: str) -> None:
        super().__init__(
            f"{package} is not installed, and it is needed to {purpose}. "
            f'Run: pip install "motionlab[{extra}]"',
            name=package,
        )
