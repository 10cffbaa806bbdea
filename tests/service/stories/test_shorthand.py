"""Checks against the shorthand of the patient stories: one short word per output."""

from typing import Any

import pytest

from service.stories import orders, shorthand

BASE = "https://w3id.org/hipway"

#: the table of the specification: kind of order, and its code on each side
ORDERS = {
    "PT": (f"{BASE}/CodeSystem/gluteus-medius-pathway", "abductor-physiotherapy", "abductor-physiotherapy"),
    "XR": ("http://loinc.org", "26132-1", "26131-3"),
    "MRI": ("http://loinc.org", "36490-1", "36488-5"),
    "US": ("http://loinc.org", "26252-7", "26251-9"),
    "SURG": (
        f"{BASE}/CodeSystem/gluteus-medius-pathway",
        "hip-abductor-surgical-referral",
        "hip-abductor-surgical-referral",
    ),
}


def test_the_definitions_know_every_order_on_both_sides_by_its_short_name() -> None:
    known = orders.names()

    for name, (system, right, left) in ORDERS.items():
        assert known[(system, right)] == name
        assert known[(system, left)] == name


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        pytest.param(
            {"resourceType": "ServiceRequest", "intent": "proposal", "priority": "routine"}
            | {"code": {"coding": [{"system": "http://loinc.org", "code": "36490-1"}]}},
            "R:SR:MRI(routine)",
            id="proposal",
        ),
        pytest.param(
            {
                "resourceType": "ServiceRequest",
                "intent": "proposal",
                "priority": "urgent",
                "code": {"coding": [{"system": ORDERS["SURG"][0], "code": ORDERS["SURG"][1]}]},
                "orderDetail": [
                    {"coding": [{"system": f"{BASE}/CodeSystem/pathway-reason", "code": "retracted"}]},
                    {"coding": [{"system": f"{BASE}/CodeSystem/pathway-reason", "code": "us-only"}]},
                ],
            },
            "R:SR:SURG(urgent;retracted+us-only)",
            id="flags",
        ),
        pytest.param(
            {"resourceType": "ServiceRequest", "intent": "order", "priority": "routine"},
            None,
            id="signed orders are no outputs",
        ),
        pytest.param(
            {
                "resourceType": "Task",
                "code": {"coding": [{"system": f"{BASE}/CodeSystem/pathway-task", "code": "divert"}]},
                "reasonCode": {
                    "coding": [
                        {"system": f"{BASE}/CodeSystem/pathway-reason", "code": "emergency"},
                        {"system": f"{BASE}/CodeSystem/gluteus-medius-pathway", "code": "red-flag-infection"},
                        {"system": "http://snomed.info/sct", "code": "1"},
                    ]
                },
            },
            "R:TK:divert(emergency,red-flag-infection)",
            id="qualifiers, without additional codings",
        ),
        pytest.param(
            {
                "resourceType": "Task",
                "code": {"coding": [{"system": f"{BASE}/CodeSystem/clinician-decision", "code": "sign"}]},
            },
            None,
            id="decisions are no outputs",
        ),
        pytest.param(
            {
                "resourceType": "CommunicationRequest",
                "category": [
                    {"coding": [{"system": f"{BASE}/CodeSystem/pathway-message", "code": "result"}]}
                ],
            },
            "R:CM:result",
            id="message",
        ),
        pytest.param(
            {
                "resourceType": "AuditEvent",
                "type": {"system": f"{BASE}/CodeSystem/pathway-event", "code": "clinician-decision"},
            },
            "R:AU:clinician-decision",
            id="event",
        ),
        pytest.param(
            {"resourceType": "AuditEvent", "type": {"system": "http://example.org", "code": "rest"}},
            None,
            id="events of the interface are no outputs",
        ),
    ],
)
def test_a_resource_has_the_short_word_of_the_table(resource: dict[str, Any], expected: str | None) -> None:
    assert shorthand.output(resource | _side("right"), orders.names()) == expected


def test_an_order_nobody_knows_is_shown_and_not_left_out() -> None:
    strange = {
        "resourceType": "ServiceRequest",
        "intent": "proposal",
        "priority": "routine",
        "code": {"coding": [{"system": "http://loinc.org", "code": "1-8"}]},
    }

    assert shorthand.output(strange, orders.names()) == "SR:unknown-1-8(routine)"


@pytest.mark.parametrize(
    ("code", "moved", "output"),
    [
        ("T06", "L:T06", None),
        ("T12", None, None),
        ("revoke-drafts", None, "L:PV:revoke-drafts"),
        ("sign", None, None),
    ],
)
def test_a_provenance_is_a_transition_or_a_correction_or_an_explanation(
    code: str, moved: str | None, output: str | None
) -> None:
    activity = {"coding": [{"system": f"{BASE}/CodeSystem/pathway-rule", "code": code}]}
    provenance = {"resourceType": "Provenance", "activity": activity} | _side("left")

    assert shorthand.transition(provenance) == moved
    assert shorthand.output(provenance, {}) == output


def test_holds_name_the_input_where_there_is_one() -> None:
    url = f"{BASE}/StructureDefinition/pathway-hold"
    plan = {
        "extension": [
            {"url": url, "extension": [{"url": "type", "valueCoding": {"code": "preliminary-red-flag"}}]},
            {
                "url": url,
                "extension": [
                    {"url": "type", "valueCoding": {"code": "contradictory"}},
                    {"url": "input", "valueCoding": {"code": "hip-lag-sign"}},
                    {"url": "since", "valueDateTime": "2026-01-05T09:15:00Z"},
                ],
            },
        ]
    }

    assert shorthand.holds(plan) == ("contradictory:hip-lag-sign", "preliminary-red-flag")


def _side(word: str) -> dict[str, Any]:
    url = f"{BASE}/StructureDefinition/pathway-side"
    return {"extension": [{"url": url, "valueCoding": {"code": f"hip-{word}"}}]}
