"""The log of decisions, made again from what each evaluation read (SP-32)."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import playing
import psycopg
import pytest
from histories import history
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from stored_play import StoredPlay

from pathways import catalogue
from service.store import decisions, parameters
from service.store.database import Database
from worker import audit, replay
from worker.replay import Replayed, Verdict

STORIES = Path(__file__).parents[1] / "stories"
PATHWAY = "gluteus-medius-tear"


def replayed(game: StoredPlay) -> list[Replayed]:
    return audit.of_patient(game.database, game.patient)


def played(database: Database, name: str) -> StoredPlay:
    game = StoredPlay(database=database)
    game.tell(playing.read(STORIES / f"{name}.json"))
    return game


def others(found: list[Replayed]) -> list[Replayed]:
    return [each for each in found if each.verdict is not Verdict.SAME]


@pytest.fixture
def changed(database_url: str, owner_url: Callable[[str], str]) -> Callable[[str], None]:
    """Change what the service itself cannot: as the owner, and without the trigger that refuses it."""

    def change(statement: str) -> None:
        with psycopg.connect(owner_url(database_url)) as connection:
            connection.execute("ALTER TABLE decision DISABLE TRIGGER USER")
            connection.execute(statement.encode())
            connection.execute("ALTER TABLE decision ENABLE TRIGGER USER")

    return change


@pytest.mark.parametrize("name", sorted(path.stem for path in STORIES.glob("V*.json")))
def test_each_decision_of_a_story_comes_out_the_same_to_the_last_letter(database, name):
    game = played(database, name)

    found = replayed(game)

    assert others(found) == []
    with database.transaction() as tx:
        log = decisions.of_patient(tx, game.patient, tenant=0)
    assert Counter((e.row.instance, e.row.number) for e in found) == Counter(
        (row.instance, row.number) for evaluation in log for row in evaluation.rows
    )


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32))
def test_each_decision_of_a_random_history_comes_out_the_same(database, seed):
    game = StoredPlay(database=database)
    game.live(history(seed))

    assert others(replayed(game)) == []


def test_values_of_the_site_are_those_of_the_time(database):
    game = played(database, "V02")
    before = replayed(game)
    with database.transaction() as tx:
        at = decisions.of_patient(tx, game.patient, tenant=0)[-1].rows[-1].at + timedelta(days=1)
        parameters.set_(tx, {"profile": "conservative-first"}, "a test", at)

    assert before
    assert replayed(game) == before


def test_a_version_that_came_later_was_not_read(database):
    game = played(database, "V02")
    before = replayed(game)
    story = playing.read(STORIES / "V02.json")
    for step in story["steps"]:
        for item in (step["bundle"] or {"entry": ()})["entry"]:
            if item["resource"]["resourceType"] == "Observation":
                item["resource"]["status"] = "entered-in-error"
    with database.transaction() as tx:
        at = decisions.of_patient(tx, game.patient, tenant=0)[-1].rows[-1].at + timedelta(minutes=1)
    for step in story["steps"]:
        if step["bundle"]:
            game.receive(step["bundle"], at)

    assert replayed(game) == before

    game.work(at + timedelta(minutes=1))

    assert len(replayed(game)) > len(before)
    assert others(replayed(game)) == []


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        pytest.param("rule = 'T99'", {"rule"}, id="rule"),
        pytest.param("""after = replace(after, '"path":[', '"path":[9,')""", {"after.path"}, id="after"),
        pytest.param("""basis = replace(basis, '"used":[', '"used":["x",')""", {"basis.used"}, id="basis"),
        pytest.param("""basis = replace(basis, '"used":', '"used": ')""", {"basis"}, id="spelling"),
    ],
)
def test_a_decision_that_was_changed_is_named_with_what_differs(database, changed, change, parts):
    game = played(database, "V02")
    where = f"pathway = '{PATHWAY}' AND instance = 'right' AND number = 2"

    changed(f"UPDATE decision SET {change} WHERE {where}")

    first, *_ = others(replayed(game))
    assert (first.row.instance, first.row.number, first.verdict) == ("right", 2, Verdict.DIFFERS)
    assert set(first.parts) == parts


def test_a_decision_that_was_removed_is_named(database, changed):
    game = played(database, "V02")

    changed("DELETE FROM decision WHERE instance = 'right' AND number = 1")

    assert ("right", 1, ("not in the log",)) in {
        (each.row.instance, each.row.number, each.parts) for each in others(replayed(game))
    }


def test_a_decision_that_was_added_is_named(database, changed):
    game = played(database, "V02")
    columns = "tenant, patient, pathway, at, run, rule, before, after, basis"

    changed(
        f"INSERT INTO decision (instance, number, {columns}) SELECT 'left', 9, {columns} "
        "FROM decision WHERE instance = 'right' AND number = 1",
    )

    assert ("left", 9, ("not decided again",)) in {
        (each.row.instance, each.row.number, each.parts) for each in others(replayed(game))
    }


def test_an_observation_that_was_changed_in_place_is_seen_in_the_decisions_that_used_it(database):
    game = played(database, "V02")
    with database.transaction() as tx:
        tx.execute(
            text(
                "UPDATE resource SET body = replace(body, '\"final\"', '\"preliminary\"') "
                "WHERE type = 'Observation'"
            )
        )

    assert {each.verdict for each in replayed(game)} >= {Verdict.DIFFERS}


def test_a_decision_by_other_rules_is_not_judged(database, monkeypatch):
    game = played(database, "V02")
    monkeypatch.setattr(replay, "ENGINE", "0.9.0")

    assert {each.verdict for each in replayed(game)} == {Verdict.OTHER_VERSION}


def test_a_decision_of_a_pathway_that_is_gone_is_not_judged(database):
    game = played(database, "V02")
    with database.transaction() as tx:
        found = list(replay.replay(tx, game.patient, (), tenant=0))

    assert {each.verdict for each in found} == {Verdict.OTHER_VERSION}


def test_a_decision_from_before_what_was_read_was_kept_is_not_judged(database):
    game = played(database, "V02")
    with database.transaction() as tx:
        tx.execute(text("TRUNCATE evaluation"))

    assert {each.verdict for each in replayed(game)} == {Verdict.NOT_KEPT}


def test_nobody_has_no_decisions(database):
    with database.transaction() as tx:
        assert list(replay.replay(tx, "nobody", catalogue.pathways(), tenant=0)) == []


def test_the_command_replays_everybody_and_says_what_differs(
    database, database_url, changed, monkeypatch, capsys
):
    monkeypatch.setenv("HIPWAY_DATABASE_URL", database_url)
    played(database, "V02")

    assert audit.main([]) == 0
    said = capsys.readouterr().out
    assert "of 1 patients" in said
    assert "differs" in said

    changed("UPDATE decision SET rule = 'T99' WHERE instance = 'right' AND number = 2")

    assert audit.main(["gmt-v02"]) == 1
    assert "Patient/gmt-v02 right 2 T99" in capsys.readouterr().out
