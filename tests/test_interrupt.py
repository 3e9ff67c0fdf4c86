import signal
import threading

import pytest

from motionlab.interrupt import Interrupt, Stopped


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_first_signal_waits_second_stops(number: signal.Signals, code: int) -> None:
    before = signal.getsignal(number)
    with Interrupt() as interrupt:
        assert not interrupt.requested
        signal.raise_signal(number)
        assert interrupt.requested
        assert interrupt.stopped("saved").exit_code == code
        with pytest.raises(Stopped) as caught:
            signal.raise_signal(number)
        assert caught.value.exit_code == code
    assert signal.getsignal(number) is before


def test_handler_is_put_back_after_an_error() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(RuntimeError), Interrupt():
        raise RuntimeError
    assert signal.getsignal(signal.SIGINT) is before


def test_does_nothing_in_another_thread() -> None:
    errors: list[BaseException] = []

    def work() -> None:
        try:
            with Interrupt() as interrupt:
                assert not interrupt.requested
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert not errors
