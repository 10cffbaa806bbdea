"""What is longer than an index can hold is stored, found whole, and never taken for another.

http://hl7.org/fhir/R4/search.html#token
"""

import random
from urllib.parse import quote

import pytest
from fhir_visits import MRN, bundle, observation, patient, post, put, put_by

from service.store import resources, search_index
from service.web import queries

#: of which PostgreSQL cannot make less by compressing
CHARACTERS = "abcdefghijklmnopqrstuvwxyzäöüßéABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-."


def long(characters, seed=1, of=CHARACTERS):
    return "".join(random.Random(seed).choices(of, k=characters))


#: as long as may be kept whole, around it, cut within a character, and longer than any index holds
LONG = [
    long(600, of="ab"),
    long(601, of="ab"),
    long(800),
    long(300, of="é"),
    "x" + long(400, of="é"),
    long(4_000),
]
SIZES = [f"{len(text)} characters, {len(text.encode())} bytes" for text in LONG]


def ids(client, type_, **asked):
    answer = client.post(f"/fhir/{type_}/_search", data=asked)
    assert answer.status_code == 200, answer.text
    return sorted(entry["resource"]["id"] for entry in answer.get_json().get("entry", ()))


@pytest.mark.parametrize("value", LONG, ids=SIZES)
def test_a_long_identifier_is_found_and_is_the_condition_of_one_resource(client, send, value):
    first, second = (send(bundle(post(patient(mrn=value), unless=f"{MRN}|{quote(value)}"))) for _ in "ab")
    third = send(bundle(put_by(patient(mrn=value, gender="male"), f"{MRN}|{quote(value)}")))

    assert [a.status_code for a in (first, second, third)] == [200, 200, 200], (first.text, third.text)
    places = [a.get_json()["entry"][0]["response"]["location"].split("/")[1] for a in (first, second, third)]
    assert len(set(places)) == 1
    assert ids(client, "Patient", identifier=f"{MRN}|{value}") == places[:1]
    assert ids(client, "Patient", identifier=value) == places[:1]


def test_two_that_begin_alike_are_two(client, send):
    begin = long(700, seed=7)

    for id_ in ("c", "d"):
        assert send(bundle(put(patient(id_, mrn=begin + id_)))).status_code == 200

    assert ids(client, "Patient", identifier=f"{MRN}|{begin}c") == ["c"]
    assert ids(client, "Patient", identifier=f"{MRN}|{begin}d") == ["d"]
    assert ids(client, "Patient", identifier=f"{MRN}|{begin}") == []


def test_what_looks_like_a_shortened_one_is_another(client, database, send):
    value = long(700, seed=8)
    send(bundle(put(patient("e", mrn=value))))
    with database.transaction() as tx:
        kept = tx.exec_driver_sql(
            "SELECT value FROM search_value JOIN resource USING (key) WHERE id = 'e' AND name = 'identifier'"
        ).scalar_one()
    assert kept != value

    assert send(bundle(put(patient("f", mrn=kept)))).status_code == 200

    assert ids(client, "Patient", identifier=f"{MRN}|{kept}") == ["f"]
    assert ids(client, "Patient", identifier=f"{MRN}|{value}") == ["e"]


def test_every_long_part_of_a_patient_is_kept_and_found(client, database, send):
    value, system, family = long(3_000, 1), f"urn:{long(3_000, 2)}", long(3_500, 3)
    type_ = {"coding": [{"system": system, "code": value}]}
    identifier = [{"system": system, "value": value, "type": type_}]
    person = patient("g") | {"identifier": identifier}
    person |= {"name": [{"family": family, "given": [long(3_500, 4)]}]}

    assert send(bundle(put(person))).status_code == 200

    for asked in (f"{system}|{value}", value, f"{system}|"):
        assert "g" in ids(client, "Patient", identifier=asked), asked[:20]
    assert ids(client, "Patient", **{"identifier:of-type": f"{system}|{value}|{value}"}) == ["g"]
    assert ids(client, "Patient", family=family[:300]) == ["g"]
    whole = search_index.folded(family)
    with database.transaction() as tx:
        for asked, count in ((whole, 1), (whole[:200], 1), (whole[:-1], 0), (f"{whole}x", 0)):
            assert len(queries.find_patients(tx, {"family": [asked]}, 9, tenant=0)) == count


def test_a_long_code_and_its_unit_and_reference_are_kept_and_found(client, database, send):
    code, system, unit = long(4_000, 5), f"urn:{long(3_000, 6)}", long(3_000, 7)
    who = {"system": system, "value": code}
    about = observation(
        "h",
        "Patient/h",
        code={"coding": [{"system": system, "code": code}]},
        valueQuantity={"value": 5, "system": system, "code": unit},
        performer=[{"identifier": who}],
    )

    sent = send(bundle(put(patient("h")), put(about)))

    assert sent.status_code == 200, sent.text
    for asked in (
        {"code": code},
        {"code": f"{system}|{code}"},
        {"value-quantity": f"5|{system}|{unit}"},
        {"performer:identifier": f"{system}|{code}"},
        {"code-value-quantity": f"{system}|{code}$5|{system}|{unit}"},
    ):
        assert ids(client, "Observation", **asked) == ["h"], next(iter(asked))
    with database.transaction() as tx:
        for wanted, found in (((system, code), ["h"]), ((system, code[:-1]), [])):
            known = resources.of_patient(tx, "h", tenant=0, types=["Observation"], codes=[wanted])
            assert [one.id for one in known] == found
