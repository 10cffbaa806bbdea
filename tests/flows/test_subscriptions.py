"""Another system subscribes to two nodes and is told what happens, whatever is killed and however it answers.

Real web processes, workers, sweeps and heralds, and a real little HTTP server.
"""

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hospital_server
import httpx
import pytest
from hospital_server import HospitalServer, answering
from nodes import Cluster, Node, two_nodes
from sqlalchemy import text
from subscribing import numbers, sent, status, subscription, types

from service.stories import story
from service.stories.play import play

STORIES = Path(__file__).parents[1] / "stories"
#: a handshake, and each step of a story, on a slow machine
TOLD_S = 60


@pytest.fixture(scope="module")
def cluster(scratch: Path, new_database_url: Callable[[], str]) -> Iterator[Cluster]:
    variables = {
        "HIPWAY_BASE_URL": "http://127.0.0.1:8000",
        "HIPWAY_SUBSCRIBERS_NETWORKS": "127.0.0.0/8",
    }
    with two_nodes(scratch / "subscriptions", new_database_url(), **variables) as running:
        for node in running.nodes:
            node.start()
        yield running
        for node in running.nodes:
            # What an orderly end is, others test; these only have to be gone.
            node.kill()


@pytest.fixture
def subscriber() -> Iterator[HospitalServer]:
    with hospital_server.running() as started:
        started.mood = answering(200)
        yield started


class Client:
    """The other system: it asks one of the nodes."""

    def __init__(self, node: Node) -> None:
        self.url = node.remote.url

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        answer = httpx.request(method, f"{self.url}/fhir/{path}", json=body, trust_env=False, timeout=30)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def is_active(self, id_: str) -> bool:
        return self.ask("GET", f"Subscription/{id_}")["status"] == "active"


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + TOLD_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_system_is_told_everything_in_order_whatever_is_killed(
    cluster: Cluster, subscriber: HospitalServer
) -> None:
    first, second = map(Client, cluster.nodes)
    subscribed: dict[str, str] = {}
    for topic in ("stage-entered", "proposal-made", "order-signed", "task-overdue"):
        body = subscription(f"{subscriber.url}/{topic}", topic, content="full-resource", timeout=2)
        subscribed[topic] = first.ask("POST", "Subscription", body)["id"]
    for id_ in subscribed.values():
        until(lambda id_=id_: second.is_active(id_))
    assert types(subscriber) == ["handshake"] * 4

    # Every second request fails in one of many ways, and nothing is lost by it.
    moods = [None, answering(500), None, hospital_server.hanging_up, None, answering(429, Retry_After="1")]
    subscriber.moods = [mood or answering(200) for mood in moods * 2]
    told_of = story.read(STORIES / "V02.json")
    for number, played in enumerate(play(told_of, cluster.nodes[0].remote)):
        assert played.differences == ()
        if number == 1:
            # One node loses its sweep, and with it whoever tells, in the middle of it.
            cluster.nodes[0].signal(signal.SIGKILL, "sweep")
    until(lambda: cluster.count("SELECT numbered FROM subscription WHERE topic = 'task-overdue'") > 0)

    # Pauses are as if they were over, and what died with its lease is taken up; what goes on is left alone.
    over = (
        "UPDATE subscription SET retry_at = NULL, lease_until = NULL "
        "WHERE retry_at > clock_timestamp() OR tried_at < clock_timestamp() - interval '5 seconds'"
    )
    behind = "SELECT (SELECT count(*) FROM raised_event) + sum(numbered - delivered) FROM subscription"
    until(lambda: _run(cluster, over) or cluster.count(behind) == 0)

    told: dict[str, dict[str, str]] = {}
    for asked, bundle in zip(list(subscriber.asked), sent(subscriber), strict=True):
        for event in status(bundle)["events"]:
            events = told.setdefault(asked.path.rpartition("/")[2], {})
            assert events.setdefault(event["event-number"], event["focus"]) == event["focus"]
    assert set(told) == set(subscribed)
    for topic, events in told.items():
        count = cluster.count(f"SELECT numbered FROM subscription WHERE topic = '{topic}'")
        assert list(map(int, events)) == list(range(1, count + 1)), topic
        # What was told is what can be asked for again, of any node.
        again = second.ask("GET", f"Subscription/{subscribed[topic]}/$events?content=id-only")
        assert [event["focus"] for event in status(again)["events"]] == list(events.values())
    # Some came twice, with the same numbers.
    assert len(numbers(subscriber)) > sum(map(len, told.values()))


def _run(cluster: Cluster, statement: str) -> bool:
    with cluster.database.transaction() as tx:
        tx.execute(text(statement))
    return False
