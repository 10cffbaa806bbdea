"""`Patient/$merge`: who is meant is never guessed, nothing is lost and nothing is misfiled.

Safety: SP-15, SP-16. http://hl7.org/fhir/R5/patient-operation-merge.html
"""

import pytest
from fhir_visits import MRN, bundle, encounter, observation, patient, post, put
from merging import kept, look_at, merge, parameters, said, two_records, unmerge
from sqlalchemy import text

from fhir_profiles import gate, reading
from service import dispositions


@pytest.fixture(autouse=True)
def two(database, send):
    two_records(database, send)


def read(client, reference):
    return client.get(f"/fhir/{reference}").get_json()


def by_identifier(value):
    return {"system": MRN, "value": value}


def arrivals(database, who):
    with database.transaction() as tx:
        statement = text("SELECT count(*) FROM arrival WHERE patient = :who")
        return tx.execute(statement, {"who": who}).scalar_one()


def test_what_is_about_the_source_is_about_the_target_and_both_patients_say_so(client, database):
    before = arrivals(database, "b")

    answer = merge(client, "a", "b")

    assert answer.status_code == 200, answer.get_data(as_text=True)
    assert gate.check(reading.read(answer.get_data())) == ()
    assert "1 DiagnosticReport, 2 Observation was moved" in said(answer)
    source, target = read(client, "Patient/a"), read(client, "Patient/b")
    assert source["active"] is False
    assert source["link"] == [{"other": {"reference": "Patient/b"}, "type": "replaced-by"}]
    assert target["link"] == [{"other": {"reference": "Patient/a"}, "type": "replaces"}]
    assert target["identifier"] == [by_identifier("B"), {**by_identifier("A"), "use": "old"}]
    assert answer.get_json()["parameter"][1]["resource"] == target
    found = client.get("/fhir/Observation?patient=b").get_json()
    assert {entry["resource"]["id"] for entry in found["entry"]} == {"a1", "same-b"}
    assert client.get("/fhir/Observation?patient=a").get_json()["total"] == 0
    assert set(kept(database, "a")) == {"Patient/a"}
    assert read(client, "Observation/a1/_history/1")["subject"] == {"reference": "Patient/a"}
    # The promise is there with the data.
    assert arrivals(database, "b") == before + 1


def test_the_same_fact_is_kept_once_and_what_refers_to_it_follows(client, database):
    assert "of these 1 Observation the same" in said(merge(client, "a", "b"))

    assert client.get("/fhir/Observation/same-a").status_code == 410
    assert read(client, "Observation/same-a/_history/1")["valueInteger"] == 3
    assert read(client, "DiagnosticReport/report-a")["result"] == [{"reference": "Observation/same-b"}]


def test_who_joined_them_and_when_is_kept_with_the_access(client, database):
    merge(client, "a", "b")

    (entry,) = client.get("/fhir/Provenance?target=Patient/b").get_json()["entry"]
    provenance = entry["resource"]
    assert [target["reference"] for target in provenance["target"]] == [
        "Patient/a/_history/2",
        "Patient/b/_history/2",
    ]
    assert provenance["activity"]["coding"][0]["code"] == "merge"
    assert provenance["agent"][0]["who"] == {"display": "hospital"}
    with database.transaction() as tx:
        row = tx.execute(
            text("SELECT patients, action, place FROM access WHERE place LIKE '%merge' ORDER BY key DESC")
        ).first()
    assert (sorted(row.patients), row.action, row.place) == (["a", "b"], "E", "/fhir/Patient/$merge")


def test_asked_again_it_changes_nothing(client, stored):
    merge(client, "a", "b")
    before = stored()

    again = merge(client, "a", "b")
    named = client.post(
        "/fhir/Patient/$merge",
        json=parameters(
            source_patient_identifier=by_identifier("A"), target_patient_identifier=by_identifier("B")
        ),
    )

    for answer in (again, named):
        assert answer.status_code == 200, answer.get_data(as_text=True)
        assert "joined with Patient/b already" in said(answer)
    assert stored() == before


def test_a_preview_says_the_same_and_stores_nothing(client, stored, database):
    before, promised = stored(), arrivals(database, "b")

    preview = merge(client, "a", "b", preview=True)

    assert preview.status_code == 200
    assert stored() == before
    assert arrivals(database, "b") == promised
    assert said(merge(client, "a", "b")) == said(preview).replace("would be", "was")


