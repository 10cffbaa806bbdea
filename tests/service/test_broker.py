"""Wake-ups: sent once, lost without harm, and nobody waits for a broker that is gone."""

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
