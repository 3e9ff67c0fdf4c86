"""A learner's function while a check calls it: whose error was it, and which form did the result have?

A check compares the result with tensors and numbers of its own. When the learner returns None, a numpy array or a
tensor of another dtype, that comparison may raise, and an error out of the check's own code says nothing to a reader.
So the check calls an `Attempt` instead of the function. It keeps the errors of the function apart from those of the
check, and describes the last result next to the one that the reference gives for the same arguments.
"""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable
from typing import Any

from motionlab.language import tr
from motionlab.runtime import seeded

LONGEST = 60  # letters of a value that is shown


class Attempt:
    """Calls a function, and remembers the last call, its result and its error.

    >>> attempt = Attempt(lambda x: [x])
    >>> attempt(3), attempt.form_diagnosis(lambda x: 2.0 * x, TypeError())
    ([3], 'the result should be a float, got a list of 1: 3 (int).')
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.raised: Exception | None = None
        self._call: tuple[tuple[Any, ...], dict[str, Any]] = ((), {})
        self._result: Any = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self._call = (args, kwargs)
        try:
            self._result = self.function(*args, **kwargs)
        except Exception as error:
            self.raised = error
            raise
        return self._result

    def error_text(self, error: Exception) -> str:
        """The name and message of an error of the function in one line, and below it where in the function it arose.

        The traceback begins with the function itself: how the check came to call it is left out.
        """
        message = " ".join(str(error).split())[:160]
        line = tr(f"your function raised {type(error).__name__}: {message}".rstrip(": "), __file__)
        frames = self._own_frames(error)
        if frames is None:
            return f"{line}\n{tr('It was not entered: does it still take the arguments of the exercise?', __file__)}"
        return f"{line}\n" + "".join(traceback.format_exception(type(error), error, frames)).rstrip()

    @staticmethod
    def _own_frames(error: Exception) -> Any:
        """The traceback from the frame below `__call__` on; None when the call itself failed."""
        frames = error.__traceback__
        while frames is not None and frames.tb_frame.f_code is not Attempt.__call__.__code__:
            frames = frames.tb_next
        return None if frames is None else frames.tb_next

    def form_diagnosis(self, reference: Callable[..., Any], error: Exception) -> str:
        """One sentence about a result that the check could not work with, from its form.

        Args:
            reference: it is called with the arguments of the last call, to say which form was wanted.
            error: the error of the check.
        """
        found = form_of(self._result)
        try:
            with seeded(0):
                wanted = form_of(reference(*self._call[0], **self._call[1]), values=False)
        except Exception:  # the function used the arguments up: a graph can be walked backward once only
            wanted = tr(f"of the kind `{inspect.signature(reference).return_annotation}`", __file__)
        if wanted != form_of(self._result, values=False):
            return tr(f"the result should be {wanted}, got {found}.", __file__)
        if "grad" in str(error):
            lost = "no gradient passes through the result. Was a tensor changed in place (+=, .add_()) or detached?"
            return tr(lost, __file__)
        odd = f"the check cannot work with this result: {found}. Is it made in the same way at every call?"
        return tr(odd, __file__)

    def kind_diagnosis(self, reference: Callable[..., Any]) -> str | None:
        """The right numbers in the wrong kind, in the last result: nan, or fractions where codes are wanted."""
        try:
            with seeded(0):  # the numbers that the lesson draws next stay the same
                wanted = reference(*self._call[0], **self._call[1])
        except Exception:  # see above
            return None
        if _same_kind(self._result, wanted):
            return None
        return tr(f"the result should be {form_of(wanted, values=False)}, got {form_of(self._result)}.", __file__)


def _same_kind(found: Any, wanted: Any) -> bool:
    """No nan where none is wanted, and whole numbers where the reference gives a tensor of whole numbers."""
    if wanted is None:  # a function that is called for what it does
        return True
    if isinstance(wanted, list | tuple) and isinstance(found, list | tuple) and len(wanted) == len(found):
        return all(map(_same_kind, found, wanted))
    if _has_nan(found) and not _has_nan(wanted):
        return False
    whole = [getattr(getattr(value, "dtype", None), "is_floating_point", None) for value in (found, wanted)]
    return whole != [True, False]


def form_of(value: Any, values: bool = True) -> str:
    """A value in a few words: kind, shape and dtype; with `values` also which number or text it is.

    >>> form_of((True, "a"), values=False)
    'a tuple of 2: a bool, a str'
    >>> import numpy as np
    >>> form_of(None), form_of(2.5), form_of((True, "a"))
    ('None', '2.5 (float)', "a tuple of 2: True (bool), 'a' (str)")
    >>> form_of(np.zeros((2, 3)))
    'a numpy array of shape (2, 3), float64'
    """
    if value is None:
        return "None"
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if shape is not None and dtype is not None and not isinstance(value, type):
        kind = "numpy array" if type(value).__module__ == "numpy" else "tensor"
        size = f"of shape {tuple(shape)}" if tuple(shape) else "without dimensions"
        holes = " with nan in it" if _has_nan(value) else ""
        return tr(f"a {kind} {size}, {str(dtype).removeprefix('torch.')}{holes}", __file__)
    if isinstance(value, list | tuple):
        inner = ", ".join(form_of(part, values) for part in value[:4]) + (", ..." if len(value) > 4 else "")
        return tr(f"a {type(value).__name__} of {len(value)}" + (f": {inner}" if value else ""), __file__)
    if isinstance(value, bool | int | float | complex | str | bytes):
        if not values:
            return tr(f"an {type(value).__name__}" if type(value) is int else f"a {type(value).__name__}", __file__)
        shown = repr(value)
        return f"{shown if len(shown) <= LONGEST else shown[:LONGEST] + '...'} ({type(value).__name__})"
    return tr(f"something of type {type(value).__name__}", __file__)


def _has_nan(value: Any) -> bool:
    try:
        differs = value != value  # nan is the only number that is not itself
        return bool(differs.any() if hasattr(differs, "any") else differs)
    except Exception:  # a dtype or a class of the learner's that cannot be compared
        return False
