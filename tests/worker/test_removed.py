"""A removed fact is a withdrawn one: the same corrections, the same replay, nothing lost from an explanation.

Stories in which a finding is withdrawn are told twice: with status entered-in-error, and by a DELETE.
"""

from pathlib import Path

import playing
import pytest
from stored_play import StoredPlay

from service.fhir import transaction
from service.store import decisions, resources
from worker import audit
from worker.replay import Verdict

STORIES = Path(__file__).parents[1] / "stories"
WITHDRAWN = "entered-in-error"


class Removing(StoredPlay):
    """Removes what the story withdraws."""

    def receive(self, bundle, at):
        gone = [item for item in bundle["entry"] if item["resource"].get("status") == WITHDRAWN]
        kept = [item for item in bundle["entry"] if item not in gone]
        people = [item for item in kept if item["resource"]["resourceType"] == "Patient"]
        super().receive({**bundle, "entry": kept or people}, at)
        if gone:
            urls = [f"{item['resource']['resourceType']}/{item['resource']['id']}" for item in gone]
            removal = [{"request": {"method": "DELETE", "url": self._placed(url)}} for url in urls]
            sent = {"resourceType": "Bundle", "type": "transaction", "entry": removal}
            self.removed = [
                line["response"]
                for line in transaction.accept(self.database, sent, sender="hospital").response["entry"]
            ]


def told(game):
    """Return what was decided of each instance, in order, and what is remembered."""
    with game.database.transaction() as tx:
        log = decisions.of_patient(tx, game.patient, tenant=0)
    rows = [(row.instance, row.number, row.rule, row.after) for each in log for row in each.rows]
    return rows, game.memories


@pytest.mark.parametrize("name", ["V22", "V23", "V85"])
def test_a_story_with_a_removal_ends_like_the_one_with_a_withdrawal(name, database):
    story = playing.read(STORIES / f"{name}.json")
    withdrawn = StoredPlay(database=database)
    withdrawn.tell(story)
    expected = told(withdrawn)

    game = Removing(database=database)
    game.tell(story)

    assert [line["status"] for line in game.removed] == ["204 No Content"]
    assert told(game) == expected
    assert {each.verdict for each in audit.of_patient(database, game.patient)} == {Verdict.SAME}
    with database.transaction() as tx:
        bases = [
            str(row.basis)
            for evaluation in decisions.of_patient(tx, game.patient, tenant=0)
            for row in evaluation.rows
        ]
        location = game.removed[0]["location"]
        type_, id_, _, number = location.split("/")
        before = resources.version(tx, type_, id_, int(number) - 1, tenant=0)
    # What was decided on the removed fact still names the version it read, and that version is there.
    assert before is not None
    assert not before.deleted
    assert any(f"{type_}/{id_}/_history/{before.version}" in basis for basis in bases)
