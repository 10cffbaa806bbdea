"""A signal is noted whatever runs when it comes."""

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from service.stop_request import StopRequest

NUMBER = signal.SIGUSR1


@pytest.fixture
def request_to_stop() -> Iterator[StopRequest]:
    before = signal.getsignal(NUMBER)
    yield StopRequest(NUMBER)
    signal.signal(NUMBER, before)


def test_without_a_signal_the_time_runs_out(request_to_stop: StopRequest):
    assert not request_to_stop.wait(0.01)


def test_a_signal_ends_the_wait(request_to_stop: StopRequest):
    began = time.monotonic()
    threading.Timer(0.1, os.kill, (os.getpid(), NUMBER)).start()

    assert request_to_stop.wait(60)
    assert time.monotonic() - began < 60


def test_a_signal_before_the_wait_is_remembered(request_to_stop: StopRequest):
    signal.raise_signal(NUMBER)

    assert [request_to_stop.wait(60), request_to_stop.wait(60)] == [True, True]


def test_a_signal_inside_a_destructor_is_noted(request_to_stop: StopRequest):
    class Dying:
        def __del__(self) -> None:
            signal.raise_signal(NUMBER)

    Dying()

    assert request_to_stop.wait(0)


def test_a_signal_takes_no_lock_along(request_to_stop: StopRequest):
    lock = threading.Lock()

    # As `subprocess.Popen.poll` does: a handler that raises here would leave it locked for ever.
    lock.acquire()
    signal.raise_signal(NUMBER)
    try:
        pass
    finally:
        lock.release()

    assert (request_to_stop.wait(0), lock.locked()) == (True, False)


def test_more_signals_than_the_pipe_holds_block_nobody(request_to_stop: StopRequest):
    for _ in range(70_000):
        signal.raise_signal(NUMBER)

    assert request_to_stop.wait(0)
