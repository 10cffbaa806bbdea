"""A worker that takes nothing while messages wait is told from one that has nothing to do."""

import pytest

from worker.vigil import DEAF_S, Vigil

LONG = DEAF_S + 1


@pytest.mark.parametrize(
    ("waiting", "busy", "deaf"),
    [
        pytest.param(3, False, True, id="messages wait and it is free"),
        pytest.param(0, False, False, id="nothing waits"),
        pytest.param(3, True, False, id="it is at work"),
        pytest.param(None, False, False, id="the broker is away"),
    ],
)
def test_only_a_free_worker_beside_waiting_messages_is_deaf(waiting, busy, deaf):
    vigil = Vigil(0)

    assert not vigil.is_deaf(waiting, busy=busy, now=DEAF_S)
    assert vigil.is_deaf(waiting, busy=busy, now=LONG) is deaf


def test_each_message_that_is_taken_begins_the_wait_anew():
    vigil = Vigil(0)
    vigil.taken(10)

    assert not vigil.is_deaf(3, busy=False, now=LONG)
    assert vigil.is_deaf(3, busy=False, now=10 + LONG)


def test_a_moment_without_messages_begins_the_wait_anew():
    vigil = Vigil(0)

    assert not vigil.is_deaf(0, busy=False, now=10)
    assert not vigil.is_deaf(3, busy=False, now=LONG)
