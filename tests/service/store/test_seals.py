"""The chain over accesses and decisions: whatever is changed or removed afterwards is found."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from service.store import accesses, seals


@pytest.fixture(autouse=True)
def empty(database):
    with database.transaction() as tx:
        tx.execute(text("TRUNCATE access, seal, sealed, decision, evaluation"))


def look(database, patient, count=1):
    with database.transaction() as tx:
        for _ in range(count):
            accesses.add(
                tx,
                tenant=0,
                who="Practitioner/vogt",
                action=accesses.READ,
                place="/careplans/<id>",
                reference="CarePlan/x",
                patients=[patient],
                status=200,
            )


def decide(database, number):
    with database.transaction() as tx:
        tx.execute(
            text(
                "INSERT INTO decision "
                "(tenant, patient, pathway, instance, number, at, run, rule, before, after, basis) VALUES "
                "(0, 'p', 'w', 'left', :n, now(), gen_random_uuid(), 'T01', '{}', '{}', '{}')"
            ),
            {"n": number},
        )


def seal(database):
    return database.run(lambda tx: seals.seal(tx, tenant=0))


def faults(database, **more):
    with database.transaction() as tx:
        return [(f.number, f.kind, f.entry.partition("/")[0]) for f in seals.check(tx, tenant=0, **more)]


@pytest.fixture
def tamper(owner):
    """Do what the owner of the tables can do: past their triggers."""

    def tamper(statement):
        with owner.transaction() as tx:
            for state in ("DISABLE", "ENABLE"):
                for table in ("access", "decision", "seal", "sealed"):
                    tx.execute(text(f"ALTER TABLE {table} {state} TRIGGER USER"))
                if state == "DISABLE":
                    assert tx.execute(text(statement)).rowcount == 1

    return tamper


@pytest.fixture
def chain(database):
    """Three links: three accesses, one decision, two accesses."""
    look(database, "a", 3)
    assert seal(database) == 3
    decide(database, 1)
    assert seal(database) == 1
    look(database, "b", 2)
    assert seal(database) == 2
    return database


def test_everything_is_sealed_once_and_nothing_is_broken(chain):
    assert seal(chain) == 0
    assert faults(chain) == []
    with chain.transaction() as tx:
        assert seals.latest(tx, tenant=0).number == 3


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        (
            "UPDATE access SET who = 'Practitioner/other' WHERE key = (SELECT min(key) FROM access)",
            [(1, "changed", "access")],
        ),
        ("DELETE FROM access WHERE key = (SELECT max(key) FROM access)", [(3, "removed", "access")]),
        ("UPDATE decision SET rule = 'T02'", [(2, "changed", "decision")]),
        ("DELETE FROM decision", [(2, "removed", "decision")]),
        ("UPDATE seal SET hash = 'x' WHERE number = 1", [(1, "link", ""), (2, "link", "")]),
        ("DELETE FROM seal WHERE number = 2", [(2, "link", ""), (3, "link", "")]),
        ("DELETE FROM sealed WHERE source = 'decision'", [(2, "link", "")]),
    ],
    ids=[
        "an access changed",
        "an access removed",
        "a decision changed",
        "a decision removed",
        "a link changed",
        "a link removed",
        "an entry of a link removed",
    ],
)
def test_whatever_is_tampered_with_is_found(chain, tamper, statement, found):
    tamper(statement)

    assert faults(chain) == found


def test_an_entry_that_is_made_anew_with_its_digest_breaks_the_link(chain, tamper):
    tamper("UPDATE access SET who = '' WHERE key = (SELECT min(key) FROM access)")
    columns = ", ".join(f"r.{c}" for c in seals.SOURCES["access"].split(", "))
    tamper(
        "UPDATE sealed s SET digest = sha256(convert_to(json_build_array(" + columns + ")::text, 'UTF8')) "
        "FROM access r WHERE s.source = 'access' AND s.key = r.key AND r.who = ''",
    )

    assert faults(chain)[0][:2] == (1, "link")


def test_only_the_newest_links_are_looked_at_when_asked(chain, tamper):
    tamper("UPDATE access SET status = 0 WHERE key = (SELECT min(key) FROM access)")

    assert faults(chain, newest=2) == []
    assert faults(chain, newest=3) != []


def test_a_link_that_was_noted_elsewhere_is_known_again(chain):
    with chain.transaction() as tx:
        link = seals.latest(tx, tenant=0)
        assert seals.holds(tx, f"{link.number}:{link.hash}", tenant=0)
        assert not seals.holds(tx, f"{link.number}:{'0' * 64}", tenant=0)


def test_what_is_committed_after_others_with_higher_numbers_is_sealed_too(database):
    with database.transaction() as early:
        accesses.add(
            early, tenant=0, who="", action="R", place="/", reference=None, patients=["early"], status=200
        )
        look(database, "later")
        assert seal(database) == 1
    assert seal(database) == 1
    assert faults(database) == []


def test_several_sweeps_make_one_chain(database):
    look(database, "a", 20)

    with ThreadPoolExecutor(4) as pool:
        counts = list(pool.map(lambda _: seal(database), range(4)))

    assert sorted(counts) == [0, 0, 0, 20]
    assert faults(database) == []


@pytest.mark.parametrize(
    "statement", ["UPDATE access SET who = 'x'", "DELETE FROM access", "DELETE FROM sealed"]
)
def test_nobody_changes_what_was_written(chain, statement):
    with pytest.raises(Exception, match=r"append-only|permission denied"), chain.transaction() as tx:
        tx.execute(text(statement))
