"""What happens in a story is told: written with the evaluation that made it happen, once, in order."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import playing
import pytest
from sqlalchemy import text
from stored_play import StoredPlay

from fhir_profiles import topics
from service.store import resources
from service.store.database import Database
from service.subscriptions import overdue
from worker import advance as advancing
from worker.advance import advance

STORIES = Path(__file__).parents[1] / "stories"


@pytest.fixture
def told(database):
    """Return what was raised since the last time, oldest first."""

    def read():
        with database.transaction() as tx:
            statement = (
                "DELETE FROM raised_event RETURNING key, topic, patient, type, id, version, labels, at"
            )
            return sorted(tx.execute(text(statement)).all(), key=lambda row: row.key)

    read()
    return read


def play(database: Database, name: str) -> StoredPlay:
    game = StoredPlay(database=database)
    game.tell(playing.read(STORIES / f"{name}.json"))
    return game


def test_a_story_is_told_by_its_stages_proposals_and_orders(database, told):
    game = play(database, "V03")
    found = told()

    with database.transaction() as tx:
        own = resources.of_patient(
            tx, game.patient, types=["CarePlan", "ServiceRequest"], owned=True, tenant=0
        )
    plans = {stored.id for stored in own if stored.type == "CarePlan"}
    intents = {"proposal": set(), "order": set()}
    for stored in own:
        if stored.type == "ServiceRequest":
            intents[stored.resource["intent"]].add(stored.id)
    by_topic = {topic.name: [row for row in found if row.topic == topic.name] for topic in topics.topics()}
    assert {row.id for row in by_topic["stage-entered"]} == plans
    assert sorted(row.id for row in by_topic["proposal-made"]) == sorted(intents["proposal"])
    assert sorted(row.id for row in by_topic["order-signed"]) == sorted(intents["order"])
    assert by_topic["task-overdue"] == []
    assert {row.patient for row in found} == {game.patient}
    entered = [
        label
        for row in by_topic["stage-entered"]
        for label in row.labels
        if label.startswith("stage=") and "|" not in label
    ]
    assert entered == [f"stage={stage}" for stage in _entered(database, game.patient)]


def _entered(database, patient):
    """Return the stages that the plans of a patient entered, as the log of decisions has them."""
    statement = """
        SELECT after::json ->> 'stage' FROM decision
        WHERE patient = :patient AND instance <> '' AND after::json ->> 'stage' IS NOT NULL
            AND (before::json ->> 'stage' IS NULL OR before::json ->> 'stay' <> after::json ->> 'stay')
        ORDER BY key
    """
    with database.transaction() as tx:
        return tx.execute(text(statement), {"patient": patient}).scalars().all()


@pytest.mark.parametrize("name", ["V08", "V21", "V36", "V66", "V91"])
def test_each_event_is_about_a_version_that_there_is(database, told, name):
    play(database, name)
    found = told()

    assert found
    with database.transaction() as tx:
        for row in found:
            stored = resources.version(tx, row.type, row.id, row.version, tenant=0)
            assert stored is not None
            assert f"patient={row.patient}" in row.labels
            assert any(label.startswith("pathway=https://") for label in row.labels)
    once = [(row.topic, row.id) for row in found if row.topic != "stage-entered"]
    assert len(once) == len(set(once))


def test_what_is_not_decided_is_not_told(database, told, monkeypatch):
    """The events are written with the change: what takes one back takes the other."""
    game = StoredPlay(database=database)
    step = playing.read(STORIES / "V03.json")["steps"][0]
    game.receive(step["bundle"], datetime.fromisoformat(step["at"]))

    def dies(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(advancing.promises, "ask_to_settle", dies)
        with pytest.raises(KeyboardInterrupt):
            advance(database, 0, game.patient)
    assert told() == []

    with database.transaction() as tx:
        tx.execute(text("UPDATE promise SET lease_until = NULL, retry_at = NULL"))
    assert advance(database, 0, game.patient)
    assert {row.topic for row in told()} >= {"stage-entered", "proposal-made"}


@pytest.fixture
def late(database, told):
    """A visit whose Tasks are due at some time, and that time."""
    game = StoredPlay(database=database)
    step = playing.read(STORIES / "V03.json")["steps"][0]
    game.receive(step["bundle"], datetime.fromisoformat(step["at"]))
    game.work(datetime.fromisoformat(step["advanceTo"]))
    told()
    with database.transaction() as tx:
        tasks = resources.of_patient(tx, game.patient, types=["Task"], owned=True, tenant=0)
    due = {t.id: datetime.fromisoformat(t.resource["restriction"]["period"]["end"]) for t in tasks}
    assert due
    return due


def tell(database, now):
    with database.transaction() as tx:
        return overdue.tell(tx, now, tenant=0)


def test_a_task_is_told_once_when_its_due_date_has_passed(database, late, told):
    first = min(late.values())

    assert tell(database, first) == 0
    assert tell(database, first + timedelta(seconds=1)) == sum(due == first for due in late.values())
    found = told()
    assert [tell(database, first + timedelta(days=1)) for _ in range(2)][-1] == 0

    assert {row.topic for row in found} == {"task-overdue"}
    assert {row.id for row in found} == {id_ for id_, due in late.items() if due == first}
    for row in found:
        assert any(label.startswith("stage=") for label in row.labels)
        assert any(label.startswith("code=") for label in row.labels)
        assert row.at == first + timedelta(seconds=1)


def test_a_task_that_somebody_has_done_is_not_told(database, late, told):
    with database.transaction() as tx:
        tx.execute(text("UPDATE resource SET status = 'completed' WHERE type = 'Task'"))

    assert tell(database, max(late.values()) + timedelta(days=1)) == 0


def test_what_the_hospital_sends_of_its_own_tasks_is_no_matter_of_ours(database, late, told):
    with database.transaction() as tx:
        tx.execute(
            text("""
            INSERT INTO resource (tenant, type, id, version, seq, owned, deleted, received, sender, digest,
                status, body)
            VALUES (0, 'Task', 'theirs', 1, nextval('receipt_seq'), false, false, now(), 'x', '', 'requested',
                '{"restriction": {"period": {"end": "2020-02"}}}')
        """)
        )

    assert tell(database, datetime(2020, 1, 1, tzinfo=UTC)) == 0
    assert tell(database, max(late.values()) + timedelta(days=1)) == len(late)
    assert "theirs" not in {row.id for row in told()}


def test_two_that_look_at_once_tell_once(database, late, told):
    now = max(late.values()) + timedelta(days=1)
    with database.transaction() as first:
        assert overdue.tell(first, now, tenant=0) == len(late)
        with database.transaction() as second:
            second.execute(text("SET LOCAL lock_timeout = '200ms'"))
            with pytest.raises(Exception, match="lock timeout"):
                overdue.tell(second, now, tenant=0)

    assert tell(database, now) == 0
    assert len(told()) == len(late)
