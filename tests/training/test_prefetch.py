import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motionlab.training.prefetch import Prefetch


@given(numbers=st.lists(st.integers(0, 30)), stride=st.integers(1, 3))
def test_any_order_gives_the_right_batches(numbers: list[int], stride: int) -> None:
    ahead = Prefetch(lambda number: number * 10, stride)
    assert [ahead(number) for number in numbers] == [number * 10 for number in numbers]


def test_the_next_is_made_while_this_one_is_used_and_only_once() -> None:
    made, second = [], threading.Event()

    def batches(number: int) -> int:
        made.append((number, threading.current_thread() is threading.main_thread()))
        if number == 2:
            second.set()
        return number

    ahead = Prefetch(batches, stride=2)
    ahead(0)
    assert second.wait(10), "the next one was not begun"
    ahead(2)
    ahead(4)
    assert [number for number, _ in made][:3] == [0, 2, 4] and not any(main for _, main in made)


def test_never_two_at_once() -> None:
    now, most = 0, 0

    def batches(number: int) -> int:
        nonlocal now, most
        now += 1
        most = max(most, now)
        threading.Event().wait(0.001)
        now -= 1
        return number

    ahead = Prefetch(batches)
    assert [ahead(number) for number in (0, 1, 7, 3, 4)] == [0, 1, 7, 3, 4]
    assert most == 1


def test_an_error_comes_when_its_batch_is_asked_for() -> None:
    ahead = Prefetch(lambda number: 1 // (2 - number))
    assert ahead(0) == 0 and ahead(1) == 1
    with pytest.raises(ZeroDivisionError):
        ahead(2)
    assert ahead(0) == 0
