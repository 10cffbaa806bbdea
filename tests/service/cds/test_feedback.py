"""Feedback is kept once, as ids, codes and times; what a person wrote in words is not.

https://cds-hooks.hl7.org/2.0/#feedback
"""

import pytest
from cds_calls import VIEW, post
from sqlalchemy import text

CARD = "4e0a3a1e-3283-4575-ab82-028d55fe2719"
SUGGESTION = "e56e1945-20b3-4393-8503-a1a20fd73152"
ACCEPTED = {
    "card": CARD,
    "outcome": "accepted",
    "acceptedSuggestions": [{"id": SUGGESTION}],
    "outcomeTimestamp": "2026-02-16T10:05:31Z",
}
OVERRIDDEN = {
    "card": CARD,
    "outcome": "overridden",
    "overrideReason": {
        "reason": {"system": "https://w3id.org/hipway/CodeSystem/decision-reason", "code": "not-fitting"},
        "userComment": "Mr Ravensworth does not want it.",
    },
    "outcomeTimestamp": "2026-02-16T11:00:00+01:00",
}


@pytest.fixture
def kept(database):
    def read():
        with database.transaction() as tx:
            return list(tx.execute(text("SELECT * FROM cds_feedback ORDER BY outcome_at")).mappings())

    return read


def give(client, *feedback):
    return post(client, f"{VIEW}/feedback", {"feedback": list(feedback)})


def test_feedback_is_kept_once_however_often_it_is_sent(client, kept):
    answers = [give(client, OVERRIDDEN, ACCEPTED).status_code for _ in range(2)]

    assert answers == [200, 200]
    overridden, accepted = kept()
    assert (accepted["card"], accepted["suggestions"]) == (accepted["card"], [SUGGESTION])
    assert str(accepted["card"]) == CARD
    assert (overridden["reason_code"], overridden["service"]) == ("not-fitting", VIEW)
    assert "Ravensworth" not in str(kept())


@pytest.mark.parametrize(
    ("change", "where"),
    [
        pytest.param({"card": "1"}, "card", id="no card"),
        pytest.param({"outcome": "ignored"}, "outcome", id="another outcome"),
        pytest.param({"acceptedSuggestions": []}, "acceptedSuggestions", id="accepted, but what"),
        pytest.param({"acceptedSuggestions": [{"id": 1}]}, "acceptedSuggestions[0].id", id="no id"),
        pytest.param({"outcomeTimestamp": "2026-02-16T10:05:31"}, "outcomeTimestamp", id="no zone"),
        pytest.param({"overrideReason": {"reason": {"code": "a b"}}}, "overrideReason.reason", id="words"),
    ],
)
def test_what_is_no_feedback_is_refused_whole(change, where, client, kept):
    before = len(kept())
    other = OVERRIDDEN | {"outcomeTimestamp": "2026-03-01T00:00:00Z"}

    answer = give(client, other, ACCEPTED | change)

    assert answer.status_code == 400
    assert answer.get_json()["issue"][0]["expression"] == [f"feedback[1].{where}"]
    assert len(kept()) == before


def test_feedback_to_a_service_that_there_is_not_is_404(client):
    assert post(client, "other/feedback", {"feedback": [ACCEPTED]}).status_code == 404


def test_what_was_kept_is_not_changed(database, owner, client):
    give(client, ACCEPTED)

    with pytest.raises(Exception, match="append"), owner.transaction() as tx:
        tx.execute(text("UPDATE cds_feedback SET outcome = 'overridden'"))
