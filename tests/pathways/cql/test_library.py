"""Loading a library and running it over FHIR JSON."""

import json
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pathways import cql

Observation = Callable[..., dict[str, Any]]
PLACE = {"Place": "here"}


def beats(value: str) -> dict[str, Any]:
    system = "http://unitsofmeasure.org"
    return {"valueQuantity": {"value": Decimal(value), "code": "/min", "unit": "/min", "system": system}}


def test_a_library_says_what_it_needs_and_defines(example: cql.Library) -> None:
    assert example.parameters["Place"].required
    assert not example.parameters["fast"].required
    assert example.parameters["lookback"].type == "Quantity"
    assert "Unwell" in example.definitions
    assert {(each.type, *(code.code for code in each.codes)) for each in example.retrieves} == {
        ("Patient",),
        ("Observation", "pulse"),
        ("Observation", "dizzy"),
        ("Observation", "posture"),
    }


def test_no_record_is_unknown_and_not_false(example: cql.Library, moment: datetime) -> None:
    run = example.at(moment, [], PLACE)

    assert run["Fast"] is None
    assert run["Unwell"] is None
    assert run["Known to be well"] is None


def test_the_latest_row_in_the_look_back_counts(
    example: cql.Library, moment: datetime, observation: Observation
) -> None:
    records = [
        observation("late", "pulse", "2026-03-13T08:00:00Z", **beats("120")),
        observation("early", "pulse", "2026-03-10T08:00:00Z", **beats("60")),
        observation("old", "pulse", "2026-03-01T08:00:00Z", **beats("200")),
        observation("ahead", "pulse", "2026-03-20T08:00:00Z", **beats("50")),
    ]

    run = example.at(moment, records, PLACE)

    assert run["Pulse"]["id"] == "late"
    assert run["Fast"] is True
    assert run["Either"] is True
    assert run["Unwell"] is None


def test_a_record_in_error_does_not_count(
    example: cql.Library, moment: datetime, observation: Observation
) -> None:
    wrong = observation("wrong", "pulse", "2026-03-13T08:00:00Z", **beats("120"))

    assert example.at(moment, [{**wrong, "status": "entered-in-error"}], PLACE)["Pulse"] is None


@pytest.mark.parametrize(
    ("when", "counts"),
    [
        pytest.param("2026-03-06T23:59:59+01:00", False, id="the day before"),
        pytest.param("2026-03-07T00:00:00+01:00", True, id="first moment of the first day"),
        pytest.param("2026-03-06T23:30:00Z", True, id="already that day where it is asked"),
        pytest.param("2026-03-07", True, id="a day without a time"),
        pytest.param("2026-03-14T23:59:59+01:00", True, id="later today"),
        pytest.param("2026-03-14T23:30:00Z", False, id="tomorrow where it is asked"),
    ],
)
def test_a_day_is_the_day_of_the_moments_offset(
    example: cql.Library, moment: datetime, observation: Observation, when: str, counts: bool
) -> None:
    run = example.at(moment, [observation("one", "pulse", when, **beats("120"))], PLACE)

    assert (run["Pulse"] is not None) is counts


def test_a_concept_is_equivalent_to_any_of_its_codes(
    example: cql.Library, moment: datetime, observation: Observation
) -> None:
    def answered(*codings: dict[str, str]) -> bool | None:
        answer = {"valueCodeableConcept": {"coding": list(codings)}}
        return example.at(moment, [observation("one", "posture", "2026-03-14", **answer)], PLACE)["Standing"]  # type: ignore[no-any-return]

    ours = {"system": "https://example.org/codes", "code": "standing"}
    assert answered({"system": "http://other.example.org", "code": "S"}, ours) is True
    assert answered({"system": "http://other.example.org", "code": "standing"}) is False


def test_nothing_reads_a_clock(example: cql.Library) -> None:
    run = example.at(datetime(1999, 12, 31, 23, 30, tzinfo=timezone(timedelta(hours=-5))), [], PLACE)

    assert run["Today of the moment"] == cql.Date(1999, 12, 31)


@pytest.mark.parametrize(
    ("born", "age"), [("2008-03-14", 18), ("2008-03-15", 17), ("2008", cql.Uncertainty(17, 18))]
)
def test_an_age_is_whole_years_on_the_day_of_the_moment(
    example: cql.Library, moment: datetime, born: str, age: Any
) -> None:
    patient = {"resourceType": "Patient", "id": "p", "birthDate": born}

    run = example.at(moment, [patient], PLACE)

    assert run["Age"] == age
    assert run["Adult"] is {18: True, 17: False}.get(age)


def test_a_query_may_join_relate_and_aggregate(
    example: cql.Library, moment: datetime, observation: Observation
) -> None:
    records = [
        observation("a", "pulse", "2026-03-10T08:00:00Z", **beats("60")),
        observation("b", "pulse", "2026-03-11T08:00:00Z", **beats("61.5")),
        observation("c", "dizzy", "2026-03-11T20:00:00Z", valueBoolean=True),
    ]

    run = example.at(moment, records, PLACE)

    assert run["Pairs"] == ["ab"]
    assert run["With a dizzy day"] == ["b"]
    assert run["Sum of pulses"] == Decimal("121.5")


@pytest.mark.parametrize(
    ("given", "days"),
    [
        pytest.param("2026-03-01", 13, id="text of a day"),
        pytest.param("2026-03-13T23:30:00Z", 0, id="text with an offset"),
        pytest.param(cql.Date(2026, 3, 1), 13, id="a Date"),
        pytest.param(cql.DateTime(2026, 3, 1, 12, offset=60), 13, id="a DateTime"),
        pytest.param(None, None, id="null"),
    ],
)
def test_a_parameter_is_taken_as_its_declared_type(
    example: cql.Library, moment: datetime, given: Any, days: int | None
) -> None:
    assert example.at(moment, [], {**PLACE, "Since": given})["Days since"] == days


