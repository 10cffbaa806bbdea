"""FHIR R4 JSON as CQL sees it: choices, primitives with extensions, references inside the record.

https://hl7.org/fhir/R4/json.html
"""

import copy
import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pathways import cql
from pathways.cql import fhir
from pathways.cql.temporal import HOME

FOLDER = Path(__file__).with_name("fhir")
UCUM = "http://unitsofmeasure.org"
ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"

Json = dict[str, Any]


@pytest.fixture(scope="module")
def library() -> cql.Library:
    elm = json.loads((FOLDER / "elements.elm.json").read_text())
    assert cql.matches(elm, (FOLDER / "elements.cql").read_text())
    return cql.load(elm)


def patient(**more: Any) -> Json:
    return {"resourceType": "Patient", "id": "p", **more}


def observation(id_: str, **more: Any) -> Json:
    return {"resourceType": "Observation", "id": id_, "status": "final", **more}


def test_a_primitive_without_a_value_still_has_extensions(library: cql.Library, moment: datetime) -> None:
    absent = {"extension": [{"url": ABSENT, "valueCode": "asked-unknown"}], "id": "b1"}
    run = library.at(moment, [patient(_birthDate=absent)])

    assert run["Birth date"] is None
    assert run["Has a birth date"] is False
    assert run["Why there is no birth date"] == "asked-unknown"
    assert run["Id of the birth date"] == "b1"


def test_a_primitive_has_its_value_beside_its_extensions(library: cql.Library, moment: datetime) -> None:
    extended = {"extension": [{"url": "https://example.org/source", "valueString": "passport"}]}
    dead = {"extension": [{"url": "https://example.org/a"}, {"url": "https://example.org/b"}]}
    named = [{"family": "Doe", "extension": [{"url": "https://example.org/c"}]}]
    run = library.at(
        moment,
        [
            patient(
                birthDate="1970-01-01",
                _birthDate=extended,
                deceasedBoolean=True,
                _deceasedBoolean=dead,
                name=named,
            )
        ],
    )

    assert run["Has a birth date"] is True
    assert run["Why there is no birth date"] is None
    assert run["Extensions of the death"] == 2
    assert run["Extensions of the name"] == 1


def test_a_choice_is_of_the_type_its_key_names(library: cql.Library, moment: datetime) -> None:
    rows = [
        observation(
            "a", valueQuantity={"value": Decimal("70.50"), "unit": "kilo", "code": "kg", "system": UCUM}
        ),
        observation("b", valueCodeableConcept={"text": "tall"}),
        observation("c", valueBoolean=False),
        observation("d", valueString="well"),
        observation("e", valueDateTime="2026-01"),
        observation("f", valuePeriod={"start": "2026-01-01"}),
        observation("g", valueTime="10:00:00"),
        observation("h"),
    ]
    run = library.at(moment, rows)

    assert run["Kinds of values"] == [
        *("quantity", "concept", "boolean", "text", "moment", "period", "another", "none")
    ]
    assert [each["code"] for each in run["Amounts"]] == ["kg"]
    assert run["Amounts as quantities"] == [cql.Quantity(Decimal("70.50"), "kg")]
    assert run["Truths"] == [False]
    assert [str(period.low) for period in run["Periods"]] == ["2026-01-01T"]


def test_references_are_followed_inside_the_record(library: cql.Library, moment: datetime) -> None:
    rows = [
        {"resourceType": "Practitioner", "id": "known"},
        observation("found", performer=[{"reference": "Practitioner/known"}]),
        observation("elsewhere", performer=[{"reference": "Practitioner/unknown"}, {"display": "somebody"}]),
        observation(
            "inside",
            performer=[{"reference": "#me"}],
            contained=[{"resourceType": "Practitioner", "id": "me"}],
        ),
    ]
    run = library.at(moment, [*rows, patient()])

    assert run["Performers"] == ["found"]
    assert run["Performers that are contained"] == ["inside"]
    assert run["Statuses"] == ["final"]
    # A contained resource is no resource of the record.
    assert run["Everything by its type"] == 5


