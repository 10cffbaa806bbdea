"""The process that tells subscribers: there while anybody subscribes, and killed at any moment."""

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path

import hospital_server
import pytest
from hospital_server import HospitalServer, answering
from sqlalchemy import text
from subscribing import numbers, sent, status, subscription, types

from service.fhir import subscribing
from service.settings import Settings
from service.store import heartbeats, raised_events, subscriptions
from service.store.raised_events import Event
from service.subscriptions.terms import Rules
from worker import beside
from worker.herald import Herald
from worker.sweep import Sweep

LOOPBACK = (ip_network("127.0.0.0/8"),)
#: a process is started, on a slow machine
START_S = 60


@pytest.fixture
def server() -> Iterator[HospitalServer]:
    with hospital_server.running() as started:
        started.mood = answering(200)
        yield started


@pytest.fixture(autouse=True)
def _empty(database):
    with database.transaction() as tx:
        tx.execute(text("TRUNCATE subscription, subscription_event, raised_event"))


@pytest.fixture
def settings(database_url: str, broker_url: str) -> Settings:
    return Settings(database_url=database_url, broker_url=broker_url, subscribers_networks=LOOPBACK)


def until(true, within_s=START_S):
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def subscribe(database, endpoint, id_="s", **more):
    asked = subscribing.read(subscription(endpoint, **more), Rules(tls_only=False, networks=LOOPBACK))
    with database.transaction() as tx:
        subscribing.create(tx, id_, "hospital", asked, "s" * 64, tenant=0)


def happen(database, *ids):
    at = datetime(2026, 1, 5, tzinfo=UTC)
    with database.transaction() as tx:
        events = [
            Event(topic="stage-entered", patient="p", type="CarePlan", id=id_, version=1, labels=(), at=at)
            for id_ in ids
        ]
        raised_events.append(tx, events, tenant=0)


def row(database, id_="s"):
    with database.transaction() as tx:
        return subscriptions.find(tx, id_, owner="hospital", tenant=0)


def lose_leases(database):
    with database.transaction() as tx:
        tx.execute(text("UPDATE subscription SET lease_until = clock_timestamp(), retry_at = NULL"))


def told(server):
    """Return the numbers that came, doubles left out."""
    return list(dict.fromkeys(numbers(server)))


def test_it_is_killed_in_the_middle_again_and_again_and_no_number_is_missing(database, settings, server):
    subscribe(database, f"{server.url}/hook", most=1)
    kept = Herald(settings)
    hanging = threading.Event()
    try:
        kept.keep(0.0)
        until(lambda: row(database).status == "active")
        count = 0
        for turn in range(1, 3):
            # It is killed while the subscriber has the notification and has not answered.
            server.moods = [hospital_server.hanging(hanging)]
            happen(database, *(f"{turn}-{number}" for number in range(5)))
            count += 5
            until(lambda: row(database).leased and not server.moods)
            assert kept.pid
            os.kill(kept.pid, signal.SIGKILL)
            until(lambda: kept._process.exitcode is not None)
            happen(database, f"{turn}-while-it-was-away")
            count += 1
            lose_leases(database)
            kept.keep(beside.AGAIN_S * turn)
            until(lambda expected=count: row(database).delivered == expected)
    finally:
        hanging.set()
        kept.close()

    assert told(server) == list(range(1, count + 1))
    # What was sent when it was killed came again, with the same number and about the same.
    about = {}
    for bundle in sent(server):
        for event in status(bundle)["events"]:
            about.setdefault(event["event-number"], set()).add(event["focus"])
    assert all(len(focuses) == 1 for focuses in about.values())
    assert len(numbers(server)) > count


def test_two_nodes_tell_each_event_once_and_in_order(database, settings, server):
    subscribe(database, f"{server.url}/hook", most=3)
    nodes = [Herald(settings), Herald(settings)]
    try:
        for node in nodes:
            node.keep(0.0)
        until(lambda: row(database).status == "active")
        for number in range(40):
            happen(database, f"e-{number}")
            time.sleep(0.01)
        until(lambda: row(database).delivered == 40)
    finally:
        for node in nodes:
            node.close()

    assert numbers(server) == list(range(1, 41))
    assert types(server)[0] == "handshake"


def test_subscribers_that_hang_do_not_keep_one_that_answers_waiting(database, settings, server):
    hanging = threading.Event()
    with hospital_server.running() as deaf:
        deaf.mood = hospital_server.hanging(hanging)
        with database.transaction() as tx:
            for number in range(8):
                asked = subscribing.read(
                    subscription(f"{deaf.url}/hook", timeout=1), Rules(tls_only=False, networks=LOOPBACK)
                )
                subscribing.create(tx, f"deaf-{number}", "hospital", asked, "s" * 64, tenant=0)
            # They have been active, and hang since.
            tx.execute(text("UPDATE subscription SET status = 'active', counting_since = clock_timestamp()"))
        subscribe(database, f"{server.url}/hook")
        kept = Herald(settings)
        try:
            kept.keep(0.0)
            until(lambda: row(database).status == "active")
            happen(database, "first")
            until(lambda: row(database).delivered == 1)
            # From here on they are known to hang.
            began = time.monotonic()
            for number in range(5):
                happen(database, f"e-{number}")
                until(lambda expected=number + 2: row(database).delivered == expected)
            took = time.monotonic() - began
        finally:
            hanging.set()
            kept.close()

    # Each of the eight takes a second, and four may be asked at once: nobody waited for them.
    assert took < 5
    assert told(server) == [1, 2, 3, 4, 5, 6]


def test_the_sweep_starts_it_when_somebody_subscribes_and_empties_the_outbox_until_then(
    database, settings, server
):
    sweep = Sweep(settings, database)
    try:
        happen(database, "nobody-listens")
        sweep.round(0.0)
        assert sweep._herald.pid is None
        with database.transaction() as tx:
            assert tx.execute(text("SELECT count(*) FROM raised_event")).scalar_one() == 0
        subscribe(database, f"{server.url}/hook")

        sweep.round(2.0)

        assert sweep._herald.pid
        until(lambda: row(database).status == "active")
        with database.transaction() as tx:
            assert heartbeats.HERALD in heartbeats.ages(tx)
    finally:
        sweep.close()
    assert sweep._herald.pid is None


def test_it_does_not_start_with_authorities_that_cannot_be_read(database, database_url, capfd, tmp_path):
    settings = Settings(database_url=database_url, subscribers_ca_file=tmp_path / "missing.pem")
    kept = Herald(settings)
    kept.keep(0.0)
    until(lambda: kept._process.exitcode is not None)

    said = [json.loads(line) for line in capfd.readouterr().err.splitlines() if line.startswith("{")]
    assert kept._process.exitcode == 2
    assert "HIPWAY_SUBSCRIBERS_CA_FILE" in said[-1]["reason"]
    assert not Path(tmp_path / "missing.pem").exists()
    kept.close()
