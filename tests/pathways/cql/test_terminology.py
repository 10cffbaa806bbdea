"""Value sets and code systems: what is in them, and what a rule reads through them.

https://cql.hl7.org/09-b-cqlreference.html#clinical-operators-3
"""

import copy
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from fhir_profiles import definitions
from pathways import cql
from pathways.cql.values import Vocabulary

FOLDER = Path(__file__).with_name("terminology")
COLOURS = "https://example.org/colours"
SHADES = "https://example.org/shades"
WARM = "https://example.org/ValueSet/warm"
SYSTEM = "{urn:hl7-org:elm-types:r1}"

Json = dict[str, Any]
Observation = Callable[..., Json]

EXPECTED = {
    "A code": True,
    "Another code": False,
    "The same code of another system": False,
    "A concept": True,
    "Another concept": False,
    "No code": False,
    "No concept": False,
    "A text": True,
    "Another text": False,
    "Any of a list": True,
    "None of a list": False,
    "Any of no list": False,
    "Any concept": True,
    "In a code system": True,
    "Of another code system": False,
    "A text in a code system": True,
    "Any in a code system": True,
    "The set itself": Vocabulary("ValueSet", WARM, "2025"),
    "How many colours": 4,
    "Stored": ["both", "coded"],
    "Stored, asked one by one": ["both", "coded"],
    "Coded values": ["valued"],
}


def code_system(url: str, *concepts: Json, **more: Any) -> Json:
    return {
        "resourceType": "CodeSystem",
        "url": url,
        "content": "complete",
        "concept": list(concepts),
        **more,
    }


def value_set(name: str, *include: Json, **more: Any) -> Json:
    url = f"https://example.org/ValueSet/{name}"
    return {"resourceType": "ValueSet", "url": url, "compose": {"include": list(include)}, **more}


def listed(system: str, *codes: str) -> Json:
    return {"system": system, "concept": [{"code": code} for code in codes]}


RESOURCES = [
    code_system(
        COLOURS,
        {"code": "red", "display": "Red", "concept": [{"code": "orange"}]},
        {"code": "green"},
        {"code": "blue"},
    ),
    code_system(SHADES, {"code": "red"}),
    value_set("warm", listed(COLOURS, "red", "orange"), version="2025"),
    value_set("colours", {"system": COLOURS}),
    value_set("both", listed(COLOURS, "red"), listed(SHADES, "red")),
    {"resourceType": "Patient", "id": "no-vocabulary"},
]


@pytest.fixture
def elm() -> Json:
    read: Json = json.loads((FOLDER / "vocabularies.elm.json").read_text())
    return read


@pytest.fixture
def library(elm: Json) -> cql.Library:
    return cql.load(elm, terminology=cql.InMemory(RESOURCES))


@pytest.fixture
def records(observation: Observation) -> list[Json]:
    coded = observation("coded", "pulse", "2026-03-01")
    coded["code"] = {"coding": [{"system": COLOURS, "code": "orange"}]}
    both = observation("both", "pulse", "2026-03-01")
    both["code"] = {"coding": [{"system": SHADES, "code": "red"}, {"system": COLOURS, "code": "red"}]}
    valued = observation(
        "valued", "pulse", "2026-03-01", valueCodeableConcept={"coding": [{"system": COLOURS, "code": "red"}]}
    )
    other = observation("other", "pulse", "2026-03-01")
    other["code"] = {"coding": [{"system": SHADES, "code": "red"}], "text": "red"}
    return [both, valued, other, coded]


def refusals(elm: Json, *resources: Json) -> set[str]:
    with pytest.raises(cql.Refused) as refused:
        cql.load(elm, terminology=cql.InMemory(resources))
    return {reason.what for reason in refused.value.reasons}


def test_the_library_is_the_translation_of_its_text(elm: Json) -> None:
    assert cql.matches(elm, (FOLDER / "vocabularies.cql").read_text())


@pytest.mark.parametrize(("name", "value"), EXPECTED.items())
def test_membership_and_retrieves_by_vocabulary(
    library: cql.Library, moment: datetime, records: list[Json], name: str, value: Any
) -> None:
    assert library.at(moment, records)[name] == value


