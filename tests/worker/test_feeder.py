"""The process that reads: where something is read, started again when it is lost, one at work at a time."""

import os
import signal
import time
from collections.abc import Callable, Iterator

import hospital_server
import pytest
from fhir_visits import observation, patient
from source_server import SourceServer
from sqlalchemy import text

from service.hospital.settings import Hospital
from service.settings import Settings
from service.store.database import Database
from worker import beside
from worker.feeder import Feeder

#: a process is started and looks, on a slow machine
START_S = 90


@pytest.fixture
def server() -> Iterator[SourceServer]:
    with hospital_server.running(make=SourceServer) as started:
        started.begin()
        started.put(patient("p1"))
        yield started


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + START_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def stored(database: Database, id_: str) -> int:
    with database.transaction() as tx:
        found = text("SELECT count(*) FROM resource WHERE id = :id AND version = 1")
        return tx.execute(found, {"id": id_}).scalar_one()


def test_where_nothing_is_read_there_is_no_process(database_url):
    for hospital in (None, Hospital(url="https://fhir.example.org")):
        kept = Feeder(Settings(database_url=database_url, hospital=hospital))

        kept.keep(0.0)

        assert kept.pid is None


def test_two_read_as_one_and_a_killed_one_is_started_again(database, database_url, broker_url, server):
    hospital = Hospital(url=server.url, rate=1000, read="poll", read_s=1, settle_s=0)
    settings = Settings(database_url=database_url, broker_url=broker_url, hospital=hospital)
    both = [Feeder(settings), Feeder(settings)]
    try:
        server.put(observation("o1", "Patient/p1"))
        for kept in both:
            kept.keep(0.0)
        until(lambda: stored(database, "o1"))
        for kept in both:
            assert kept.pid
            os.kill(kept.pid, signal.SIGKILL)
        until(lambda: not any(kept._process.is_alive() for kept in both))
        with database.transaction() as tx:
            # What a killed process holds is left alone until its lease ends.
            tx.execute(text("UPDATE source SET lease_until = NULL"))
        server.put(observation("o2", "Patient/p1"))

        for kept in both:
            kept.keep(beside.AGAIN_S)

        until(lambda: stored(database, "o2"))
        with database.transaction() as tx:
            assert tx.execute(text("SELECT max(version) FROM resource")).scalar_one() == 1
    finally:
        for kept in both:
            kept.close()
