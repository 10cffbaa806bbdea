"""Libraries that include others: their names, versions, parameters, and what stays private.

https://cql.hl7.org/02-authorsguide.html#libraries
"""

import copy
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from pathways import cql

FOLDER = Path(__file__).with_name("libraries")
UNIT = {"Common.Unit": "/min"}

Elm = dict[str, Any]


def read(name: str) -> Elm:
    elm: Elm = json.loads((FOLDER / f"{name}.elm.json").read_text())
    return elm


@pytest.fixture
def main() -> Elm:
    return read("main")


@pytest.fixture
def others() -> list[Elm]:
    return [read("between"), read("common")]


def reasons(elm: Elm, others: list[Elm]) -> set[str]:
    with pytest.raises(cql.Refused) as refused:
        cql.load(elm, libraries=others)
    return {f"{reason.definition}: {reason.what}" for reason in refused.value.reasons}


def named(elm: Elm, name: str) -> Elm:
    found: Elm = next(each for each in elm["library"]["statements"]["def"] if each["name"] == name)
    return found


@pytest.mark.parametrize("name", ["main", "between", "common"])
def test_each_library_is_the_translation_of_its_text(name: str) -> None:
    assert cql.matches(read(name), (FOLDER / f"{name}.cql").read_text())


def test_what_is_included_is_evaluated_under_its_own_name(
    main: Elm, others: list[Elm], moment: datetime, observation: Callable[..., dict[str, Any]]
) -> None:
    run = cql.load(main, libraries=others).at(
        moment,
        [
            observation("fast", "pulse", "2026-03-14", valueQuantity={"value": 120}),
            observation("sick", "dizzy", "2026-03-14", valueBoolean=True),
        ],
        UNIT,
    )

    assert run["Alarm"] is True
    assert run["Own and included"] == [7, 100, 100]
    assert run["Unit"] == "/min"
    assert run["Numbers and texts"] == {"number": 4, "text": "aa"}
    assert run["Codes"] == [cql.Code("pulse", "https://example.org/codes", None, "Pulse")]
    assert [code.code for code in run["Complaint"].codes] == ["dizzy"]
    assert [each["id"] for each in run["Of the complaint"]] == ["sick"]
    assert [each["id"] for each in run["Common.Pulses"]] == ["fast"]


def test_a_parameter_of_an_included_library_is_given_by_its_full_name(
    main: Elm, others: list[Elm], moment: datetime
) -> None:
    library = cql.load(main, libraries=others)

    assert library.at(moment, [], {**UNIT, "Common.Fast from": 5, "Fast from": 6})["Own and included"] == [
        6,
        5,
        5,
    ]
    with pytest.raises(cql.EvaluationFailed, match=r"Common\.Unit: a required parameter is missing"):
        library.at(moment, [])
    with pytest.raises(cql.EvaluationFailed, match=r"Common\.Fast from: .* not of type Integer"):
        library.at(moment, [], {**UNIT, "Common.Fast from": "fast"})


def test_runs_that_differ_in_an_included_parameter_share_nothing_that_reads_it(
    main: Elm, others: list[Elm], moment: datetime
) -> None:
    run = cql.load(main, libraries=others).at(moment, cql.Records([]), UNIT)
    other = run.but({"Common.Fast from": 5})

    assert (run["Between.Is calm"], other["Between.Is calm"]) == (False, True)


def test_an_explanation_opens_what_is_included_with_its_own_words(
    main: Elm, others: list[Elm], moment: datetime, observation: Callable[..., dict[str, Any]]
) -> None:
    pulse = observation("fast", "pulse", "2026-03-14", valueQuantity={"value": 120})
    told = cql.load(main, libraries=others).at(moment, [pulse], UNIT).explain("Alarm")

    assert told["text"] == "Somebody must look at it"
    assert told["because"][0]["text"] == "The pulse is fast"
    assert told["sources"] == ["Observation/fast/_history/3"]


def test_private_definitions_serve_their_own_library_alone(
    main: Elm, others: list[Elm], moment: datetime
) -> None:
    library = cql.load(main, libraries=others)
    run = library.at(moment, [], UNIT)

    assert "Aside" not in library.definitions
    assert run["Through a private one"] == 61
    for name in ("Aside", "Common.Hidden", "Nothing"):
        with pytest.raises(KeyError):
            run[name]
        with pytest.raises(KeyError):
            run.explain(name)

    named(main, "Unit")["expression"] = {"type": "ExpressionRef", "libraryName": "C", "name": "Hidden"}
    named(main, "Codes")["expression"] = {
        "type": "FunctionRef",
        "libraryName": "C",
        "name": "Secret",
        "operand": [{"type": "Literal", "valueType": "{urn:hl7-org:elm-types:r1}Integer", "value": "1"}],
    }
    assert reasons(main, others) == {
        "Unit: definition Common.Hidden is private",
        "Codes: function Common.Secret is private",
    }


def test_an_include_is_found_by_name_and_version_or_refused(main: Elm, others: list[Elm]) -> None:
    between, common = others
    newer = copy.deepcopy(common)
    newer["library"]["identifier"]["version"] = "2.0"

    assert "library: include Between is not given" in reasons(main, [common])
    assert "library: include Common version 1.2 is not given, only 2.0" in reasons(main, [between, newer])
    assert "library: include Common is given more than once" in reasons(main, [between, common, common])
    # Without a version, two that would do are one too many.
    between["library"]["includes"]["def"][0].pop("version")
    assert "Between: include Common is given more than once" in reasons(main, [between, common, newer])


def test_two_versions_of_a_library_stand_side_by_side(main: Elm, others: list[Elm], moment: datetime) -> None:
    between, common = others
    newer = copy.deepcopy(common)
    newer["library"]["identifier"]["version"] = "2.0"
    newer["library"]["parameters"]["def"][0]["default"]["value"] = "50"
    between["library"]["includes"]["def"][0]["version"] = "2.0"

    library = cql.load(main, libraries=[between, common, newer])
    run = library.at(moment, [], {name: "/min" for name in library.parameters if name.endswith(".Unit")})

    assert run["Own and included"] == [7, 100, 50]


def test_libraries_that_include_each_other_are_refused(main: Elm, others: list[Elm]) -> None:
    others[1]["library"]["includes"]["def"].append({"localIdentifier": "B", "path": "Between"})

    # Common is met first, by the library itself; Between then leads back to it.
    assert "Between: include Common includes this library itself" in reasons(main, others)


def test_a_library_is_found_in_its_namespace(main: Elm, others: list[Elm]) -> None:
    others[0]["library"]["identifier"]["system"] = "https://example.org"
    main["library"]["includes"]["def"][2]["path"] = "https://example.org/Between"

    assert cql.load(main, libraries=others).name == "Main"


def test_other_helpers_than_the_native_ones_are_refused(main: Elm, others: list[Elm]) -> None:
    main["library"]["includes"]["def"][0]["version"] = "4.1.0"

    assert reasons(main, others) == {"library: include FHIRHelpers version 4.1.0 is not known"}
