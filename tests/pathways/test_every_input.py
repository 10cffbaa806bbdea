"""Every input of the pathway, with every status, unit, side and time it may come with (SP-17, 19, 20 and 23).

What is expected is written here from clinical-rules, section 3, and not read from the pathway's table; the
table only tells which codes and answers an input has, so that none is left out.
"""

import itertools
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pathways.inputs import Gate, Inputs
from pathways.record import Entry, Record

Json = dict[str, Any]

FOLDER = Path(__file__).parents[2] / "pathways" / "gluteus_medius_tear"
TABLE = json.loads((FOLDER / "inputs.json").read_text(), parse_float=Decimal)
GATE = Gate(TABLE)
INPUTS = {d["id"]: d for d in TABLE["inputs"] if d["resource"] in ("Observation", "Procedure")}
OBSERVED = [name for name, d in INPUTS.items() if d["resource"] == "Observation"]
LOCAL = "https://w3id.org/hipway/CodeSystem/gluteus-medius-pathway"
SNOMED = "http://snomed.info/sct"
UCUM = "http://unitsofmeasure.org"
RECEIVED = datetime(2026, 1, 5, 9, tzinfo=UTC)

#: http://hl7.org/fhir/R4/valueset-observation-status.html
OBSERVATION = (
    *("registered", "preliminary", "final", "amended", "corrected"),
    *("cancelled", "entered-in-error", "unknown"),
)
#: http://hl7.org/fhir/R4/valueset-event-status.html
EVENT = (
    *("preparation", "in-progress", "not-done", "on-hold", "stopped", "completed"),
    *("entered-in-error", "unknown"),
)
#: http://hl7.org/fhir/R4/valueset-diagnostic-report-status.html
REPORT = (
    *("registered", "partial", "preliminary", "final", "amended", "corrected", "appended"),
    *("cancelled", "entered-in-error", "unknown"),
)
ACCEPTED = {"Observation": {"final", "amended", "corrected"}, "Procedure": {"completed"}}

#: input: unit -> by what its amount is multiplied; None: no unit is stated
SCORE = {"{score}": Decimal(1), "1": Decimal(1), None: Decimal(1)}
FORCES = {unit: Decimal(1) for unit in ("N", "kgf", "[lbf_av]", "N.m", "N.m/kg")}
SESSIONS = {unit: Decimal(1) for unit in ("{sessions}", "{visits}", "1", None)}
UNITS: dict[str, dict[str | None, Decimal]] = {
    "pain.nrs": {**SCORE, "mm": Decimal("0.1")},
    "brokenWing.deg": {"deg": Decimal(1)},
    "sls30.onsetSec": {"s": Decimal(1)},
    "abd.mrc": SCORE,
    "pt.sessions": SESSIONS,
    **dict.fromkeys(("groc", "visaG", "mhhs", "hosAdl", "ihot12"), SCORE),
}
#: LOINC 38214-3, the visual analogue scale, is read in millimetres alone (3.4)
VISUAL_ANALOGUE = "38214-3"
#: all that an input is measured in, and what a hospital may take for it
KNOWN = (
    *("{score}", "1", None, "mm", "cm", "m", "deg", "rad", "s", "min", "N", "kgf", "[lbf_av]", "N.m"),
    *("N.m/kg", "kg", "[lb_av]", "{sessions}", "{visits}", "%", "score", "/10", "d", "{Score}"),
)
RANGES = {
    "pain.nrs": (0, 10),
    "brokenWing.deg": (0, 90),
    "sls30.onsetSec": (0, 30),
    "abd.mrc": (0, 5),
    "groc": (-5, 5),
    "pt.sessions": (0, 200),
    **dict.fromkeys(("visaG", "mhhs", "hosAdl", "ihot12"), (0, 100)),
}

#: "Bilateral" is no side of these (3.3, and the column of the table)
ONE_SIDE = {
    *("groc", "visaG", "mhhs", "hosAdl", "ihot12", "abd.dyn", "mri", "us", "procedure"),
    *("brokenWing.deg", "sls30.onsetSec"),
}
#: of the person, whatever side is stated
OF_PERSON = {"mriSafety", "pregnancy", "inflammatory"}
RED_FLAGS = {name for name in INPUTS if name.startswith("rf.")}


