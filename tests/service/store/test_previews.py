"""What was tried goes with its preview, whatever is being committed at that moment."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from locks import wait_for_who_waits
from sqlalchemy import text

from service.store import leased, previews
from service.store.previews import Question, Row

SOURCE = ("urn:local", "TENDER")
QUESTION = Question(source=SOURCE, target=("urn:ours", "tenderness"), gives=True)
OTHER = Question(source=SOURCE, target=("urn:ours", "pain"), gives=True)
NOW = datetime(2026, 6, 22, 9, 15, tzinfo=UTC)


def ask(tx, question=QUESTION, *, anew=False):
    previews.ask(tx, question, ["a", "b"], by="", maps="", seen_at=NOW, anew=anew, tenant=0)


@pytest.fixture
def asked(database):
    """One preview that was asked for, and a claim on it."""
    with database.transaction() as tx:
        for table in ("preview", "preview_effect"):
            tx.execute(text(f"DELETE FROM {table}"))
        ask(tx)
    with database.transaction() as tx:
        claim = leased.claim(tx, "preview", QUESTION.id, tenant=0)
    assert claim
    return claim


def left(database):
    """Return how many previews and effects there are."""
    counts = "SELECT (SELECT count(*) FROM preview), (SELECT count(*) FROM preview_effect)"
    with database.transaction() as tx:
        return tuple(tx.execute(text(counts)).one())


REMOVALS = {
    "ended": lambda tx: previews.forget(tx, QUESTION.id, tenant=0),
    "decided": lambda tx: previews.decided(tx, SOURCE, tenant=0),
    "asked anew": lambda tx: ask(tx, anew=True),
}


@pytest.mark.parametrize("how", REMOVALS)
def test_what_a_step_commits_while_the_preview_is_removed_goes_with_it(database, asked, how):
    with ThreadPoolExecutor(1) as pool:
        with database.transaction() as tx:
            previews.add(tx, asked.id, 1, Row(patient="a", effects="[]", failed=None), tenant=0)
            previews.reached(tx, asked, gone=1)
            removed = pool.submit(database.run, REMOVALS[how])
            wait_for_who_waits(database)
        removed.result()

    assert left(database) == (1 if how == "asked anew" else 0, 0)


def test_effects_whose_preview_is_gone_are_purged_and_the_others_stay(database, asked):
    row = Row(patient="a", effects="[]", failed=None)
    with database.transaction() as tx:
        previews.add(tx, asked.id, 1, row, tenant=0)
        previews.add(tx, OTHER.id, 1, row, tenant=0)

    assert database.run(previews.purge) == 1

    assert left(database) == (1, 1)
    assert database.run(previews.purge) == 0


def test_a_decision_leaves_only_the_question_that_waits_for_a_second_person(database, asked):
    with database.transaction() as tx:
        ask(tx, OTHER)
        previews.decided(tx, SOURCE, kept=OTHER, tenant=0)

        assert [found.question for found in previews.newest(tx, 5, tenant=0)] == [OTHER]


def test_of_some_patients_those_are_named_who_are_not_tried(database, asked):
    with database.transaction() as tx:
        assert previews.not_tried(tx, asked.id, {"b", "c"}, tenant=0) == {"c"}
        assert previews.not_tried(tx, asked.id, set(), tenant=0) == set()