@pytest.mark.parametrize(
    ("given", "status", "words"),
    [
        pytest.param({"target_patient": "Patient/b"}, 400, "source-patient or", id="no source"),
        pytest.param({"source_patient": "Patient/a"}, 400, "target-patient or", id="no target"),
        pytest.param(
            {"source_patient": "Patient/nobody", "target_patient": "Patient/b"}, 404, "no such", id="unknown"
        ),
        pytest.param(
            {"source_patient": "Patient/a", "target_patient": "Patient/a"},
            422,
            "the same",
            id="one and the same",
        ),
        pytest.param(
            {"source_patient": "Observation/a1", "target_patient": "Patient/b"},
            400,
            "Patient/id",
            id="a fact",
        ),
        pytest.param(
            {"source_patient_identifier": by_identifier("X"), "target_patient": "Patient/b"},
            422,
            "no Patient carries",
            id="an identifier of nobody",
        ),
        pytest.param(
            {"source_patient_identifier": by_identifier("shared"), "target_patient": "Patient/b"},
            412,
            "2 Patients carry",
            id="an identifier of two",
        ),
        pytest.param(
            {
                "source_patient_identifier": [by_identifier("A"), by_identifier("C")],
                "target_patient": "Patient/b",
            },
            422,
            "leads to 2 Patients",
            id="identifiers that disagree",
        ),
        pytest.param(
            {
                "source_patient": "Patient/a",
                "source_patient_identifier": by_identifier("C"),
                "target_patient": "Patient/b",
            },
            422,
            "leads to 2 Patients",
            id="an identifier that is not the named one's",
        ),
        pytest.param(
            {"source_patient_identifier": {"system": MRN}, "target_patient": "Patient/b"},
            400,
            "has a value",
            id="an identifier without a value",
        ),
    ],
)
def test_who_is_meant_is_never_guessed(client, send, stored, given, status, words):
    shared = [by_identifier("shared")]
    for id_, identifiers in (
        ("c", [*shared, by_identifier("C")]),
        ("d", shared),
    ):
        send(bundle(put({**patient(id_), "identifier": identifiers})))
    before = stored()

    answer = client.post("/fhir/Patient/$merge", json=parameters(**given))

    assert answer.status_code == status, answer.get_data(as_text=True)
    assert words in said(answer)
    assert "shared" not in said(answer)
    assert stored() == before


def test_an_identifier_and_a_reference_to_the_same_patient_agree(client):
    answer = merge(
        client,
        "a",
        "b",
        source_patient_identifier=by_identifier("A"),
        target_patient_identifier=[by_identifier("B")],
    )

    assert answer.status_code == 200


def test_a_removed_patient_is_gone(client, send):
    send(bundle(put(patient("gone"))))
    client.delete("/fhir/Patient/gone")

    assert merge(client, "gone", "b").status_code == 410


def test_what_was_removed_before_may_come_back_for_the_one_that_stays(client, send):
    send(bundle(put(observation("gone", "Patient/a")), put(observation("third", "Patient/a"))))
    for name in ("gone", "third"):
        client.delete(f"/fhir/Observation/{name}")
    send(bundle(put(patient("c"))))
    merge(client, "a", "b")

    assert send(bundle(put(observation("gone", "Patient/b")))).status_code == 200
    assert send(bundle(put(observation("third", "Patient/c")))).status_code == 422


def test_records_that_were_joined_are_joined_with_no_third_and_not_back(client, send):
    send(bundle(put(patient("c"))))
    merge(client, "a", "b")

    for source, target, named in (("b", "a", "Patient/b"), ("a", "c", "Patient/b"), ("c", "a", "Patient/b")):
        answer = merge(client, source, target)
        assert answer.status_code == 422, (source, target)
        assert f"was joined with {named}" in said(answer)


