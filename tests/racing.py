"""Many senders at the same moment, round after round, against a service of several web processes."""

import http.client
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any, NamedTuple

from installations import free_port, installation

from service import clock
from service.store import parameters
from service.store.database import Database
from service.stories import scratch

SENDERS = 64

Json = dict[str, Any]


class Request(NamedTuple):
    """What one sender sends in one round."""

    method: str
    path: str
    body: bytes
    headers: Mapping[str, str] = {}


class Answer(NamedTuple):
    """What it is told."""

    status: int
    headers: Mapping[str, str]
    content: Json


def settle(database: Database, minutes: int) -> None:
    """Evaluate so many minutes after a Bundle."""
    with database.transaction() as tx:
        parameters.set_(tx, {"settle.minutes": minutes}, "test", clock.now(tx))


@contextmanager
def service(database: Database, database_url: str, broker_url: str) -> Iterator[str]:
    """Run a service with four web processes that evaluates at once; the block is given its URL."""
    settle(database, 0)
    variables = {
        "HIPWAY_DATABASE_URL": database_url,
        "HIPWAY_BROKER_URL": broker_url,
        "HIPWAY_WEB_PROCESSES": "4",
        # All are let in at once; who has to wait is not the question here.
        "HIPWAY_INTAKE_SLOTS": "64",
        "HIPWAY_INTAKE_QUEUE": "1000",
    }
    with scratch.folder() as data, installation(data, free_port(), **variables) as running:
        yield running.until_ready().url


def race(url: str, sent: Callable[[int, int], Request], *, rounds: int) -> list[list[Answer]]:
    """Let every sender send its request of each round at the same moment; return the answers of each round.

    Senders keep their connections. A round begins when the last one has its answer.

    Args:
        sent: what is sent in a round by a sender, both numbered from 0.
    """
    start = threading.Barrier(SENDERS)
    answers = [[Answer(0, {}, {})] * SENDERS for _ in range(rounds)]
    errors: list[BaseException] = []
    host = url.removeprefix("http://")

    def send(sender: int) -> None:
        try:
            with closing(http.client.HTTPConnection(host, timeout=60)) as connection:
                for number in range(rounds):
                    request = sent(number, sender)
                    start.wait()
                    headers = {"Content-Type": "application/fhir+json", **request.headers}
                    connection.request(request.method, request.path, request.body, headers)
                    answer = connection.getresponse()
                    content = json.loads(answer.read())
                    answers[number][sender] = Answer(answer.status, dict(answer.getheaders()), content)
        except threading.BrokenBarrierError:
            return  # another one has failed
        except BaseException as error:  # noqa: BLE001 - whatever it is fails the test
            errors.append(error)
            start.abort()

    threads = [threading.Thread(target=send, args=(sender,)) for sender in range(SENDERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    return answers
