"""`Patient/[id]/$unmerge`: what came from the source goes back, and nobody guesses whose the rest is.

Safety: SP-16.
"""

import pytest
from fhir_visits import MRN, bundle, encounter, observation, patient, put
from merging import kept, look_at, merge, parameters, said, unmerge
from sqlalchemy import text

from fhir_profiles import gate, reading
from service.sandbox import erasing


@pytest.fixture(autouse=True)
def joined(client, database, send):
    """Two records that were joined: one finding each, and one that both had; and what each was before."""
    with database.transaction() as tx:
        erasing.erase(tx)
    first = (put(patient("a", mrn="A", active=True)), put(observation("a1", "Patient/a")))
    both = put(observation("same-a", "Patient/a", valueInteger=3))
    send(bundle(*first, both, put(encounter("Patient/a", id_="visit"))))
    same = put(observation("same-b", "Patient/b", valueInteger=3))
    send(bundle(put(patient("b", mrn="B")), same, put(observation("b1", "Patient/b", valueInteger=5))))
    before = kept(database, "a"), kept(database, "b")
    assert merge(client, "a", "b").status_code == 200
    return before


def read(client, reference):
    return client.get(f"/fhir/{reference}").get_json()


def test_both_are_as_they_were(client, database, joined):
    answer = unmerge(client, "a", "b")

    assert answer.status_code == 200, said(answer)
    assert gate.check(reading.read(answer.get_data())) == ()
    assert "1 Encounter, 2 Observation was moved back" in said(answer)
    assert kept(database, "a") == joined[0]
    of_target = kept(database, "b")
    assert {r: b for r, b in of_target.items() if not r.startswith("Provenance/joining-")} == joined[1]
    said_by = [b["activity"]["coding"][0]["code"] for r, b in of_target.items() if r.startswith("Provenance")]
    assert sorted(said_by) == ["merge", "unmerge"]
    assert client.get(f"/fhir/Patient?identifier={MRN}|A").get_json()["total"] == 1


def test_each_is_named_by_its_own_names_again(client, send):
    unmerge(client, "a", "b")

    assert send(bundle(put(observation("late", "Patient/a")))).status_code == 200
    assert send(bundle(put(observation("later", f"Patient?identifier={MRN}|A")))).status_code == 200
    assert read(client, "Observation/later")["subject"]["reference"] == "Patient/a"
    assert client.delete("/fhir/Observation/late").status_code == 204


def test_what_was_changed_since_goes_back_as_it_is_now(client, send):
    send(bundle(put(observation("a1", "Patient/b", valueInteger=9))))

    assert unmerge(client, "a", "b").status_code == 200

    found = read(client, "Observation/a1")
    assert (found["valueInteger"], found["subject"]["reference"]) == (9, "Patient/a")


def test_what_was_changed_since_names_its_own_fact_again_and_not_the_one_that_was_kept_for_both(client, send):
    named = [{"reference": "Observation/same-b"}]
    send(bundle(put(observation("a1", "Patient/b", valueInteger=9, hasMember=named))))

    answer = unmerge(client, "a", "b")

    assert read(client, "Observation/a1")["hasMember"] == [{"reference": "Observation/same-a"}]
    assert "warning" not in str(answer.get_json())


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda found: {**found, "status": "entered-in-error"}, id="withdrawn"),
        pytest.param(None, id="removed"),
    ],
)
def test_that_a_fact_kept_for_both_was_changed_since_is_told_by_name(client, send, change):
    if change is None:
        client.delete("/fhir/Observation/same-b")
    else:
        send(bundle(put(change(read(client, "Observation/same-b")))))

    answer = unmerge(client, "a", "b")

    assert answer.status_code == 200, said(answer)
    assert "Observation/same-a goes back as it was received; Observation/same-b, which stood for" in said(
        answer
    )
    assert read(client, "Observation/same-a")["status"] == "final"


def test_what_was_removed_since_is_removed(client, database):
    client.delete("/fhir/Observation/a1")

    assert unmerge(client, "a", "b").status_code == 200

    assert client.get("/fhir/Observation/a1").status_code == 410
    look_at(database, "a", "b")


def test_what_names_several_follows_and_goes_back(client, send):
    unmerge(client, "a", "b")
    members = [{"entity": {"reference": f"Patient/{who}"}} for who in ("a", "b")]
    group = {"resourceType": "Group", "id": "g", "type": "person", "actual": True, "member": members}
    assert send(bundle(put(group))).status_code == 200

    def named():
        return [member["entity"]["reference"] for member in read(client, "Group/g")["member"]]

    merge(client, "a", "b")
    assert named() == ["Patient/b", "Patient/b"]
    assert unmerge(client, "a", "b").status_code == 200
    assert named() == ["Patient/a", "Patient/b"]


def test_what_was_removed_since_may_come_back_where_it_came_from(client, send):
    client.delete("/fhir/Observation/a1")
    unmerge(client, "a", "b")

    assert send(bundle(put(observation("a1", "Patient/b")))).status_code == 422
    assert send(bundle(put(observation("a1", "Patient/a")))).status_code == 200


