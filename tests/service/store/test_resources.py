"""The record: versions, unchanged content, and what is found.

Versions: http://hl7.org/fhir/R4/resource.html#Meta
"""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection

from fhir_profiles import reading
from service.store import resources, search_index
from service.store.resources import VersionConflict, Write

NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)


def day(year: int, month: int, day_: int) -> datetime:
    return datetime(year, month, day_, tzinfo=UTC)


def observation(id_: str = "o", value: int = 6, code: str = "a") -> Write:
    body = {
        "resourceType": "Observation",
        "id": id_,
        "status": "final",
        "identifier": [{"system": "s", "value": id_}],
        "code": {"coding": [{"system": "c", "code": code}]},
        "valueInteger": value,
    }
    return Write(type="Observation", id=id_, body=body, patient="p")


def coded(type_: str, id_: str, codes: list[str], patient: str = "p") -> Write:
    """Return a resource with these codings, in this order."""
    coding = [{"system": "c", "code": code} for code in codes]
    body = {"resourceType": type_, "id": id_, "code": {"coding": coding, "text": str(len(coding))}}
    return Write(type=type_, id=id_, body=body, patient=patient)


def report(id_: str, results: list[dict[str, str]], patient: str = "p") -> Write:
    """Return a report with the hospital's own code."""
    body = {
        "resourceType": "DiagnosticReport",
        "id": id_,
        "code": {"coding": [{"system": "hospital", "code": "MR"}]},
        "result": results,
    }
    return Write(type="DiagnosticReport", id=id_, body=body, patient=patient)


def save(tx: Connection, *writes: Write, now: datetime = NOW) -> list[resources.Stored]:
    """Save, and return the current versions as they are read back."""
    heads = resources.save(tx, writes, tenant=0, now=now)
    stored = [resources.current(tx, head.type, head.id, tenant=0) for head in heads]
    assert [_known(found.head) for found in stored] == [_known(head) for head in heads]
    return stored


def _known(head: resources.Head) -> dict[str, object]:
    """Return what is known of a version whether it was looked up or just written."""
    return {name: getattr(head, name) for name in resources.Head.__struct_fields__}


def test_a_new_resource_is_version_1_with_the_service_time(tx):
    (stored,) = save(tx, observation())

    assert stored.version == 1
    assert stored.resource["meta"] == {"versionId": "1", "lastUpdated": "2026-01-05T09:00:00.000Z"}
    assert list(stored.resource)[:3] == ["resourceType", "id", "meta"]


def test_changed_content_is_a_new_version_received_later(tx):
    (first,) = save(tx, observation(value=6))
    (second,) = save(tx, observation(value=7), now=LATER)

    assert (second.version, second.received) == (2, LATER)
    assert second.seq > first.seq
    assert [s.resource["valueInteger"] for s in resources.history(tx, "Observation", "o", tenant=0)] == [7, 6]


def test_unchanged_content_makes_no_version(tx):
    (first,) = save(tx, observation())
    (again,) = save(tx, observation(), now=LATER)

    assert again == first
    assert len(resources.history(tx, "Observation", "o", tenant=0)) == 1


def test_the_order_of_keys_is_no_change(tx):
    (first,) = save(tx, observation())
    turned = Write(type="Observation", id="o", body=dict(reversed(observation().body.items())), patient="p")

    assert save(tx, turned) == [first]


def test_version_and_time_sent_by_a_client_are_no_change(tx):
    (first,) = save(tx, observation())
    echoed = Write(type="Observation", id="o", body=first.resource, patient="p")

    assert save(tx, echoed, now=LATER) == [first]


def test_other_precision_is_other_content(tx):
    def weight(text: bytes) -> Write:
        body = reading.read(b'{"resourceType":"Observation","valueQuantity":{"value":%s}}' % text)
        return Write(type="Observation", id="w", body=body)

    (first,) = save(tx, weight(b"7.1"))
    (second,) = save(tx, weight(b"7.10"))

    assert (first.version, second.version) == (1, 2)
    assert '"value":7.10}' in second.body


def test_the_engine_taking_over_a_resource_is_a_change(tx):
    save(tx, observation())
    ours = Write(type="Observation", id="o", body=observation().body, patient="p", owned=True)

    (stored,) = save(tx, ours)

    assert (stored.version, stored.owned) == (2, True)


def test_a_write_against_another_version_is_refused(tx):
    save(tx, observation(value=6))
    late = observation(value=8)

    with pytest.raises(VersionConflict):
        save(tx, Write(type=late.type, id=late.id, body=late.body, patient="p", if_version=2))


def test_each_version_can_be_read_by_its_number(tx):
    save(tx, observation(value=6))
    save(tx, observation(value=7))

    found = [resources.version(tx, "Observation", "o", number, tenant=0) for number in (1, 2, 3)]

    assert [stored and stored.resource["valueInteger"] for stored in found] == [6, 7, None]


def test_tenants_share_no_ids(tx):
    save(tx, observation())

    assert resources.current(tx, "Observation", "o", tenant=1) is None
    assert resources.of_patient(tx, "p", tenant=1, types=["Observation"]) == []


def test_the_record_of_a_patient_is_in_the_order_of_receipt(tx):
    save(tx, observation("b"), observation("a"))
    save(tx, observation("b", value=9))

    found = resources.of_patient(tx, "p", tenant=0, types=["Observation"])

    assert [stored.id for stored in found] == ["a", "b"]