def test_a_text_is_not_looked_up_in_several_systems(library: cql.Library, moment: datetime) -> None:
    with pytest.raises(cql.EvaluationFailed, match="several systems"):
        library.at(moment, [])["A text in several systems"]


def test_the_codes_of_a_value_set_are_what_the_library_reads(library: cql.Library) -> None:
    read = [each for each in library.retrieves if each.path]

    assert [(each.label, {code.code for code in each.codes}) for each in read] == [
        ("Warm of 2025", {"red", "orange"})
    ]


def test_an_explanation_names_the_value_set(
    library: cql.Library, moment: datetime, records: list[Json]
) -> None:
    found = library.at(moment, records).explain("Stored")
    nothing = library.at(moment, []).explain("Stored")

    assert found["because"][0]["text"] == "Observation Warm of 2025"
    assert found["sources"] == ["Observation/both/_history/3", "Observation/coded/_history/3"]
    assert nothing["because"][0]["value"] == "none stored"


def test_what_the_provider_does_not_know_is_refused_by_name(elm: Json) -> None:
    older = {**RESOURCES[2], "version": "2024"}

    assert refusals(elm, *RESOURCES[:2]) == {
        f"value set {WARM} is not given",
        "value set https://example.org/ValueSet/colours is not given",
        "value set https://example.org/ValueSet/both is not given",
    }
    assert f"value set {WARM} version 2025 is not given, only 2024" in refusals(
        elm, *RESOURCES[:2], older, *RESOURCES[3:]
    )
    assert f"value set {WARM} is given more than once" in refusals(elm, *RESOURCES, RESOURCES[2])


def test_without_a_provider_every_vocabulary_is_refused(elm: Json) -> None:
    with pytest.raises(cql.Refused) as refused:
        cql.load(elm)
    assert all(reason.hint == "give it to `load` with `terminology`" for reason in refused.value.reasons)


def test_a_vocabulary_that_is_not_named_is_refused(elm: Json) -> None:
    statement = next(s for s in elm["library"]["statements"]["def"] if s["name"] == "A code")
    statement["expression"].pop("valueset")
    statement["expression"]["valuesetExpression"] = {"type": "ParameterRef", "name": "Which"}

    assert refusals(elm, *RESOURCES) == {"a value set that is not named"}


class TestInMemory:
    """What the codes of a value set are, by its definition or its expansion."""

    def codes(self, *resources: Json, name: str = "this") -> set[tuple[str | None, str | None]]:
        expansion = cql.InMemory(resources).expansion(f"https://example.org/ValueSet/{name}", None)
        return {(code.system, code.code) for code in expansion}

    def test_listed_codes_whole_systems_and_other_sets_are_joined(self) -> None:
        this = value_set("this", listed(SHADES, "dark"), {"system": COLOURS}, {"valueSet": [f"{WARM}|2025"]})

        assert self.codes(this, *RESOURCES) == {
            (SHADES, "dark"),
            *((COLOURS, code) for code in ("red", "orange", "green", "blue")),
        }

    def test_sets_that_are_named_together_must_both_have_a_code(self) -> None:
        this = value_set("this", {"system": COLOURS, "valueSet": [WARM]})
        other = value_set("this", {"valueSet": [WARM, "https://example.org/ValueSet/both"]})

        assert self.codes(this, *RESOURCES) == {(COLOURS, "red"), (COLOURS, "orange")}
        assert self.codes(other, *RESOURCES) == {(COLOURS, "red")}

    def test_what_is_excluded_is_not_in_it(self) -> None:
        this = value_set("this", {"system": COLOURS})
        this["compose"]["exclude"] = [listed(COLOURS, "red", "blue")]

        assert self.codes(this, *RESOURCES) == {(COLOURS, "orange"), (COLOURS, "green")}

    def test_an_expansion_counts_more_than_the_definition(self) -> None:
        this = value_set("this", {"system": COLOURS, "filter": [{"property": "x", "op": "=", "value": "y"}]})
        red = {"system": COLOURS, "code": "red"}
        group = {"system": COLOURS, "code": "group", "abstract": True, "contains": [red]}
        this["expansion"] = {"contains": [group, {"contains": [red]}]}

        assert self.codes(this) == {(COLOURS, "red")}

    @pytest.mark.parametrize(
        ("include", "reason"),
        [
            (
                {"system": COLOURS, "filter": [{"property": "a", "op": "=", "value": "b"}]},
                "defined by a filter",
            ),
            ({"valueSet": ["https://example.org/ValueSet/this"]}, "includes itself"),
            ({"system": "https://example.org/part"}, "only in part"),
            ({"system": "https://example.org/unknown"}, "is not given"),
            ({"system": COLOURS, "version": "9"}, "version 9 is not given"),
        ],
    )
    def test_what_cannot_be_told_says_why(self, include: Json, reason: str) -> None:
        part = code_system("https://example.org/part") | {"content": "fragment"}

        with pytest.raises(cql.NotExpandable, match=reason):
            self.codes(value_set("this", include), part, *RESOURCES)

    def test_an_empty_definition_has_no_codes(self) -> None:
        assert self.codes(value_set("this", {})) == set()

    def test_each_value_set_of_the_pathway_has_codes(self) -> None:
        known = cql.InMemory([*definitions.value_sets(), *definitions.code_systems()])

        for each in definitions.value_sets():
            assert known.expansion(each["url"], each["version"]), each["id"]