def test_what_was_received_since_is_a_person_s_to_say(client, send, stored):
    send(bundle(put(observation("new1", "Patient/b")), put(observation("new2", "Patient/b"))))
    before = stored()

    refused = unmerge(client, "a", "b")

    assert refused.status_code == 409
    assert "2 resources were received since" in said(refused)
    assert "Observation/new1, Observation/new2" in said(refused)
    partly = unmerge(client, "a", "b", source_resource="Observation/new1")
    assert partly.status_code == 409
    assert "They are Observation/new2" in said(partly)
    assert stored() == before
    answer = unmerge(client, "a", "b", source_resource="Observation/new1", rest_stays=True)
    assert answer.status_code == 200
    assert "1 resources that were received since stay" in said(answer)
    assert read(client, "Observation/new1")["subject"]["reference"] == "Patient/a"
    assert read(client, "Observation/new2")["subject"]["reference"] == "Patient/b"


def test_what_answers_something_that_goes_back_goes_with_it(client, send):
    report = observation("answer", "Patient/b", encounter={"reference": "Encounter/visit"})
    send(bundle(put(report)))

    assert unmerge(client, "a", "b").status_code == 200

    found = read(client, "Observation/answer")
    assert found["subject"]["reference"] == "Patient/a"


def test_what_answers_something_that_is_named_goes_with_it_however_far(client, send):
    send(bundle(put(observation("n1", "Patient/b"))))
    send(bundle(put(observation("n2", "Patient/b", derivedFrom=[{"reference": "Observation/n1"}]))))
    send(bundle(put(observation("n3", "Patient/b", derivedFrom=[{"reference": "Observation/n2"}]))))

    answer = unmerge(client, "a", "b", source_resource="Observation/n1", rest_stays=True)

    assert answer.status_code == 200, said(answer)
    for name in ("n1", "n2", "n3"):
        assert read(client, f"Observation/{name}")["subject"]["reference"] == "Patient/a"


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        pytest.param("new", "Observation/new", id="goes, and refers to what stays"),
        pytest.param("b1", None, id="was there before, and refers to what goes"),
    ],
)
def test_no_record_refers_to_the_other(client, send, stored, changed, named):
    to = "Observation/same-b2" if named else "Observation/a1"
    send(bundle(put(observation("same-b2", "Patient/b"))))
    send(bundle(put(observation(changed, "Patient/b", derivedFrom=[{"reference": to}]))))
    before = stored()

    answer = unmerge(client, "a", "b", rest_stays=True, **({"source_resource": named} if named else {}))

    assert answer.status_code == 409
    assert f"They are Observation/{changed} to {to}" in said(answer)
    assert stored() == before


@pytest.mark.parametrize(
    ("source", "target", "more", "status", "words"),
    [
        pytest.param("b", "a", {}, 422, "not joined", id="the wrong way round"),
        pytest.param("x", "b", {}, 422, "not joined", id="a third one"),
        pytest.param(
            "a",
            "b",
            {"source_resource": "Observation/same-b"},
            422,
            "1 of the resources",
            id="was there before",
        ),
        pytest.param(
            "a", "b", {"source_resource": "Observation/none"}, 422, "1 of the resources", id="is nowhere"
        ),
    ],
)
def test_what_cannot_be_parted_is_refused(client, stored, source, target, more, status, words):
    before = stored()

    answer = unmerge(client, source, target, **more)

    assert answer.status_code == status
    assert words in said(answer)
    assert stored() == before


def test_what_was_refused_is_written_down_too(client, database, send):
    send(bundle(put(observation("new1", "Patient/b"))))

    assert unmerge(client, "a", "b").status_code == 409
    assert merge(client, "b", "a").status_code == 422

    with database.transaction() as tx:
        seen = tx.execute(text("SELECT patients, status FROM access ORDER BY key DESC LIMIT 2")).all()
        sent = tx.execute(
            text("SELECT interaction, status, patients FROM sending ORDER BY key DESC LIMIT 2")
        ).all()
    assert [(sorted(row.patients), row.status) for row in seen] == [(["a", "b"], 422), (["a", "b"], 409)]
    assert [tuple(row) for row in sent] == [("merge", 422, ["a", "b"]), ("unmerge", 409, ["a", "b"])]


def test_without_a_source_it_is_refused(client):
    assert client.post("/fhir/Patient/b/$unmerge", json=parameters(rest_stays=True)).status_code == 400


def test_a_second_time_there_is_nothing_to_part(client):
    assert unmerge(client, "a", "b").status_code == 200
    assert unmerge(client, "a", "b").status_code == 422


def test_a_preview_stores_nothing(client, stored):
    before = stored()

    preview = unmerge(client, "a", "b", preview=True)

    assert preview.status_code == 200
    assert stored() == before
    assert said(unmerge(client, "a", "b")) == said(preview).replace("would be", "was")


def test_later_joinings_are_undone_first(client, send):
    send(bundle(put(patient("c", mrn="C"))))
    merge(client, "c", "b")

    refused = unmerge(client, "a", "b")

    assert refused.status_code == 409
    assert "Patient/c was joined with Patient/b after this" in said(refused)
    assert unmerge(client, "c", "b").status_code == 200
    assert unmerge(client, "a", "b").status_code == 200


def test_joined_again_it_is_as_the_first_time(client, database):
    first = kept(database, "b")
    unmerge(client, "a", "b")

    assert merge(client, "a", "b").status_code == 200

    def without_who(resources):
        return {r: b for r, b in resources.items() if not r.startswith("Provenance/joining-")}

    assert without_who(kept(database, "b")) == without_who(first)


def test_who_joined_them_is_not_written_from_outside(client, database, send):
    reference = next(r for r in kept(database, "b") if r.startswith("Provenance/joining-"))
    other = {**read(client, reference), "target": [{"reference": "Patient/b"}]}

    assert client.put(f"/fhir/{reference}", json=other).status_code == 403
    assert client.delete(f"/fhir/{reference}").status_code == 403