def test_codes_narrow_what_is_coded_and_nothing_else(tx):
    task = Write(type="Task", id="t", body={"resourceType": "Task", "status": "draft"}, patient="p")
    save(tx, observation("a", code="a"), observation("b", code="b"), task)

    found = resources.of_patient(tx, "p", tenant=0, types=["Observation", "Task"], codes=[("c", "b")])

    assert {stored.id for stored in found} == {"b", "t"}


@pytest.mark.parametrize("place", range(6))
@pytest.mark.parametrize("type_", ["Observation", "Procedure", "DiagnosticReport"])
def test_a_code_is_found_at_any_place_among_the_codings(tx, type_, place):
    codes = [f"other-{number}" for number in range(6)]
    codes[place] = "b"
    save(tx, coded(type_, "found", codes), coded(type_, "not", [f"b-{number}" for number in range(6)]))
    save(tx, coded(type_, "uncoded", []))

    found = resources.of_patient(tx, "p", tenant=0, types=[type_], codes=[("c", "b"), ("d", "other-0")])

    assert [stored.id for stored in found] == ["found"]


def test_what_has_several_of_the_codes_is_found_once_and_in_the_order_of_receipt(tx):
    save(tx, coded("Procedure", "p", ["c"]), coded("Observation", "o", ["a", "b", "c", "d", "a"]))
    save(tx, coded("Procedure", "p", ["c", "b"]))
    types, codes = ["Procedure", "Observation"], [("c", code) for code in "abcd"]

    found = resources.of_patient(tx, "p", tenant=0, types=types, codes=codes)

    assert [stored.id for stored in found] == ["o", "p"]


@pytest.mark.parametrize("code", ['a"b', "a\\b", "a,b", "{a}", "NULL", "ä b", "%s"])
def test_a_code_is_found_whatever_stands_in_it(tx, code):
    save(tx, coded("Observation", "o", [code]), coded("Observation", "other", ["a"]))

    found = resources.of_patient(tx, "p", tenant=0, types=["Observation"], codes=[("c", code), ("c", "none")])

    assert [stored.id for stored in found] == ["o"]


def test_a_code_finds_only_the_types_that_are_asked_for_and_nobody_else_s(tx):
    save(tx, coded("Observation", "o", ["b"]), coded("Procedure", "p", ["b"]))
    save(tx, coded("Observation", "of-q", ["b"], patient="q"))

    found = resources.of_patient(tx, "p", tenant=0, types=["Procedure"], codes=[("c", "b")])

    assert [stored.id for stored in found] == ["p"]
    assert resources.of_patient(tx, "p", tenant=1, types=["Procedure"], codes=[("c", "b")]) == []


def test_a_report_of_what_has_the_code_is_found_whatever_its_own(tx):
    results = [{"reference": f"Observation/{id_}"} for id_ in ("o", "other", "o/_history/1")]
    save(tx, coded("Observation", "o", ["b"]), coded("Observation", "other", ["a"]))
    save(tx, *(report(id_, results, patient) for id_, patient in (("r", "p"), ("of-q", "q"))))
    save(tx, report("elsewhere", results[1:2]), report("none", []))
    types = ["Observation", "DiagnosticReport"]

    found = resources.of_patient(tx, "p", tenant=0, types=types, codes=[("c", "b")])

    assert [stored.id for stored in found] == ["o", "r"]
    assert [s.id for s in resources.of_patient(tx, "p", tenant=0, types=types[:1], codes=[("c", "b")])] == [
        "o"
    ]


def test_what_the_engine_made_can_be_told_apart(tx):
    task = Write(type="Task", id="t", body={"resourceType": "Task"}, patient="p", owned=True)
    save(tx, observation(), task)
    types = ["Observation", "Task"]

    assert [s.id for s in resources.of_patient(tx, "p", tenant=0, types=types, owned=True)] == ["t"]
    assert [s.id for s in resources.of_patient(tx, "p", tenant=0, types=types, owned=False)] == ["o"]


def test_identifiers_of_an_older_version_find_nothing(tx):
    save(tx, observation())
    body = {**observation().body, "identifier": [{"system": "s", "value": "new"}]}
    save(tx, Write(type="Observation", id="o", body=body, patient="p"))
    names = [("Observation", "s", "o"), ("Observation", "s", "new")]

    found = resources.by_identifier(tx, names, tenant=0)

    assert list(found) == [names[1]]


def test_how_a_resource_was_made_is_found_after_later_versions(tx):
    made = search_index.Value(name=search_index.ENTRY, system="bundle", value="entry")
    first = observation()
    save(tx, Write(type=first.type, id=first.id, body=first.body, fresh=True, also=(made,)))
    save(tx, observation(value=1))
    name = ("Observation", search_index.ENTRY, "bundle", "entry")

    _, found = resources.find(tx, (), [name], tenant=0)

    assert [head.version for head in found[name]] == [2]


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        pytest.param("2026", day(2026, 1, 1), day(2027, 1, 1), id="year"),
        pytest.param(
            "2026-12", datetime(2026, 12, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC), id="month"
        ),
        pytest.param(
            "2026-02-28", datetime(2026, 2, 28, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC), id="day"
        ),
        pytest.param("9999-12-31", day(9999, 12, 31), datetime.max.replace(tzinfo=UTC), id="for ever"),
        pytest.param("2026-01-05T10:00:00+01:00", NOW, NOW + timedelta(seconds=1), id="instant"),
    ],
)
def test_a_date_means_an_interval(text, low, high):
    assert search_index.instants(text) == (low, high)


@pytest.mark.parametrize(
    "text", ["", "2026-13", "2026-00", "2026-01-00", "2026-02-30", "tomorrow", "2026-01-05T10:00", "2026-1-5"]
)
def test_what_is_no_date_means_nothing(text):
    assert search_index.instants(text) is None