def test_a_chain_leads_to_the_last_one(client, send, database):
    send(bundle(put(patient("c", mrn="C"))))
    merge(client, "a", "b")
    assert merge(client, "b", "c").status_code == 200

    assert {"Observation/a1", "Observation/same-b"} < set(kept(database, "c"))
    refused = send(bundle(put(observation("late", "Patient/a"))))
    assert "Patient/a was joined with Patient/c: send it for Patient/c" in said(refused)
    assert send(bundle(put(observation("late", f"Patient?identifier={MRN}|A")))).status_code == 200
    assert read(client, "Observation/late")["subject"]["reference"] == "Patient/c"
    behind = unmerge(client, "a", "b")
    assert behind.status_code == 409
    assert "undo that one first, by Patient/c/$unmerge" in said(behind)


def test_everything_that_was_accepted_still_has_one_end(client, database):
    merge(client, "a", "b")
    look_at(database, "b", "a")

    with database.transaction() as tx:
        versions = tx.execute(
            text(
                "SELECT type || '/' || id || '/_history/' || version FROM resource WHERE NOT owned "
                "AND patient IS NOT NULL UNION ALL SELECT type || '/' || id || '/_history/' || version "
                "FROM history WHERE NOT owned AND patient IS NOT NULL"
            )
        ).scalars()
        found = {
            reference: one
            for who in ("a", "b")
            for reference, one in dispositions.of(tx, who, list(versions), tenant=0).items()
        }
    assert {"Observation/a1/_history/1", "Observation/a1/_history/2", "Observation/same-a/_history/1"} <= set(
        found
    )
    assert not [one for one in found.values() if one.kind == "waiting"]


def test_a_patient_who_is_replaced_by_another_is_joined_with_that_one(client, send, database):
    link = [{"other": {"reference": "Patient/b"}, "type": "replaced-by"}]
    sent = bundle(put(patient("a", mrn="A", active=False, link=link)))

    answer = send(sent)

    assert answer.status_code == 200
    assert "everything is kept for Patient/b" in str(answer.get_json()["entry"][0]["response"]["outcome"])
    assert set(kept(database, "a")) == {"Patient/a"}
    assert {"Observation/a1", "DiagnosticReport/report-a"} < set(kept(database, "b"))
    versions = read(client, "Patient/a")["meta"]["versionId"]
    assert send(sent).status_code == 200
    assert read(client, "Patient/a")["meta"]["versionId"] == versions


@pytest.mark.parametrize(
    "other",
    [
        pytest.param("Patient/b", id="relative"),
        pytest.param("http://localhost/fhir/Patient/b", id="absolute"),
        pytest.param(f"Patient?identifier={MRN}|B", id="by an identifier"),
    ],
)
def test_a_link_that_is_sent_again_changes_nothing_and_the_answer_names_the_version_that_is_stored(
    client, send, stored, other
):
    link = [{"other": {"reference": other}, "type": "replaced-by"}]
    sent = bundle(put(patient("a", mrn="A", link=link)))

    first = send(sent)

    etag = first.get_json()["entry"][0]["response"]["etag"]
    assert etag == f'W/"{read(client, "Patient/a")["meta"]["versionId"]}"'
    before = stored()
    again = send(sent)
    assert again.status_code == 200, again.get_data(as_text=True)
    assert again.get_json()["entry"][0]["response"]["etag"] == etag
    assert stored() == before


def test_the_answer_names_the_versions_as_a_joining_leaves_them_also_of_what_was_only_found(client, send):
    """What the Bundle does not change is moved to the other record all the same."""
    link = [{"other": {"reference": "Patient/b"}, "type": "replaced-by"}]
    found = observation("found", "Patient/a", identifier=[by_identifier("found")])
    send(bundle(put(found)))
    again = {name: value for name, value in found.items() if name != "id"}
    sent = bundle(
        put(patient("a", mrn="A", link=link)),
        post(again, unless=f"{MRN}|found"),
        put(observation("a1", "Patient/a")),
    )

    answer = send(sent)

    assert answer.status_code == 200, answer.get_data(as_text=True)
    told = [entry["response"]["location"] for entry in answer.get_json()["entry"]]
    assert told == [
        f"{reference}/_history/{read(client, reference)['meta']['versionId']}"
        for reference in ("Patient/a", "Observation/found", "Observation/a1")
    ]
    assert told[1:] == ["Observation/found/_history/2", "Observation/a1/_history/2"]