def number(value: str) -> Json:
    return {"type": "Literal", "valueType": f"{SYSTEM}Integer", "value": value}


def march(day: str, kind: str) -> Json:
    return {"type": kind, "year": number("2026"), "month": number("3"), "day": number(day)}


def in_march(elm: Json, kind: str, last: str) -> Json:
    """Return a library that retrieves the Observations of March, up to a day."""
    interval = {"type": "Interval", "low": march("1", kind), "high": march(last, kind)}
    retrieve = {
        "type": "Retrieve",
        "dataType": "{http://hl7.org/fhir}Observation",
        "dateProperty": "effective",
        "dateRange": interval,
    }
    elm["library"]["statements"]["def"] = [{"name": "In March", "context": "Patient", "expression": retrieve}]
    return elm


def test_rows_are_chosen_by_their_dates(elm: Json, moment: datetime, observation: Observation) -> None:
    undated = observation("undated", "pulse", "")
    undated.pop("effectiveDateTime")
    period = undated | {"id": "period", "effectivePeriod": {"start": "2026-03-03", "end": "2026-03-04"}}
    beyond = undated | {"id": "beyond", "effectivePeriod": {"start": "2026-03-30", "end": "2026-04-02"}}
    open_ = undated | {"id": "open", "effectivePeriod": {"start": "2026-03-30"}}
    timing = undated | {"id": "timing", "effectiveTiming": {"event": ["2026-03-03"]}}
    rows = [
        *(observation("before", "pulse", "2026-02-28"), observation("first", "pulse", "2026-03-01")),
        # Too vague to tell, though the month is the one.
        *(observation("month", "pulse", "2026-03"), observation("year", "pulse", "2026")),
        *(period, beyond, open_, timing, undated),
    ]

    found = cql.load(in_march(elm, "DateTime", "31")).at(moment, rows)["In March"]

    assert [each["id"] for each in found] == ["first", "period"]


def test_a_range_of_dates_reads_moments_as_their_days(
    elm: Json, moment: datetime, observation: Observation
) -> None:
    late = observation("late", "pulse", "2026-03-02T23:59:59+01:00")
    period = copy.deepcopy(late) | {
        "id": "period",
        "effectivePeriod": {"start": "2026-03-01T12:00:00Z", "end": "2026-03-02"},
    }
    period.pop("effectiveDateTime")
    after = observation("after", "pulse", "2026-03-03T00:00:00+01:00")

    found = cql.load(in_march(elm, "Date", "2")).at(moment, [late, period, after])["In March"]

    assert [each["id"] for each in found] == ["late", "period"]
