import signal
import threading

import pytest

from daskml_exec.cli._interrupts import interrupts_deferred


def test_an_interrupt_waits_and_the_handler_returns():
    before = signal.getsignal(signal.SIGINT)
    with interrupts_deferred() as interrupts:
        signal.raise_signal(signal.SIGINT)
    assert interrupts == [signal.SIGINT]
    assert signal.getsignal(signal.SIGINT) is before
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_an_error_passes():
    with pytest.raises(ValueError, match="inside"), interrupts_deferred():
        raise ValueError("inside")


def test_other_threads_defer_nothing():
    seen = []

    def enter():
        with interrupts_deferred() as interrupts:
            seen.append(interrupts)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [[]]