def valued(definition: Json) -> Json:
    """Return the elements of a value that the input takes."""
    table = definition["value"]
    if table["types"] == ["components"]:
        parts = [part for part in table["components"] if part.get("required")]
        return {"component": [{"code": {"coding": [p["code"]]}, **_single({**table, **p})} for p in parts]}
    return _single(table)


def _single(table: Json) -> Json:
    limits = table.get("range")
    low = next(iter(limits.values()))[0] if isinstance(limits, dict) else (limits or (0,))[0]
    match table["types"][0]:
        case "boolean":
            return {"valueBoolean": True}
        case "integer":
            return {"valueInteger": low + 1}
        case "Quantity":
            unit = next(unit for unit in table["units"] if unit != "(absent)")
            return {"valueQuantity": {"value": Decimal(low + 1), "system": UCUM, "code": unit}}
        case "CodeableConcept":
            return {"valueCodeableConcept": {"coding": [table["answers"][0]["codes"][0]]}}
        case "performed":
            return {}
    raise AssertionError(f"a type of value that no test knows: {table['types']}")


def resource(name: str, *, side: Json | None = None, code: Json | None = None, **elements: Any) -> Json:
    """Return a final resource of an input, of the right hip where the input has a side."""
    definition = INPUTS[name]
    timed = "performedDateTime" if definition["resource"] == "Procedure" else "effectiveDateTime"
    site = side if side is not None else coded(LOCAL, "hip-right")
    body = {
        "resourceType": definition["resource"],
        "id": "one",
        "status": "completed" if definition["resource"] == "Procedure" else "final",
        "code": {"coding": [code or definition["codes"][0]]},
        timed: "2026-01-05T08:40:00Z",
        **valued(definition),
        **({"bodySite": [site] if definition["resource"] == "Procedure" else site} if site else {}),
    }
    return {key: value for key, value in (body | elements).items() if value is not ...}


def coded(system: str, code: str, **elements: Any) -> Json:
    return {"coding": [{"system": system, "code": code}], **elements}


def read(*bodies: Json) -> Inputs:
    entries = [
        Entry(type=b["resourceType"], id=b["id"], version=1, seq=seq, received=RECEIVED, body=b)
        for seq, b in enumerate(({"resourceType": "Patient", "id": "p"}, *bodies))
    ]
    record = Record(patient=entries[0], received=tuple(entries), own={}, people={})
    return GATE.read(record, UTC)


def outcome(*bodies: Json) -> str:
    """Return "counts", the issue it is set aside with, or "says nothing"."""
    inputs = read(*bodies)
    assert len(inputs.facts) + len(inputs.set_aside) <= 1
    if inputs.facts:
        return "counts"
    return inputs.set_aside[0].issue if inputs.set_aside else "says nothing"


def test_every_input_counts_as_it_should_come():
    assert {name: outcome(resource(name)) for name in INPUTS} == dict.fromkeys(INPUTS, "counts")


@pytest.mark.parametrize("name", INPUTS)
def test_only_what_is_final_counts(name):
    type_ = INPUTS[name]["resource"]
    statuses = EVENT if type_ == "Procedure" else OBSERVATION
    found = {status: outcome(resource(name, status=status)) for status in statuses}

    assert found == {s: "counts" if s in ACCEPTED[type_] else "says nothing" for s in statuses}


@pytest.mark.parametrize("name", OBSERVED)
def test_a_finding_and_its_report_count_by_the_weaker_status(name):
    found = {
        (own, of_report): outcome(resource(name, status=own), report_of(of_report))
        for own, of_report in itertools.product(OBSERVATION, REPORT)
    }

    final = {"final", "amended", "corrected"}
    assert found == {
        (own, of_report): "counts" if own in final and of_report in {*final, "appended"} else "says nothing"
        for own, of_report in found
    }


def report_of(status: str) -> Json:
    return {
        "resourceType": "DiagnosticReport",
        "id": "report",
        "status": status,
        "code": coded("https://hospital.example.org/codes", "EXAM"),
        "result": [{"reference": "Observation/one"}],
    }


