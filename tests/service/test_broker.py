"""Wake-ups: sent once, lost without harm, and nobody waits for a broker that is gone."""

import socket
from dataclasses import replace

import redis

from service import broker
from service.settings import Settings

GONE = Settings(broker_url="redis+socket:///nowhere/valkey.sock")


def test_a_wake_up_carries_ids_only(broker_url):
    settings = replace(GONE, broker_url=broker_url)
    path = broker_url.removeprefix("redis+socket://").partition("?")[0]
    client = redis.Redis(unix_socket_path=path) if path.startswith("/") else redis.Redis.from_url(broker_url)
    client.delete(broker.QUEUE)

    assert broker.wake(settings, 0, "p1")

    (message,) = client.lrange(broker.QUEUE, 0, -1)
    assert b"worker.advance" in message
    client.delete(broker.QUEUE)
    client.close()


def test_a_broker_that_is_gone_loses_the_wake_up_and_nothing_else():
    assert not broker.wake(GONE, 0, "p1")
    assert not broker.reachable(GONE)


def test_a_broker_that_does_not_answer_is_not_tried_for_every_bundle():
    """Each sender would wait for the same time-out; for a while none of them tries."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        silent.settimeout(0.2)
        settings = Settings(broker_url=f"redis://127.0.0.1:{silent.getsockname()[1]}/0")

        assert not broker.wake(settings, 0, "p1")
        tried = connections(silent)
        assert not broker.wake(settings, 0, "p2")

        assert tried > 0
        assert connections(silent) == 0


def connections(server: socket.socket) -> int:
    """Return how many have connected since the last look."""
    count = 0
    while True:
        try:
            connection, _ = server.accept()
        except TimeoutError:
            return count
        connection.close()
        count += 1


def test_the_messages_that_nobody_took_are_counted(broker_url):
    settings = replace(GONE, broker_url=broker_url)
    before = broker.backlog(settings)

    broker.wake(settings, 0, "p1")
    broker.ask_for_beat(settings, expires_s=1)

    assert broker.backlog(settings) == before + 2
    assert broker.backlog(GONE) is None
