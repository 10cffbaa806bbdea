"""Upgrades and downgrades with data in the tables, beside others who use or migrate them."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from uuid import uuid4

import next_release
import pytest
from psycopg.rows import dict_row
from sqlalchemy import text

from service.store import decisions, migrate, promises, reindexing, resources, schema
from service.store.database import Database
from service.store.driver import raw
from service.store.migrate import Move, NotMigrated
from service.store.resources import Write

NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path):
    return next_release.migrations(tmp_path / "migrations")


@pytest.fixture
def url(new_database_url, owner_url):
    return owner_url(new_database_url())


@pytest.fixture
def database(url):
    opened = Database(url)
    yield opened
    opened.close()


def fill(database):
    """Store a patient, a promise and a decision."""
    with database.transaction() as tx:
        body = {"resourceType": "Patient", "birthDate": "1960-01-01", "identifier": [{"value": "A1"}]}
        resources.save(tx, [Write(type="Patient", id="p", body=body)], tenant=0, now=NOW)
        resources.save(tx, [Write(type="Patient", id="p", body={**body, "active": True})], tenant=0, now=NOW)
        promises.want(tx, "p", received=NOW, due_at=NOW, tenant=0)
        step = decisions.Row(
            tenant=0,
            patient="p",
            pathway="plan",
            instance="left",
            number=1,
            at=NOW,
            run=uuid4(),
            rule="R1",
            before={},
            after={"stage": "b"},
            basis={"inputs": [{"value": "4.50"}]},
        )
        decisions.append(tx, [step], read=(), tenant=0)


def content(database):
    """Return every row of the tables that the first release has."""
    names = ("resource", "history", "search_value", "arrival", "promise", "decision", "clock")
    with database.transaction() as tx:
        # A prepared SELECT * would not survive a change of its table.
        cursor = raw(tx).cursor(row_factory=dict_row)
        return {
            name: cursor.execute(f"SELECT * FROM {name} ORDER BY 1", prepare=False).fetchall()
            for name in names
        }


def only(found, known):
    """Return of what was found what an older schema has columns for, too, and ways to search by."""
    searched = {row["name"] for row in known["search_value"]}
    found = {**found, "search_value": [row for row in found["search_value"] if row["name"] in searched]}
    return {
        name: [{column: row[column] for column in old} for row, old in zip(found[name], rows, strict=True)]
        for name, rows in known.items()
    }


def reindex(database):
    """Make the rows that the newest release searches by."""
    while not database.run(lambda tx: reindexing.step(tx, tenant=0)).complete:
        pass


def at(database):
    with database.transaction() as tx:
        return schema.revision(tx)


def test_a_step_up_and_a_step_down_keep_the_record(url, database, folder):
    fill(database)
    before = content(database)
    assert len(before["resource"]) == len(before["decision"]) == 1
    assert len(before["history"]) == 1

    up = migrate.upgrade(url, folder=folder)
    between = content(database)
    down = migrate.downgrade(url, schema.head(), folder=folder)

    assert up == Move(before=schema.head(), after=next_release.REVISION)
    assert down == Move(before=next_release.REVISION, after=schema.head())
    assert before == only(between, before) == content(database)


def test_every_step_of_ours_leads_down_and_up_and_keeps_the_record(url, database):
    fill(database)
    before = content(database)

    for revision in reversed(migrate.revisions()[:-1]):
        migrate.downgrade(url, revision)
        assert at(database) == revision
        known = content(database)
        assert known == only(before, known)
    migrate.upgrade(url)

    assert at(database) == schema.head()
    assert only(content(database), known) == known


def test_reports_of_before_are_found_by_their_results(url, database):
    fill(database)
    results = [{"reference": "Observation/a"}, {"reference": "Observation/b/_history/2"}, {"display": "none"}]
    bodies = [
        {"resourceType": "DiagnosticReport", "result": results},
        {"resourceType": "DiagnosticReport", "conclusion": "no result"},
    ]
    with database.transaction() as tx:
        writes = [
            Write(type="DiagnosticReport", id=f"r-{n}", body=b, patient="p") for n, b in enumerate(bodies)
        ]
        resources.save(tx, writes, tenant=0, now=NOW)
    before = content(database)["search_value"]
    assert {row["value"] for row in before if row["name"] == "result"} == {"Observation/a", "Observation/b"}

    migrate.downgrade(url, "0005")
    assert not [row for row in content(database)["search_value"] if row["name"] == "result"]
    migrate.upgrade(url)
    reindex(database)

    assert sorted(map(str, content(database)["search_value"])) == sorted(map(str, before))


def test_a_step_up_finds_the_patients_that_are_there_by_their_names(url, database):
    names = [
        {"family": "van der Müller", "given": ["Zoë", "Maria", None], "text": "Z. van der Müller"},
        {"use": "maiden", "family": "Groß"},
        {"text": "Li Wei"},
    ]
    bodies = [{"name": names, "birthDate": "1970-04"}, {"name": [{"use": "usual"}]}, {}]
    with database.transaction() as tx:
        writes = [
            Write(type="Patient", id=f"p-{n}", body={"resourceType": "Patient", **body}, patient=f"p-{n}")
            for n, body in enumerate(bodies)
        ]
        resources.save(tx, writes, tenant=0, now=NOW)
    before = content(database)["search_value"]
    assert {"van der muller", "der muller", "muller", "gross", "li wei", "wei"} == {
        row["value"] for row in before if row["name"] == "family"
    }

    migrate.downgrade(url, "0006")
    assert not content(database)["search_value"]
    migrate.upgrade(url)
    reindex(database)

    assert sorted(map(str, content(database)["search_value"])) == sorted(map(str, before))


def test_a_step_up_finds_the_plans_that_are_there_by_their_stage_and_side(url, database):
    def coded(name, code):
        url = f"https://w3id.org/hipway/StructureDefinition/{name}"
        return {"url": url, "valueCoding": {"system": "urn:s", "code": code}}

    extensions = [coded("pathway-stage", "imaging"), coded("pathway-side", "hip-left"), coded("other", "x")]
    held = "https://w3id.org/hipway/StructureDefinition/pathway-hold"
    bodies = [
        {"status": "active", "extension": extensions},
        {"status": "active", "extension": extensions[:1]},
        {"status": "active"},
        {"status": "completed", "extension": extensions},
        {"status": "on-hold", "extension": extensions[:1]},
        {"status": "revoked", "extension": extensions},
        {"status": "active", "extension": [{"url": held, "extension": []}, *extensions[1:]]},
    ]
    ours = "https://w3id.org/hipway/sid/care-plan"
    with database.transaction() as tx:
        writes = [
            Write(
                type="CarePlan",
                id=f"c-{n}",
                body={"resourceType": "CarePlan", **body, "identifier": [{"system": ours, "value": f"{n}"}]},
                patient="p",
                owned=True,
            )
            for n, body in enumerate(bodies)
        ]
        foreign = {"resourceType": "CarePlan", "status": "active", "extension": extensions}
        writes.append(Write(type="CarePlan", id="foreign", body=foreign, patient="p"))
        resources.save(tx, writes, tenant=0, now=NOW)
    before = content(database)["search_value"]
    assert sorted((r["system"], r["value"]) for r in before if r["name"] == "_open") == [
        ("", ""),
        ("", "imaging"),
        ("hip-left", ""),
        ("hip-left", "imaging"),
    ]
    assert sorted(
        (r["name"], r["system"], r["value"]) for r in before if r["name"] in ("_held", "_apart")
    ) == [
        ("_apart", "", "imaging"),
        ("_apart", "hip-left", "imaging"),
        ("_held", "hip-left", ""),
    ]

    migrate.downgrade(url, "0008")
    older = [(row["name"], row["value"]) for row in content(database)["search_value"]]
    assert (older.count(("_side", "hip-left")), older.count(("_stage", "imaging"))) == (5, 6)
    migrate.downgrade(url, "0007")
    assert {row["name"] for row in content(database)["search_value"]} == {"identifier"}
    migrate.upgrade(url)
    reindex(database)

    assert sorted(map(str, content(database)["search_value"])) == sorted(map(str, before))


def test_a_newer_database_is_left_as_it_is(url, database, folder):
    migrate.upgrade(url, folder=folder)

    assert migrate.upgrade(url) == Move(before=next_release.REVISION, after=next_release.REVISION)
    with pytest.raises(NotMigrated, match="which this version does not know"):
        migrate.downgrade(url, migrate.revisions()[0])
    assert at(database) == next_release.REVISION


def test_a_revision_that_does_not_exist_is_named(url, database):
    with pytest.raises(NotMigrated, match="no revision 9999"):
        migrate.downgrade(url, "9999")
    assert at(database) == schema.head()


def test_of_two_migrations_at_once_the_second_waits_and_finds_nothing_to_do(url, folder):
    migrate.downgrade(url, "base")

    with ThreadPoolExecutor(4) as pool:
        started = [pool.submit(migrate.upgrade, url, folder=folder) for _ in range(4)]
        moves = [one.result() for one in started]

    done = Move(before=None, after=next_release.REVISION)
    nothing = Move(before=next_release.REVISION, after=next_release.REVISION)
    assert sorted(moves, key=lambda move: move.before or "") == [done, nothing, nothing, nothing]


def test_a_migration_that_waits_for_a_table_does_not_hold_up_who_uses_it(url, database, folder):
    reading = threading.Event()
    go_on = threading.Event()

    def read_for_long():
        with database.transaction() as tx:
            tx.execute(text("SELECT count(*) FROM resource"))
            reading.set()
            assert go_on.wait(60)

    with ThreadPoolExecutor(2) as pool:
        reader = pool.submit(read_for_long)
        assert reading.wait(60)
        migration = pool.submit(migrate.upgrade, url, folder=folder)
        wait_until_someone_waits_for(database, "resource")
        # The migration stands between this and the long reader; the lock timeout of the service is 10 s.
        fill(database)
        assert not migration.done()
        go_on.set()
        reader.result()

    assert migration.result().after == next_release.REVISION
    assert len(content(database)["resource"]) == 1


def wait_until_someone_waits_for(database, table):
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = CAST(:table AS regclass)")
    for _ in range(600):
        with database.transaction() as tx:
            if tx.execute(waiting, {"table": table}).scalar_one():
                return
        threading.Event().wait(0.05)
    raise AssertionError(f"nobody waits for {table}")
