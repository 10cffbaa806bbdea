"""The search index is rebuilt while it is used: in parts, again after a kill, and never half an answer.

What an older release stored has no rows for the searches of this one; so here the rows are taken away.
"""

import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import pytest
from psycopg.rows import tuple_row
from sqlalchemy import text

from service.store import reindexing, resources
from service.store.driver import raw
from service.store.indexing import extraction
from service.store.resources import Write
from worker.sweep import Sweep

NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)
TABLES = ("search_value", "search_text", "search_date", "search_number", "search_narrative")
MANY = 1_050


def finding(number, value="1.0"):
    return {
        "resourceType": "Observation",
        "id": f"o{number}",
        "status": "final",
        "identifier": [{"system": "urn:a", "value": str(number)}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "718-7"}]},
        "subject": {"reference": f"Patient/p{number % 7}"},
        "effectiveDateTime": "2026-01-05",
        "valueQuantity": {"value": float(value), "system": "http://unitsofmeasure.org", "code": "g/dL"},
        "performer": [{"reference": "Practitioner/d"}],
        "text": {"status": "generated", "div": f"<div>finding {number} is {value}</div>"},
    }


def save(database, bodies):
    writes = [
        Write(type=b["resourceType"], id=b["id"], body=b, patient=b["subject"]["reference"].split("/")[1])
        for b in bodies
    ]
    database.run(partial(resources.save, writes=writes, tenant=0, now=NOW))


def index(database):
    """Return every row of the search tables."""
    with database.transaction() as tx:
        cursor = raw(tx).cursor(row_factory=tuple_row)
        return {
            table: sorted(map(str, cursor.execute(f"SELECT * FROM {table}").fetchall())) for table in TABLES
        }


def progress(database):
    return database.run(partial(reindexing.progress, tenant=0))


@pytest.fixture(scope="module")
def complete(database):
    """A store as this release writes it, with a version superseded, one removed, and all of its rows."""
    for first in range(0, MANY, 500):
        save(database, [finding(n) for n in range(first, min(first + 500, MANY))])
    save(database, [finding(1, "2.5")])
    removed = Write(type="Observation", id="o2", body=finding(2), patient="p2", removed=True)
    database.run(partial(resources.save, writes=[removed], tenant=0, now=NOW))
    return index(database)


@pytest.fixture
def older(database, complete):
    """The same as a release before this one would have left it."""
    with database.transaction() as tx:
        for table in TABLES[1:]:
            tx.execute(text(f"DELETE FROM {table}"))
        tx.execute(text("DELETE FROM search_value WHERE name NOT IN ('identifier', 'code')"))
        tx.execute(text("UPDATE reindexing SET complete = FALSE, reached = 0, until = 0"))
        reindexing.begin(tx, tenant=0)
    return complete


def asked(client, query):
    return client.get(f"/fhir/Observation?{query}&_count=0&_total=accurate")


def test_a_search_is_refused_until_what_it_reads_is_there(older, database, client):
    for query in ("code=718-7", "performer=d", "patient=p1&_sort=date", "patient=p1&date=2026"):
        answer = asked(client, query)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "60"), query
        assert answer.get_json()["issue"][0]["code"] == "transient"
    for query, many in (
        ("patient=p1", 150),
        ("identifier=urn:a|5", 1),
        ("_id=o1", 1),
        ("status=final", MANY - 1),
    ):
        assert asked(client, query).get_json()["total"] == many, query

    while not database.run(partial(reindexing.step, tenant=0)).done:
        assert asked(client, "code=718-7").status_code == 503 or progress(database).complete

    assert asked(client, "code=718-7&performer=d&date=2026").get_json()["total"] == MANY - 1
    assert index(database) == older


def test_a_part_that_is_not_finished_leaves_nothing_and_is_done_again(older, database):
    class Killed(Exception):
        pass

    database.run(partial(reindexing.step, tenant=0))
    before, reached = index(database), progress(database).reached

    def part(tx):
        assert reindexing.step(tx, tenant=0).reached > reached
        raise Killed

    with pytest.raises(Killed):
        database.run(part)

    assert (index(database), progress(database).reached) == (before, reached)
    while not database.run(partial(reindexing.step, tenant=0)).done:
        pass
    assert index(database) == older


def command(url):
    return subprocess.Popen(
        [sys.executable, "-m", "service.commands", "reindex"],
        env={**os.environ, "HIPWAY_DATABASE_URL": url},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_the_command_goes_on_where_it_was_killed(older, database, database_url):
    with command(database_url) as process:
        first = process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    between = progress(database)
    assert first.endswith("%\n")
    assert between.reached >= reindexing.AT_ONCE

    with command(database_url) as process:
        said = process.stdout.read().splitlines()

    assert process.returncode == 0, said
    assert said[-1] == "The search index is complete."
    assert progress(database).complete
    assert index(database) == older


def test_a_sandbox_indexes_by_itself_and_production_waits_for_a_person(older, database, settings):
    production = replace(settings, mode="production")
    for mode, complete_then in ((production, False), (settings, True)):
        sweep = Sweep(mode, database)
        try:
            for _ in range(3):
                sweep.round(0.0)
        finally:
            sweep.close()
        assert progress(database).complete is complete_then
    assert index(database) == older


@pytest.mark.parametrize("before", ["another version", "nothing"])
def test_a_sandbox_begins_where_a_release_makes_other_rows_without_a_migration(
    older, database, owner, settings, client, monkeypatch, before
):
    version = reindexing.VERSION + 1
    if before == "nothing":
        with owner.transaction() as tx:
            raw(tx).execute("DELETE FROM reindexing")
        version = reindexing.VERSION
    monkeypatch.setattr(reindexing, "VERSION", version)
    assert asked(client, "code=718-7").status_code == 503
    sweep = Sweep(settings, database)
    try:
        for _ in range(3):
            sweep.round(0.0)
    finally:
        sweep.close()

    assert progress(database).done
    assert asked(client, "code=718-7").get_json()["total"] == MANY - 1
    assert index(database) == older
    with database.transaction() as tx:
        raw(tx).execute("UPDATE reindexing SET version = %s", [extraction.VERSION])


def test_what_is_written_meanwhile_is_found_as_it_is_then(older, database, client):
    ends = threading.Event()
    faults = []

    def write():
        number = 0
        while not ends.wait(0.05):
            number += 1
            try:
                save(database, [finding(n, f"{number}.5") for n in (9, 600, 1000)])
            except Exception as fault:  # noqa: BLE001 - told by the test
                faults.append(fault)
                return

    writer = threading.Thread(target=write)
    writer.start()
    while not database.run(partial(reindexing.step, tenant=0)).done:
        pass
    ends.set()
    writer.join()
    after = index(database)
    # What a second run makes of everything is what is there.
    database.run(partial(reindexing.begin, tenant=0))
    assert progress(database).complete
    while not database.run(partial(reindexing.step, tenant=0)).done:
        assert asked(client, "code=718-7").status_code == 200

    assert faults == []
    assert index(database) == after
    save(database, [finding(n) for n in (9, 600, 1000)])
