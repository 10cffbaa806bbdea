"""The gate refuses each kind of defect once, at its place, without repeating the data.

https://hl7.org/fhir/R4/validation.html
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import pytest
from fhir_visits import UNSAID

from fhir_profiles import gate
from fhir_profiles.reading import Spelled

OBSERVATION = {
    "resourceType": "Observation",
    "status": "final",
    "code": {"coding": [{"system": "http://loinc.org", "code": "72514-3"}]},
    "subject": {"reference": "Patient/p"},
    "effectiveDateTime": "2026-02-16T09:00:00+01:00",
}
PATIENT = {"resourceType": "Patient", "id": "p"}
CODE = {"text": "x"}


def observation(**changes: Any) -> dict[str, Any]:
    """Return a valid Observation with the changes; None removes an element."""
    changed = {**OBSERVATION, **changes}
    return {name: value for name, value in changed.items() if value is not ...}


def value(number: Any) -> dict[str, Any]:
    return {"value": number, "unit": "cm", "system": "http://unitsofmeasure.org", "code": "cm"}


def test_a_valid_resource_has_no_fault() -> None:
    assert gate.check(observation(valueQuantity=value(Decimal("7.10")))) == ()


DEFECTS = [
    # status and bindings
    ("a status of no value set", observation(status="finals"), "status", "code-invalid"),
    ("a status in capitals", observation(status="Final"), "status", "code-invalid"),
    ("a status of another type", observation(status=1), "status", "code-invalid"),
    ("a missing status", observation(status=...), "status", "required"),
    ("a gender of no value set", {**PATIENT, "gender": "m"}, "gender", "code-invalid"),
    (
        "a code of another system where one is required",
        {
            "resourceType": "Condition",
            "subject": {"reference": "Patient/p"},
            "clinicalStatus": {"coding": [{"system": "http://example.org", "code": "active"}]},
        },
        "clinicalStatus.coding",
        "code-invalid",
    ),
    # types
    ("a string as a number", observation(valueQuantity=value("7.1")), "valueQuantity.value", "value"),
    ("a number as a string", observation(valueString=7), "valueString", "value"),
    ("a string as a boolean", observation(valueBoolean="true"), "valueBoolean", "value"),
    ("a number as a boolean", observation(valueBoolean=1), "valueBoolean", "value"),
    ("a boolean as a number", observation(valueQuantity=value(True)), "valueQuantity.value", "value"),
    ("an integer with a point", observation(valueInteger=Decimal("1.0")), "valueInteger", "value"),
    ("an integer with an exponent", observation(valueInteger=Spelled("1e1")), "valueInteger", "value"),
    ("an integer of 33 bits", observation(valueInteger=2**31), "valueInteger", "value"),
    ("an object where a list is", observation(category=CODE), "category", "structure"),
    ("a list where an object is", observation(code=[CODE]), "code", "structure"),
    ("a string where an object is", observation(code="72514-3"), "code", "structure"),
    ("an object where a string is", observation(valueString={"a": 1}), "valueString", "value"),
    # nothing
    ("null", observation(method=None), "method", "structure"),
    ("null for a code", observation(status=None), "status", "structure"),
    ("null in a list", observation(category=[None]), "category[0]", "structure"),
    ("an empty list", observation(category=[]), "category", "structure"),
    ("an empty object", observation(method={}), "method", "structure"),
    ("an object with an id only", observation(method={"id": "m"}), "method", "structure"),
    ("an empty string", observation(valueString=""), "valueString", "value"),
    # elements
    ("an unknown element", observation(colour="red"), "colour", "structure"),
    ("an unknown element deep inside", observation(code={"txt": "x"}), "code.txt", "structure"),
    ("an element of R4B", observation(valueReference=OBSERVATION["subject"]), "valueReference", "structure"),
    ("two values", observation(valueString="x", valueInteger=1), "valueInteger", "structure"),
    ("a missing element", observation(code=...), "code", "required"),
    (
        "a missing element inside",
        observation(component=[{"valueString": "x"}]),
        "component[0].code",
        "required",
    ),
    (
        "a missing choice",
        {"resourceType": "MedicationStatement", "status": "active", "subject": {"reference": "Patient/p"}},
        "medication[x]",
        "required",
    ),
    # formats
    ("a date of no calendar", observation(effectiveDateTime="2026-02-30"), "effectiveDateTime", "value"),
    ("29 February of no leap year", {**PATIENT, "birthDate": "2100-02-29"}, "birthDate", "value"),
    ("a month 13", {**PATIENT, "birthDate": "2026-13"}, "birthDate", "value"),
    ("a date in another order", {**PATIENT, "birthDate": "16.02.1960"}, "birthDate", "value"),
    ("a date with a time", {**PATIENT, "birthDate": "2026-02-16T09:00:00Z"}, "birthDate", "value"),
    (
        "a time without a zone",
        observation(effectiveDateTime="2026-02-16T09:00:00"),
        "effectiveDateTime",
        "value",
    ),
    (
        "a time without seconds",
        observation(effectiveDateTime="2026-02-16T09:00Z"),
        "effectiveDateTime",
        "value",
    ),
    ("an hour 24", observation(effectiveDateTime="2026-02-16T24:00:00Z"), "effectiveDateTime", "value"),
    ("an instant without a time", observation(issued="2026-02-16"), "issued", "value"),
    ("an id with a space", observation(id="a b"), "id", "value"),
    ("an id too long", observation(id="a" * 65), "id", "value"),
    ("a code with a leading space", observation(language=" de"), "language", "value"),
    ("a URI with a space", observation(implicitRules="a b"), "implicitRules", "value"),
    ("a control character", observation(valueString="a\x00b"), "valueString", "value"),
    (
        "base64 of a wrong length",
        {"resourceType": "Binary", "contentType": "text/plain", "data": "QUJ"},
        "data",
        "value",
    ),
    (
        "base64 of nothing",
        {"resourceType": "Binary", "contentType": "text/plain", "data": ""},
        "data",
        "value",
    ),
    ("a positive integer of 0", {**PATIENT, "telecom": [{"rank": 0}]}, "telecom[0].rank", "value"),
    # references
    ("a wrong target", observation(subject={"reference": "Practitioner/1"}), "subject.reference", "value"),
    (
        "a wrong target with a base",
        observation(subject={"reference": "https://hospital.example.org/fhir/Practitioner/1"}),
        "subject.reference",
        "value",
    ),
    ("a reference without a type", observation(subject={"reference": "p"}), "subject.reference", "value"),
    ("an unknown type", observation(focus=[{"reference": "Foo/1"}]), "focus[0].reference", "value"),
    # extensions
    (
        "an extension without a URL",
        observation(extension=[{"valueString": "x"}]),
        "extension[0].url",
        "required",
    ),
    ("an extension of nothing", observation(extension=[{"url": "http://x"}]), "extension[0]", "invariant"),
    (
        "an extension with a value and extensions",
        observation(
            extension=[
                {
                    "url": "http://x",
                    "valueString": "x",
                    "extension": [{"url": "y", "valueBoolean": True}],
                }
            ]
        ),
        "extension[0]",
        "invariant",
    ),
    (
        "an extension with two values",
        observation(extension=[{"url": "http://x", "valueString": "x", "valueCode": "x"}]),
        "extension[0].valueString",
        "structure",
    ),
    (
        "more extensions than values",
        {
            **PATIENT,
            "name": [
                {"given": ["a"], "_given": [None, {"extension": [{"url": "http://x", "valueId": "b"}]}]}
            ],
        },
        "name[0]._given",
        "structure",
    ),
    (
        "null without an extension",
        {**PATIENT, "name": [{"given": ["a", None]}]},
        "name[0].given[1]",
        "structure",
    ),
    # narrative
    (
        "active content",
        observation(text={"status": "generated", "div": "<div><SCRIPT>x</SCRIPT></div>"}),
        "text.div",
        "value",
    ),
    ("a text that is no div", observation(text={"status": "generated", "div": "x"}), "text.div", "value"),
    # contained
    (
        "a fault inside a contained resource",
        observation(contained=[{**PATIENT, "gender": "m"}]),
        "contained[0].gender",
        "code-invalid",
    ),
    (
        "a contained resource of no type",
        observation(contained=[{"id": "x"}]),
        "contained[0].resourceType",
        "required",
    ),
    (
        "a contained resource whose type is an extension alone",
        observation(contained=[{"_resourceType": UNSAID}]),
        "contained[0].resourceType",
        "required",
    ),
    ("a contained resource of nothing", observation(contained=[{}]), "contained[0]", "structure"),
    (
        "a contained resource in a contained one",
        observation(contained=[{**PATIENT, "contained": [PATIENT]}]),
        "contained[0].contained",
        "invariant",
    ),
    # invariants
    (
        "a unit's code without its system",
        observation(valueQuantity={"value": 1, "code": "cm"}),
        None,
        "invariant",
    ),
    (
        "a period that ends before it starts",
        observation(effectiveDateTime=..., effectivePeriod={"start": "2026-02", "end": "2026-01-31"}),
        "effectivePeriod",
        "invariant",
    ),
    (
        "a value, and a reason why it is absent",
        observation(valueString="x", dataAbsentReason=CODE),
        "dataAbsentReason",
        "invariant",
    ),
    (
        "a value beside a component of the same code",
        observation(valueString="x", component=[{"code": OBSERVATION["code"], "valueString": "y"}]),
        "valueString",
        "invariant",
    ),
]


@pytest.mark.parametrize(
    ("resource", "path", "code"), [pytest.param(*defect, id=name) for name, *defect in DEFECTS]
)
def test_a_defect_is_one_fault_at_its_place(resource: dict[str, Any], path: str | None, code: str) -> None:
    faults = gate.check(resource)

    assert [fault.code for fault in faults] == [code]
    if path is not None:
        assert faults[0].expression == f"{resource['resourceType']}.{path}"


@pytest.mark.parametrize("kind", [..., None, 5, ["Patient"], "Foo", "Resource", "DomainResource", "patient"])
def test_a_resource_of_no_known_type_is_refused(kind: Any) -> None:
    (fault,) = gate.check(observation(resourceType=kind))

    assert fault.expression == "Resource.resourceType"


def test_each_fault_is_named() -> None:
    faults = gate.check(observation(status="x", code=..., valueQuantity=value("x"), colour=1))

    assert sorted(fault.expression for fault in faults) == [
        "Observation.code",
        "Observation.colour",
        "Observation.status",
        "Observation.valueQuantity.value",
    ]


def test_a_short_list_of_codes_is_told() -> None:
    (fault,) = gate.check({**PATIENT, "gender": "m"})

    assert fault.text == "expected a code of AdministrativeGender: male, female, other, unknown"


ALLOWED = {
    "a primitive with an extension only": observation(
        status=..., _status={"extension": [{"url": "http://x", "valueCode": "unknown"}]}
    ),
    "a list with an extension in the place of a value": {
        **PATIENT,
        "name": [
            {"given": ["a", None], "_given": [None, {"extension": [{"url": "http://x", "valueId": "b"}]}]}
        ],
    },
    "a choice with an extension only": observation(
        effectiveDateTime=..., _effectiveDateTime={"extension": [{"url": "http://x", "valueCode": "unknown"}]}
    ),
    "a number spelled unusually": observation(valueQuantity=value(Spelled("1e2"))),
    "a number of no decimals": observation(valueQuantity=value(7)),
    "29 February of a leap year": {**PATIENT, "birthDate": "2024-02-29"},
    "a year": {**PATIENT, "birthDate": "1960"},
    "a month": {**PATIENT, "birthDate": "1960-02"},
    "a reference to a fragment": observation(subject={"reference": "#p"}, contained=[PATIENT]),
    "a reference inside the Bundle": observation(
        subject={"reference": "urn:uuid:7b0ef1a0-0f2f-4f0c-9d8e-2f6d1a3b5c7d"}
    ),
    "a conditional reference": observation(subject={"reference": "Patient?identifier=http://x|1"}),
    "a reference with a base": observation(subject={"reference": "https://example.org/fhir/Patient/1"}),
    "a versioned reference": observation(subject={"reference": "Patient/1/_history/2"}),
    "a URL that is no FHIR address": observation(subject={"reference": "https://example.org/people/17"}),
    "a logical reference": observation(subject={"identifier": {"system": "http://x", "value": "1"}}),
    "base64 with line breaks": {"resourceType": "Binary", "contentType": "text/plain", "data": "QUJD\nQUI="},
}


@pytest.mark.parametrize("resource", [pytest.param(it, id=name) for name, it in ALLOWED.items()])
def test_what_r4_allows_is_allowed(resource: dict[str, Any]) -> None:
    assert gate.check(resource) == ()


def test_resources_in_a_bundle_are_checked_in_their_place() -> None:
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {"resource": PATIENT, "request": {"method": "PUT", "url": "Patient/p"}},
            {"resource": observation(status="x"), "request": {"method": "POST", "url": "Observation"}},
            {"resource": PATIENT},
        ],
    }

    assert [(fault.expression, fault.code) for fault in gate.check(bundle)] == [
        ("Bundle.entry[2].request", "invariant"),
        ("Bundle.entry[1].resource.status", "code-invalid"),
    ]


def test_resources_in_parameters_are_checked_in_their_place() -> None:
    part = {"name": "b", "resource": observation(status="x")}

    (fault,) = gate.check({"resourceType": "Parameters", "parameter": [{"name": "a", "part": [part]}]})

    assert fault.expression == "Parameters.parameter[0].part[0].resource.status"


def test_a_hopeless_resource_gets_a_hundred_faults_and_no_more() -> None:
    faults = gate.check(observation(category=[{"text": 5}] * 1000))

    assert len(faults) == gate.MAX_FAULTS


def test_of_a_huge_hopeless_resource_only_the_first_error_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = 0
    genuine = gate.explain

    def counting(errors: Iterable[Any], *rest: Any) -> Iterable[gate.Fault]:
        nonlocal seen
        errors = list(errors)
        seen += len(errors)
        return genuine(errors, *rest)

    monkeypatch.setattr(gate, "explain", counting)
    (fault,) = gate.check(observation(category=[{"text": 5}] * 100_000))

    assert fault.expression == "Observation.category[0].text"
    assert seen == 1


def test_a_name_that_is_no_element_name_is_not_repeated() -> None:
    (fault,) = gate.check(observation(**{"Erika Mustermann, 1960": "x"}))

    assert fault.expression == "Observation"
    assert "Erika" not in fault.text


def large(notes: int, **more: Any) -> dict[str, Any]:
    """Return an observation with an extension in place of its status, and two values for each note."""
    made = observation(_status=UNSAID, note=[{"text": "x"} for _ in range(notes)], **more)
    del made["status"]
    return made


@pytest.mark.parametrize("notes", [3, 5000])
def test_an_extension_in_place_of_a_value_hides_nothing_else(notes: int) -> None:
    wrong = large(notes, dataAbsentReason={"text": 7}, interpretation=[{"text": "x"}, {}])

    assert gate.check(large(notes)) == ()
    assert {fault.expression for fault in gate.check(wrong)} == {
        "Observation.dataAbsentReason.text",
        "Observation.interpretation[1]",
    }


def test_among_too_many_values_none_is_looked_for_that_may_be_missing() -> None:
    (fault,) = gate.check(large(60_000))

    assert (fault.expression, fault.code) == ("Observation", "too-costly")
    assert gate.check(large(60_000) | {"status": "final"}) == ()


def test_a_bundle_may_have_an_extension_in_place_of_its_type() -> None:
    bundle = {"resourceType": "Bundle", "_type": UNSAID, "entry": [{"resource": PATIENT}]}

    assert gate.check(bundle) == ()


def test_a_number_of_another_spelling_is_valid_among_any_number_of_values() -> None:
    measured = {"valueQuantity": {"value": Spelled("1e2"), "unit": "mm"}, "status": "final"}

    assert gate.check(large(60_000) | measured) == ()
