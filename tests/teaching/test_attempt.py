"""Any wrong result gets a diagnosis in words of the exercise, and any error of the function its traceback."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from motionlab.teaching.attempt import Attempt, form_of
from motionlab.teaching.exercise import Exercise, all_exercises, check, exercise, run_check, start_lesson


class Odd:
    """An object that compares with nothing."""

    def __eq__(self, other: object) -> bool:
        raise ValueError("odd")

    __hash__ = None  # type: ignore[assignment]


def array(result: Any) -> Any:
    if isinstance(result, Tensor):
        return result.detach().float().numpy()
    return np.asarray(result, dtype=object if isinstance(result, list | tuple) else None)


def each(result: Any, change: Callable[[Any], Any]) -> Any:
    """The change made inside a tuple or list, or to the whole."""
    return type(result)(map(change, result)) if isinstance(result, list | tuple) else change(result)


def of_tensor(change: Callable[[Tensor], Tensor]) -> Callable[[Any], Any]:
    """The change of a tensor, or of each in a tuple; something that is no tensor becomes a tensor of shape (2, 3)."""
    return lambda result: each(result, lambda x: change(x) if isinstance(x, Tensor) else torch.ones(2, 3))


WRONG: dict[str, Callable[[Any], Any]] = {  # from a right result to one of a wrong kind
    "nothing": lambda result: None,
    "a text": lambda result: "forty",
    "a complex number": lambda result: 1j,
    "an empty list": lambda result: [],
    "an empty tuple": lambda result: (),
    "a dictionary": lambda result: {},
    "an object": lambda result: Odd(),
    "a class": lambda result: int,
    "a generator": lambda result: (x for x in (1, 2)),
    "in a tuple": lambda result: (result,),
    "in lists": lambda result: [[result]],
    "twice": lambda result: (result, result),
    "three times": lambda result: (result, result, result),
    "a pair of nothing": lambda result: (None, None),
    "texts": lambda result: ["a", "b", "c"],
    "uneven lists": lambda result: [[1], [2, 3]],
    "nan": lambda result: float("nan"),
    "too large for a float": lambda result: 10**400,
    "without numbers": lambda result: torch.zeros(0),
    "on no device": lambda result: torch.ones(3, device="meta"),
    "a complex tensor": lambda result: torch.ones(3, dtype=torch.complex64),
    "one more dimension in front": of_tensor(lambda x: x.unsqueeze(0)),
    "one more dimension behind": of_tensor(lambda x: x.unsqueeze(-1)),
    "nan in a tensor": of_tensor(lambda x: torch.full(x.shape, float("nan"))),
}
ACCEPTED: dict[str, Callable[[Any], Any]] = {  # kinds that an exercise may take or refuse, in words
    "numpy": array,
    "a list": lambda result: each(result, lambda x: x.tolist() if isinstance(x, Tensor) else x),
    "float64": lambda result: each(result, lambda x: x.double() if isinstance(x, Tensor) else x),
    "float16": lambda result: each(result, lambda x: x.half() if isinstance(x, Tensor) else x),
    "int32": lambda result: each(result, lambda x: x.nan_to_num().int() if isinstance(x, Tensor) else x),
    "bool": lambda result: each(result, lambda x: x.bool() if isinstance(x, Tensor) else x),
    "True": lambda result: True,
}
WORDLESS = ("raised", "Error", "Exception", "Traceback")


@pytest.fixture(autouse=True)
def _unsolved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MOTIONLAB_SOLUTIONS", raising=False)


def changed(task: Exercise, change: Callable[[Any], Any]) -> Callable[..., Any]:
    return lambda *args, **kwargs: change(task.reference(*args, **kwargs))


@pytest.mark.parametrize("task", all_exercises(), ids=lambda task: task.name)
def test_a_wrong_kind_of_result_is_diagnosed(task: Exercise) -> None:
    for kind, change in WRONG.items():
        verdict = run_check(task.name, changed(task, change))
        if task.name == "accum.accumulate":  # it is called for what it does; its result is not looked at
            assert verdict.startswith("✓"), kind
            continue
        assert verdict.startswith(f"✗ {task.name}: "), (kind, verdict)
        assert not any(word in verdict for word in WORDLESS), (kind, verdict)
    for kind, change in ACCEPTED.items():
        try:
            verdict = run_check(task.name, changed(task, change))
        finally:
            torch.set_grad_enabled(True)
        if "your function raised" in verdict:  # the change itself cannot be made with this result
            assert "test_attempt.py" in verdict
        else:
            assert not any(word in verdict for word in WORDLESS), (kind, verdict)


@pytest.mark.parametrize("task", all_exercises(), ids=lambda task: task.name)
def test_an_error_of_the_function_is_shown_from_its_own_line_on(task: Exercise) -> None:
    def inner() -> None:
        raise KeyError("pelvis")

    def attempt(*args: Any, **kwargs: Any) -> Any:
        return inner()

    first, *lines = run_check(task.name, attempt).splitlines()
    assert first == f"✗ {task.name}: your function raised KeyError: 'pelvis'"
    assert lines[0] == "Traceback (most recent call last):" and lines[-1] == "KeyError: 'pelvis'"
    text = "\n".join(lines)
    assert "return inner()" in text and 'raise KeyError("pelvis")' in text
    assert "exercises.py" not in text and "attempt.py" not in text.replace("test_attempt.py", "")


def test_wrong_arguments_are_no_error_inside_the_function() -> None:
    verdict = run_check("fsq.round_ste", lambda: None)
    assert "raised TypeError" in verdict and "does it still take the arguments" in verdict


def test_an_operation_that_torch_has_not_is_no_empty_exercise(capsys: pytest.CaptureFixture[str]) -> None:
    """torch raises NotImplementedError, too. The reference must not answer in its place."""
    start_lesson("03")

    @exercise("fsq.round_ste")
    def round_ste(x: Tensor) -> Tensor:
        raise NotImplementedError("'round' not implemented for 'Bool'")

    check(round_ste)
    assert "your function raised NotImplementedError: 'round'" in capsys.readouterr().out
    with pytest.raises(NotImplementedError, match="Bool"):
        round_ste(torch.ones(1))


def test_a_result_that_no_gradient_passes_through() -> None:
    def in_place(x: Tensor) -> Tensor:
        y = x * 1.0
        z = y * y
        y += 1
        return x + (x.round() - x).detach() + 0 * z

    assert "no gradient passes through the result" in run_check("fsq.round_ste", in_place)


def test_forms_in_words() -> None:
    assert form_of(torch.zeros(())) == "a tensor without dimensions, float32"
    assert form_of([1, 2, 3, 4, 5], values=False) == "a list of 5: an int, an int, an int, an int, ..."
    assert form_of("x" * 100).endswith("... (str)")
    assert form_of(Odd()) == "something of type Odd"


def test_whole_numbers_are_told_from_fractions() -> None:
    attempt = Attempt(lambda: (torch.zeros(2), "a"))
    attempt()
    found = attempt.kind_diagnosis(lambda: (torch.zeros(2, dtype=torch.int64), "a"))
    assert found is not None and found.startswith("the result should be a tuple of 2: a tensor of shape (2,), int64")
    assert attempt.kind_diagnosis(lambda: (torch.ones(2), "b")) is None