@pytest.mark.parametrize("name", UNITS)
@pytest.mark.parametrize("system", [UCUM, None, "https://hospital.example.org/units"])
def test_an_amount_counts_in_a_known_unit_alone_and_is_converted(name, system):
    low, _ = RANGES[name]
    for code, unit in itertools.product(INPUTS[name]["codes"], KNOWN):
        quantity = {"value": Decimal(low + 1), "system": system, "code": unit}
        given = {key: value for key, value in quantity.items() if value is not None}
        inputs = read(resource(name, code=code, **only({"valueQuantity": given})))

        factor = UNITS[name].get(unit)
        if code["code"] == VISUAL_ANALOGUE and unit != "mm":
            factor = None
        if factor is None or system not in (UCUM, None):
            assert [problem.issue for problem in inputs.set_aside] == ["unit-mismatch"], (code, unit)
            assert not inputs.facts
        else:
            (fact,) = inputs.facts
            assert fact.canonical["valueQuantity"]["value"] == (low + 1) * factor, (code, unit)


def only(value: Json) -> Json:
    """Return the value with every other kind of value taken away, for `resource`."""
    return {"valueInteger": ..., "valueQuantity": ..., **value}


@pytest.mark.parametrize("name", RANGES)
def test_a_value_counts_up_to_its_limits_and_not_beyond_them(name):
    low, high = RANGES[name]
    unit = next(unit for unit in UNITS[name] if unit is not None)

    def at(value: Decimal) -> str:
        quantity = {"value": value, "system": UCUM, "code": unit}
        return outcome(resource(name, **only({"valueQuantity": quantity})))

    bit = Decimal("0.01")
    assert (at(Decimal(low)), at(Decimal(high))) == ("counts", "counts")
    assert (at(Decimal(low) - bit), at(Decimal(high) + bit)) == ("out-of-range", "out-of-range")


@pytest.mark.parametrize("name", INPUTS)
def test_the_side_is_what_is_stated_and_never_guessed(name):
    right = {"right"}
    person: set[str] = set()
    both = {"left", "right"}
    stated: dict[str, tuple[Json, set[str] | str]] = {
        "right": (coded(LOCAL, "hip-right"), right),
        "left": (coded(LOCAL, "hip-left"), {"left"}),
        "both": (coded(LOCAL, "hip-both"), "missing-laterality" if name in ONE_SIDE else both),
        "none": ({}, person if name in RED_FLAGS else "missing-laterality"),
        "a hip without a side": (
            coded(SNOMED, "29836001"),
            person if name in RED_FLAGS else "missing-laterality",
        ),
        "contradictory": (coded(LOCAL, "hip-right", extension=[laterality("7771000")]), "side-mismatch"),
        "said twice": (coded(LOCAL, "hip-right", extension=[laterality("24028007")]), right),
    }
    for kind, (site, expected) in stated.items():
        inputs = read(resource(name, side=site))
        wanted = person if name in OF_PERSON else expected
        if isinstance(wanted, str):
            assert [problem.issue for problem in inputs.set_aside] == [wanted], kind
            assert not inputs.facts, kind
        else:
            assert [fact.sides for fact in inputs.facts] == [wanted], kind


def laterality(code: str) -> Json:
    """Return the extension that says left (7771000) or right (24028007)."""
    url = "http://hl7.org/fhir/us/mcode/StructureDefinition/mcode-laterality-qualifier"
    return {"url": url, "valueCodeableConcept": coded(SNOMED, code)}


SKEWS = [
    *(timedelta(minutes=m) for m in (-1440, -5, 0, 1, 5)),
    *(timedelta(minutes=5, seconds=1), timedelta(minutes=6), timedelta(hours=1), timedelta(days=1)),
    timedelta(days=365),
    timedelta(days=365 * 100),
]


@pytest.mark.parametrize("name", INPUTS)
def test_nothing_counts_before_its_time(name):
    timed = "performedDateTime" if INPUTS[name]["resource"] == "Procedure" else "effectiveDateTime"
    found = {skew: outcome(resource(name, **{timed: (RECEIVED + skew).isoformat()})) for skew in SKEWS}

    assert found == {s: "counts" if s <= timedelta(minutes=5) else "future-dated" for s in SKEWS}
