"""The input gate against clinical-rules, section 3: status, time, value, unit, range, side."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from pathways.inputs import Gate, Inputs
from pathways.record import Entry, Record

FOLDER = Path(__file__).parents[2] / "pathways" / "gluteus_medius_tear"
GATE = Gate(json.loads((FOLDER / "inputs.json").read_text(), parse_float=Decimal))
LOCAL = "https://w3id.org/hipway/CodeSystem/gluteus-medius-pathway"
LOINC = "http://loinc.org"
SNOMED = "http://snomed.info/sct"
UCUM = "http://unitsofmeasure.org"
RECEIVED = datetime(2026, 1, 5, 9, tzinfo=UTC)


def entry(body, seq=1, version=1):
    return Entry(
        type=body["resourceType"],
        id=body.get("id", f"r{seq}"),
        version=version,
        seq=seq,
        received=RECEIVED,
        body=body,
    )


def observation(code, system=LOCAL, side="hip-right", **elements):
    body = {
        "resourceType": "Observation",
        "id": "o1",
        "status": "final",
        "code": {"coding": [{"system": system, "code": code}]},
        "effectiveDateTime": "2026-01-05T08:40:00Z",
        **elements,
    }
    if side:
        body["bodySite"] = {"coding": [{"system": LOCAL, "code": side}]}
    return {name: value for name, value in body.items() if value is not None}


def read(*bodies, zone="UTC", own=None) -> Inputs:
    patient = entry({"resourceType": "Patient", "id": "p1"}, 0)
    entries = [entry(body, n) for n, body in enumerate(bodies, 1)]
    record = Record(patient=patient, received=(patient, *entries), own=own or {}, people={})
    return GATE.read(record, ZoneInfo(zone))


def issue_of(body, **given):
    inputs = read(body, **given)
    assert not inputs.facts
    return [problem.issue for problem in inputs.set_aside]


def pain(value, unit="{score}", system=UCUM, code="72514-3", **elements):
    quantity = {"value": Decimal(str(value)), "system": system, "code": unit}
    quantity = {name: given for name, given in quantity.items() if given is not None}
    return observation(code, LOINC, valueQuantity=quantity, **elements)


def grade(**value):
    return observation("hip-abduction-strength-mmt", **value)


def amount(body):
    (fact,) = read(body).facts
    return fact.canonical["valueQuantity"]["value"]


@pytest.mark.parametrize(
    ("body", "value"),
    [
        pytest.param(pain(6), "6", id="score"),
        pytest.param(pain("6.5"), "6.5", id="half points stay half points"),
        pytest.param(pain(0), "0", id="lower end"),
        pytest.param(pain(10), "10", id="upper end"),
        pytest.param(pain(58, "mm", code="38214-3"), "5.8", id="visual analogue scale"),
        pytest.param(pain(6, None, None), "6", id="without a unit"),
        pytest.param(grade(valueInteger=4), "4", id="grade as integer"),
        pytest.param(grade(valueString="4-"), "4", id="4- counts as 4"),
        pytest.param(grade(valueString="3-"), "2", id="3- is one grade lower"),
        pytest.param(grade(valueString="4+"), "4", id="plus counts as the grade"),
        pytest.param(
            grade(valueCodeableConcept={"coding": [{"system": LOCAL, "code": "mmt-3"}]}),
            "3",
            id="coded grade",
        ),
    ],
)
def test_a_value_becomes_its_canonical_amount(body, value):
    assert amount(body) == Decimal(value)


@pytest.mark.parametrize(
    ("body", "issue"),
    [
        pytest.param(pain(6, effectiveDateTime=None), "missing-effective-time", id="no time"),
        pytest.param(
            pain(6, effectiveDateTime="2026-01"), "missing-effective-time", id="less precise than a day"
        ),
        pytest.param(
            pain(6, effectiveDateTime="2026-01-05T09:06:00Z"), "future-dated", id="six minutes ahead"
        ),
        pytest.param(observation("72514-3", LOINC, valueString="six"), "unreadable-value", id="wrong type"),
        pytest.param(observation("72514-3", LOINC), "unreadable-value", id="no value"),
        pytest.param(pain(6, "cm"), "unit-mismatch", id="unknown unit"),
        pytest.param(pain(6, system="http://other"), "unit-mismatch", id="not UCUM"),
        pytest.param(pain(6, code="38214-3"), "unit-mismatch", id="a scale that is only read in mm"),
        pytest.param(pain(60), "out-of-range", id="above the range"),
        pytest.param(grade(valueString="0-"), "out-of-range", id="0- does not exist"),
        pytest.param(pain(6, side=None), "missing-laterality", id="no side"),
        pytest.param(
            observation("groc", side="hip-both", valueInteger=1),
            "missing-laterality",
            id="both, where one is needed",
        ),
    ],
)
def test_the_first_check_that_fails_names_the_issue(body, issue):
    assert issue_of(body) == [issue]


def test_a_value_five_minutes_ahead_is_accepted():
    assert read(pain(6, effectiveDateTime="2026-01-05T09:05:00Z")).facts


def test_a_comparator_is_not_a_value():
    body = pain(6)
    body["valueQuantity"]["comparator"] = "<"

    assert issue_of(body) == ["unreadable-value"]


@pytest.mark.parametrize("status", ["registered", "preliminary", "unknown", "cancelled", "entered-in-error"])
def test_a_status_that_is_not_accepted_says_nothing(status):
    inputs = read(pain(6, status=status))

    assert (inputs.facts, inputs.set_aside) == ((), ())


def test_a_preliminary_red_flag_is_kept_apart():
    inputs = read(observation("red-flag-fracture", status="preliminary", valueBoolean=True))

    assert [fact.input for fact in inputs.preliminary] == ["rf.fracture"]
    assert not inputs.facts


def test_a_preliminary_report_holds_back_its_final_finding():
    report = {
        "resourceType": "DiagnosticReport",
        "id": "d1",
        "status": "preliminary",
        "code": {},
        "result": [{"reference": "Observation/o1"}],
    }

    assert not read(pain(6), report).facts


def test_a_finding_on_both_sides_counts_for_each():
    (fact,) = read(observation("lateral-thigh-pain", side="hip-both", valueBoolean=True)).facts

    assert fact.sides == {"left", "right"}


def test_a_generic_site_takes_its_side_from_the_laterality_extension():
    site = {
        "coding": [{"system": SNOMED, "code": "29836001"}],
        "extension": [
            {
                "url": "http://hl7.org/fhir/us/mcode/StructureDefinition/mcode-laterality-qualifier",
                "valueCodeableConcept": {"coding": [{"system": SNOMED, "code": "7771000"}]},
            }
        ],
    }
    (fact,) = read(pain(6, side=None, bodySite=site)).facts

    assert fact.sides == {"left"}


def test_a_report_code_of_the_other_side_contradicts():
    finding = observation(
        "hip-radiograph-conclusion",
        valueCodeableConcept={"coding": [{"system": LOCAL, "code": "radiograph-negative"}]},
    )
    report = {
        "resourceType": "DiagnosticReport",
        "id": "d1",
        "status": "final",
        "code": {"coding": [{"system": LOINC, "code": "26131-3"}]},
        "result": [{"reference": "Observation/o1"}],
    }
    inputs = read(finding, report)

    assert [problem.issue for problem in inputs.set_aside] == ["side-mismatch"]


def test_a_report_code_never_supplies_the_side():
    finding = observation(
        "hip-radiograph-conclusion",
        side=None,
        valueCodeableConcept={"coding": [{"system": LOCAL, "code": "radiograph-negative"}]},
    )
    report = {
        "resourceType": "DiagnosticReport",
        "id": "d1",
        "status": "final",
        "code": {"coding": [{"system": LOINC, "code": "26131-3"}]},
        "result": [{"reference": "Observation/o1"}],
    }
    inputs = read(finding, report)

    assert [problem.issue for problem in inputs.set_aside] == ["missing-laterality"]


def test_a_date_without_a_time_is_the_start_of_that_day_at_the_site():
    (fact,) = read(pain(6, effectiveDateTime="2026-01-05"), zone="Europe/Berlin").facts

    assert fact.at.isoformat() == "2026-01-05T00:00:00+01:00"


def test_two_values_of_a_pair_need_one_unit():
    def part(code, unit):
        quantity = {"value": Decimal(100), "system": UCUM, "code": unit}
        return {"code": {"coding": [{"system": LOCAL, "code": code}]}, "valueQuantity": quantity}

    body = observation(
        "hip-abduction-strength-dynamometry",
        component=[part("dynamometry-affected-side", "N"), part("dynamometry-opposite-side", "kgf")],
    )

    assert issue_of(body) == ["unit-mismatch"]


def test_absent_mri_safety_counts_as_unknown_and_an_absent_score_as_nothing():
    absent = {
        "coding": [{"system": "http://terminology.hl7.org/CodeSystem/data-absent-reason", "code": "unknown"}]
    }
    safety = read(observation("mri-safety-status", side=None, dataAbsentReason=absent))
    score = read(observation("72514-3", LOINC, dataAbsentReason=absent))

    assert [fact.words for fact in safety.facts] == ["MRI safety unknown"]
    assert (score.facts, score.set_aside) == ((), ())


def test_a_positive_red_flag_is_urgent_and_a_negative_one_is_not():
    assert GATE.urgent(observation("red-flag-infection", valueBoolean=True))
    assert not GATE.urgent(observation("red-flag-infection", valueBoolean=False))
    assert not GATE.urgent(pain(6))
