"""Wake-ups: sent once, lost without harm, and nobody waits for a broker that is gone."""

import json
import socket
import threading
import time
from base64 import b64decode
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import redis

from service import broker
from service.settings import Settings
from service.supervisor.valkey import Valkey

GONE = Settings(broker_url="redis+socket:///nowhere/valkey.sock")


@pytest.fixture
def settings(broker_url):
    return replace(GONE, broker_url=broker_url)


@pytest.fixture
def client(broker_url):
    """The client of an empty queue."""
    _, client = broker._line(broker_url)
    client.delete(broker.QUEUE)
    yield client
    client.delete(broker.QUEUE)


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


def shape(value):
    """Return what a message is made of: names, and of what is not the message's own the value."""
    if isinstance(value, dict):
        return {name: shape(part) for name, part in value.items() if name not in OWN}
    return value


#: what differs from message to message, or is written by Celery and read by nobody
OWN = {"id", "root_id", "correlation_id", "delivery_tag", "reply_to", "expires", "expiration"}
OWN |= {"argsrepr", "kwargsrepr", "origin", "ignore_result"}


def test_a_message_is_what_celery_writes(broker_url, client):
    celery = broker._sender(broker_url)
    now = datetime(2026, 11, 30, 21, 0, tzinfo=UTC)
    celery.send_task(broker.ADVANCE, args=(0, "zoë"), retry=False, expires=now + timedelta(seconds=300))
    client.lpush(broker.QUEUE, broker.message(broker.ADVANCE, (0, "zoë"), expires_s=300, now=now))

    ours, theirs = (json.loads(written) for written in client.lrange(broker.QUEUE, 0, -1))
    bodies = [json.loads(b64decode(one.pop("body"))) for one in (ours, theirs)]

    assert bodies[0] == bodies[1]
    assert shape(ours) == shape(theirs)
    assert ours["headers"].keys() == theirs["headers"].keys()
    assert ours["headers"]["expires"] == theirs["headers"]["expires"]
    own = [(one["headers"]["id"], one["properties"]["delivery_tag"]) for one in (ours, theirs)]
    assert len({part for pair in own for part in pair}) == 4


def test_a_broker_that_came_back_gets_wake_ups_again(tmp_path, monkeypatch):
    monkeypatch.setattr(broker, "QUIET_S", 0)
    running = Valkey(tmp_path / "valkey")
    settings = replace(GONE, broker_url=running.start())
    socket_path = Path(settings.broker_url.removeprefix("redis+socket://"))
    try:
        assert broker.wake(settings, 0, "p1")
        running.running.stop()
        assert not broker.wake(settings, 0, "p2")
        assert running._runs(tmp_path / "valkey" / "data", socket_path)
        assert broker.wake(settings, 0, "p3")
        assert broker.take(settings.broker_url, 5, 0.1)[-1] == (0, "p3")
    finally:
        running.stop()


def test_what_cannot_be_put_back_is_lost_and_what_was_taken_is_not(tmp_path):
    running = Valkey(tmp_path / "valkey")
    settings = replace(GONE, broker_url=running.start())
    try:
        _, client = broker._line(settings.broker_url)
        broker.wake(settings, 0, "p1")
        broker.ask_for_beat(settings, expires_s=10)
        client.execute_command("ACL", "SETUSER", "default", "-rpush")
        assert broker.take(settings.broker_url, 5, 0.1) == [(0, "p1")]
        client.execute_command("ACL", "SETUSER", "default", "+rpush")

        broker.wake(settings, 0, "p2")
        assert broker.take(settings.broker_url, 5, 0.1) == [(0, "p2")]
    finally:
        running.stop()


@pytest.mark.parametrize(
    "written", ["", "null", "{}", '{"headers": {"task": "worker.advance"}, "body": "e30="}']
)
def test_a_message_that_nobody_can_read_is_dropped(settings, client, written):
    client.lpush(broker.QUEUE, written)
    broker.wake(settings, 0, "p1")

    assert broker.take(settings.broker_url, 5, 0.1) == [(0, "p1")]
    assert broker.backlog(settings) == 0


def test_a_broker_that_refuses_to_give_some_at_once_is_asked_once(tmp_path):
    running = Valkey(tmp_path / "valkey")
    settings = replace(GONE, broker_url=running.start())
    try:
        _, client = broker._line(settings.broker_url)
        client.execute_command("ACL", "SETUSER", "default", "-blmpop")
        assert broker.wake(settings, 0, "p1")
        assert broker.take(settings.broker_url, 5, 0.1) == []

        client.execute_command("ACL", "SETUSER", "default", "+blmpop")
        assert broker.take(settings.broker_url, 5, 0.1) == []
        assert broker.backlog(settings) == 1
    finally:
        running.stop()


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


def test_wake_ups_are_taken_in_their_order_and_what_is_for_others_stays_in_its_place(settings, client):
    broker.wake(settings, 0, "one")
    broker.wake_export(settings, 0, "first")
    broker.wake(settings, 0, "two")
    broker.ask_for_beat(settings, expires_s=10)
    broker.wake(settings, 0, "three")
    broker.wake(settings, 0, "four")

    assert broker.take(settings.broker_url, 5, 0.01) == [(0, "one"), (0, "two"), (0, "three")]
    assert broker.take(settings.broker_url, 1, 0.01) == []
    # kombu takes from the right.
    left = [json.loads(message)["headers"]["task"] for message in client.lrange(broker.QUEUE, 0, -1)]
    assert left == [broker.ADVANCE, broker.BEAT, broker.EXPORT]

    client.delete(broker.QUEUE)
    assert broker.take(settings.broker_url, 5, 0.01) == []


def test_a_process_waits_for_a_wake_up_and_no_longer_than_it_says(settings, client):
    begun = time.monotonic()
    assert broker.take(settings.broker_url, 1, 0.2) == []
    assert time.monotonic() - begun >= 0.2

    threading.Timer(0.1, lambda: broker.wake(settings, 0, "late")).start()
    assert broker.take(settings.broker_url, 1, 0.9) == [(0, "late")]


def test_of_a_broker_that_is_gone_nothing_is_taken():
    assert broker.take("redis://127.0.0.1:1/0", 3, 0.01) == []
