"""Asks the CQL rules and their second reading (`rule_model`) about one hip, and says where they differ."""

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from rule_model import LOINC, OPERATIONS, OURS, STEROID, Finding, Hip, Json

from pathways import cql
from pathways.definition import Pathway

#: what lists hold in any order
UNORDERED = {"Contradictory findings"}


def differences(pathway: Pathway, hip: Hip, expected: Json, site: Json) -> Iterator[str]:
    """Yield each definition that answers otherwise than expected.

    Args:
        expected: the answers of the second reading.
        site: the site's values, before what is chosen for the hip.
    """
    run = ask(pathway, hip, site)
    for name, wanted in expected.items():
        try:
            found = _plain(run[name])
        except cql.EvaluationFailed as failed:
            yield f"{name}: {failed.reason}"
            continue
        if isinstance(wanted, bool):
            found = found is True
        elif name in UNORDERED:
            found = set(found or ())
        elif isinstance(wanted, list):
            found = found or []
        if found != wanted:
            yield f"{name}: {found!r} instead of {wanted!r}"


def ask(pathway: Pathway, hip: Hip, site: Json) -> cql.Run:
    """Return the rules over the hip."""
    known = pathway.library.parameters
    given = {
        **site,
        **hip.chosen,
        **hip.state,
        **hip.item,
        "Evaluation Instant": hip.now.isoformat(timespec="milliseconds"),
    }
    present = {name: _given(value) for name, value in given.items() if value is not None and name in known}
    patient = {"resourceType": "Patient", "id": "p", "birthDate": hip.birth.isoformat(), "gender": hip.gender}
    records = [
        patient,
        *(_resource(finding) for finding in hip.findings),
        *(_report(finding) for finding in hip.reports),
    ]
    return pathway.library.at(hip.now, cql.Records(records), present)


def _given(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds")
    return value.isoformat() if isinstance(value, date) else value


def _plain(value: Any) -> Any:
    """Return a value of CQL as the second reading has it."""
    if isinstance(value, cql.DateTime):
        return value.python()
    if isinstance(value, cql.Date):
        return date(*value.fields)
    return [_plain(each) for each in value] if isinstance(value, list) else value


def _resource(finding: Finding) -> Json:
    procedure = finding.code in (*OPERATIONS, STEROID)
    site: Any = {"bodySite": {"coding": [{"code": "right"}]}} if finding.sided else {}
    return {
        "resourceType": "Procedure" if procedure else "Observation",
        "id": finding.id,
        "meta": {"versionId": "1"},
        "status": "completed" if procedure else "final",
        "code": _concept(finding.code),
        "performedDateTime" if procedure else "effectiveDateTime": finding.at.isoformat(
            timespec="milliseconds"
        ),
        **({} if procedure else site),
        **_value(finding.value),
    }


def _report(finding: Finding) -> Json:
    at = finding.at.isoformat(timespec="milliseconds")
    return {
        "resourceType": "DiagnosticReport",
        "id": finding.id,
        "meta": {"versionId": "1"},
        "status": "registered",
        "code": _concept(finding.code),
        "effectiveDateTime": at,
    }


def _concept(code: str) -> Json:
    system = LOINC if code[0].isdigit() else OURS
    return {"coding": [{"system": system, "code": code}]}


def _value(value: Any) -> Json:
    match value:
        case None:
            return {}
        case bool():
            return {"valueBoolean": value}
        case Decimal():
            return {"valueQuantity": {"value": value}}
        case str():
            return {"valueCodeableConcept": {"coding": [{"system": OURS, "code": value}]}}
        case {"answer": answer, **parts}:
            dated = parts.get("date")
            component = {"code": _concept("onset-date"), "valueDateTime": dated and dated.isoformat()}
            return {**_value(answer), **({"component": [component]} if dated else {})}
    return {"component": [{"code": _concept(code), **_value(part)} for code, part in value.items()]}