def test_one_who_is_replaced_by_nobody_here_is_stored_and_told_and_joined_later(client, send, database):
    link = [{"other": {"reference": "Patient/later"}, "type": "replaced-by"}]
    sent = bundle(put(patient("a", mrn="A", link=link)))

    answer = send(sent)

    assert answer.status_code == 200
    assert "nothing was joined" in str(answer.get_json()["entry"][0]["response"]["outcome"])
    assert "Observation/a1" in kept(database, "a")
    send(bundle(put(patient("later"))))
    assert send(sent).status_code == 200
    assert "Observation/a1" in kept(database, "later")


def test_the_result_is_what_was_asked_for_and_loses_no_identifier(client):
    old = {**by_identifier("A"), "use": "old"}
    whole = {**patient("b", gender="other"), "identifier": [by_identifier("B"), old]}

    assert merge(client, "a", "b", result_patient=patient("a", mrn="A")).status_code == 422
    assert "1 identifiers" in said(merge(client, "a", "b", result_patient=patient("b", mrn="B")))
    assert merge(client, "a", "b", result_patient={**whole, "gender": "wrong"}).status_code == 422
    answer = merge(client, "a", "b", result_patient=whole)

    assert answer.status_code == 200
    result = read(client, "Patient/b")
    assert result["gender"] == "other"
    assert result["link"] == [{"other": {"reference": "Patient/a"}, "type": "replaces"}]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        pytest.param({"identifier": [by_identifier("B"), by_identifier("A")]}, "use old", id="not old"),
        pytest.param(
            {"managingOrganization": {"reference": "Organization/none"}},
            "nothing that is stored",
            id="unknown",
        ),
        pytest.param(
            {"managingOrganization": {"reference": "urn:uuid:0c7b0a5c-6d9c-4a55-8a30-9c2a3c5f5b11"}},
            "nothing that is stored",
            id="of a Bundle",
        ),
    ],
)
def test_a_result_is_a_patient_as_any_other(client, stored, more, words):
    old = {**by_identifier("A"), "use": "old"}
    before = stored()

    answer = merge(
        client, "a", "b", result_patient={**patient("b"), "identifier": [by_identifier("B"), old], **more}
    )

    assert answer.status_code == 422
    assert words in said(answer)
    assert stored() == before


def test_another_result_for_what_is_joined_is_refused_and_the_same_is_not(client, stored):
    old = {**by_identifier("A"), "use": "old"}
    whole = {**patient("b", gender="other"), "identifier": [by_identifier("B"), old]}
    merge(client, "a", "b", result_patient=whole)
    before = stored()

    assert merge(client, "a", "b", result_patient=whole).status_code == 200
    refused = merge(client, "a", "b", result_patient={**whole, "gender": "male"})

    assert refused.status_code == 422
    assert "joined already" in said(refused)
    assert stored() == before


def test_a_result_keeps_the_links_of_earlier_joinings(client, send):
    send(bundle(put(patient("c", mrn="C"))))
    merge(client, "a", "b")
    old = [{**by_identifier(value), "use": "old"} for value in ("A", "C")]

    answer = merge(
        client, "c", "b", result_patient={**patient("b"), "identifier": [by_identifier("B"), *old]}
    )

    assert answer.status_code == 200, said(answer)
    links = read(client, "Patient/b")["link"]
    assert sorted(link["other"]["reference"] for link in links) == ["Patient/a", "Patient/c"]


def test_where_the_two_differ_the_element_is_told_and_no_value(client, send):
    send(bundle(put(patient("a", mrn="A", birthDate="1950-02-03", deceasedBoolean=True))))
    send(bundle(put(patient("b", mrn="B", birthDate="1951-02-03"))))

    words = said(merge(client, "a", "b"))

    assert "different things of birthDate" in words
    assert "different things of deceasedBoolean" in words
    assert "195" not in words


def test_everything_of_each_is_where_it_belongs(client, send):
    send(bundle(put(encounter("Patient/a", id_="visit"))))
    merge(client, "a", "b")

    def names(who):
        return {
            f"{entry['resource']['resourceType']}/{entry['resource']['id']}"
            for entry in client.get(f"/fhir/Patient/{who}/$everything").get_json()["entry"]
            if entry["search"]["mode"] == "match"
        }

    assert names("a") == {"Patient/a"}
    assert names("b") >= {"Patient/b", "Observation/a1", "Encounter/visit"}