def test_a_list_parameter_may_be_a_tuple(example: cql.Library, moment: datetime) -> None:
    assert example.at(moment, [], {**PLACE, "Names": ("there", "here")})["Here"] is True
    assert example.at(moment, [], PLACE)["Here"] is False


@pytest.mark.parametrize(
    ("parameters", "name", "reason"),
    [
        ({}, "Place", "missing"),
        ({**PLACE, "fast": "hundred"}, "fast", "not of type Integer"),
        ({**PLACE, "fast": True}, "fast", "not of type Integer"),
        ({**PLACE, "Since": "yesterday"}, "Since", "not of type DateTime"),
        ({**PLACE, "Day": "2026-03-14T10:00:00Z"}, "Day", "not of type Date"),
        ({**PLACE, "slow": 1}, "parameters", "unknown: slow"),
    ],
)
def test_a_parameter_that_does_not_fit_ends_the_run(
    example: cql.Library, moment: datetime, parameters: dict[str, Any], name: str, reason: str
) -> None:
    with pytest.raises(cql.EvaluationFailed) as failed:
        example.at(moment, [], parameters)

    assert failed.value.definition == name
    assert reason in failed.value.reason
    assert "yesterday" not in str(failed.value)


def test_an_evaluation_that_fails_names_the_definition_and_no_value(
    example: cql.Library, moment: datetime, observation: Observation
) -> None:
    above = beats("143")
    above["valueQuantity"]["comparator"] = ">"

    run = example.at(moment, [observation("one", "pulse", "2026-03-14", **above)], PLACE)

    with pytest.raises(cql.EvaluationFailed) as failed:
        run["Fast"]
    assert failed.value.definition == "Pulse"
    assert "143" not in str(failed.value)
    assert run["Dizzy"] is None


def test_runs_with_other_parameters_share_what_does_not_depend_on_them(
    example: cql.Library, moment: datetime, observation: Observation
) -> None:
    records = cql.Records([observation("one", "pulse", "2026-03-14T08:00:00Z", **beats("90"))])

    slow = example.at(moment, records, {**PLACE, "fast": 80})
    fast = example.at(moment, records, {**PLACE, "fast": 100})

    assert slow["Fast"] is True
    assert fast["Fast"] is False
    assert fast["Pulse"] is slow["Pulse"]
    assert example.at(moment + timedelta(days=30), records, PLACE)["Pulse"] is None


def test_a_run_may_differ_from_another_in_some_parameters(
    example: cql.Library, moment: datetime, observation: Observation
) -> None:
    records = cql.Records([observation("one", "pulse", "2026-03-14T08:00:00Z", **beats("90"))])
    slow = example.at(moment, records, {**PLACE, "fast": 80, "Since": "2026-03-01"})

    fast = slow.but({"fast": 100})

    assert (slow["Fast"], fast["Fast"]) == (True, False)
    assert fast["Days since"] == slow["Days since"] == 13
    assert fast.but({"Since": None})["Days since"] is None


@pytest.mark.parametrize(
    ("parameters", "name"),
    [({"fast": True}, "fast"), ({"Since": "yesterday"}, "Since"), ({"slow": 1}, "parameters")],
)
def test_what_another_run_is_given_must_fit_too(
    example: cql.Library, moment: datetime, parameters: dict[str, Any], name: str
) -> None:
    with pytest.raises(cql.EvaluationFailed) as failed:
        example.at(moment, [], PLACE).but(parameters)

    assert failed.value.definition == name


def test_an_unknown_definition_is_a_key_error(example: cql.Library, moment: datetime) -> None:
    with pytest.raises(KeyError):
        example.at(moment, [], PLACE)["No such thing"]


def test_an_elm_of_another_text_does_not_match(example_elm: dict[str, Any]) -> None:
    text = Path(__file__).with_name("example.cql").read_text()

    assert cql.matches(example_elm, text)
    assert not cql.matches(example_elm, f"{text}\n")
    assert not cql.matches({"library": {}}, text)


def test_codes_are_found_in_the_order_the_records_were_given(observation: Observation) -> None:
    records = cql.Records([observation(str(at), "pulse" if at % 2 else "dizzy", "2026") for at in range(6)])
    codes = [cql.Code(code, "https://example.org/codes") for code in ("dizzy", "pulse")]

    assert [each["id"] for each in records.coded("Observation", "code", codes)] == list("012345")
    assert [each["id"] for each in records.coded("Observation", "code", codes[:1])] == list("024")


def test_a_naive_moment_is_refused(example: cql.Library) -> None:
    with pytest.raises(ValueError, match="offset"):
        example.at(datetime.combine(date(2026, 3, 14), datetime.min.time()), [], PLACE)


def test_what_is_computed_from_a_quantity_without_an_amount_is_null(
    example: cql.Library, moment: datetime
) -> None:
    assert example.at(moment, [], PLACE)["A while ago"] is None


def test_what_a_function_answers_of_a_list_is_kept_for_the_same_operands_alone(moment: datetime) -> None:
    text = (Path(__file__).parent / "libraries" / "kept.elm.json").read_text()
    library = cql.load(json.loads(text))
    run = library.at(moment, [])

    assert (run["Above one"], run["Above two"], run["Above one again"]) == ([2, 3], [3], [2, 3])
    assert run["Above each"] == [[2, 3], [3]]
    assert run["Of other lists"] == [[5], [2, 5]]
    assert run["Above low"] == [2, 3]
    assert run.but({"Low": 2})["Above low"] == [3]
    assert run["Above low"] == [2, 3]
