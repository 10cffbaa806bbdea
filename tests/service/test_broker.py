"""Wake-ups: sent once, lost without harm, and nobody waits for a broker that is gone."""

import json
import socket
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


def test_a_message_is_what_celery_writes(broker_url):
    celery = broker._sender(broker_url)
    client = celery.connection_for_write().default_channel.client
    client.delete(broker.QUEUE)
    now = datetime(2026, 11, 30, 21, 0, tzinfo=UTC)
    celery.send_task(broker.ADVANCE, args=(0, "zoë"), retry=False, expires=now + timedelta(seconds=300))
    client.lpush(broker.QUEUE, broker.message(broker.ADVANCE, (0, "zoë"), expires_s=300, now=now))

    ours, theirs = (json.loads(written) for written in client.lrange(broker.QUEUE, 0, -1))
    client.delete(broker.QUEUE)
    bodies = [json.loads(b64decode(one.pop("body"))) for one in (ours, theirs)]

    assert bodies[0] == bodies[1]
    assert shape(ours) == shape(theirs)
    assert ours["headers"].keys() == theirs["headers"].keys()
    assert ours["headers"]["expires"] == theirs["headers"]["expires"]
    assert (
        len(
            {
                part
                for one in (ours, theirs)
                for part in (one["headers"]["id"], one["properties"]["delivery_tag"])
            }
        )
        == 4
    )


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
def test_a_message_that_nobody_can_read_is_dropped(broker_url, written):
    settings = replace(GONE, broker_url=broker_url)
    _, client = broker._line(broker_url)
    client.delete(broker.QUEUE)
    client.lpush(broker.QUEUE, written)
    broker.wake(settings, 0, "p1")

    assert broker.take(broker_url, 5, 0.1) == [(0, "p1")]
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