def test_nothing_that_is_read_is_changed(library: cql.Library, moment: datetime) -> None:
    rows = [patient(_birthDate={"id": "x"}), observation("a", valueQuantity={"value": 1, "unit": "g"})]
    before = copy.deepcopy(rows)
    run = library.at(moment, rows)
    for name in library.definitions:
        run[name]
        run.explain(name)

    assert rows == before


QUANTITY = {"value": Decimal("1.5"), "unit": "gram", "code": "g", "system": UCUM}
GRAMS = cql.Quantity(Decimal("1.5"), "g")


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("ToBoolean", True, True),
        ("ToInteger", 3, 3),
        ("ToInteger", Decimal("3.0"), 3),
        ("ToDecimal", 0.1, Decimal("0.1")),
        ("ToDecimal", Decimal("1.50"), Decimal("1.50")),
        ("ToString", "final", "final"),
        ("ToDate", "2026-03", cql.Date(2026, 3)),
        ("ToDateTime", "2026-03-14T09:00:00Z", cql.DateTime(2026, 3, 14, 9, 0, 0, offset=0)),
        ("ToTime", "09:30:00", cql.Time(9, 30, 0)),
        ("ToCode", {"code": "a", "system": "s"}, cql.Code("a", "s")),
        ("ToConcept", {"coding": [{"code": "a"}], "text": "t"}, cql.Concept((cql.Code("a"),), "t")),
        ("ToQuantity", QUANTITY, GRAMS),
        ("ToQuantity", {"unit": "g"}, None),
        ("ToQuantity", {"value": 3, "code": "mo", "system": UCUM}, cql.Quantity(Decimal(3), "month")),
        ("ToCalendarUnit", "a", "year"),
        ("ToCalendarUnit", "mm", "mm"),
        ("ToQuantity", {"value": 2}, cql.Quantity(Decimal(2), "1")),
        ("ToQuantityIgnoringComparator", {**QUANTITY, "comparator": "<"}, GRAMS),
        ("ToInterval", {"low": QUANTITY}, cql.Interval(GRAMS, None, True, True, "Quantity")),
        ("ToInterval", QUANTITY, cql.Interval(GRAMS, GRAMS, True, True, "Quantity")),
        ("ToInterval", {**QUANTITY, "comparator": "<"}, cql.Interval(None, GRAMS, True, False, "Quantity")),
        ("ToInterval", {**QUANTITY, "comparator": ">="}, cql.Interval(GRAMS, None, True, True, "Quantity")),
        (
            "ToRatio",
            {"numerator": QUANTITY, "denominator": {"value": 1}},
            cql.Ratio(GRAMS, cql.Quantity(Decimal(1))),
        ),
    ],
)
def test_the_helpers_convert_as_published(name: str, given: Any, value: Any) -> None:
    convert = fhir.helper(name)

    assert convert is not None
    assert convert(given) == value


@pytest.mark.parametrize(
    ("name", "given", "reason"),
    [
        ("ToQuantity", {**QUANTITY, "comparator": "<"}, "comparator"),
        ("ToQuantity", {**QUANTITY, "system": "https://example.org/units"}, "not UCUM"),
        ("ToInteger", Decimal("1.5"), "not a whole number"),
        ("ToInteger", True, "not a whole number"),
        ("ToBoolean", "true", "not true or false"),
    ],
)
def test_what_cannot_be_converted_exactly_says_why(name: str, given: Any, reason: str) -> None:
    convert = fhir.helper(name)

    assert convert is not None
    with pytest.raises(Exception, match=reason):
        convert(given)


def test_a_moment_without_an_offset_is_at_home() -> None:
    convert = fhir.helper("ToDateTime")
    assert convert is not None

    token = HOME.set(120)
    try:
        assert convert("2026-03-14").offset == 120
    finally:
        HOME.reset(token)
