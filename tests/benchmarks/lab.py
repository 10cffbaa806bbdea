"""What a laboratory sends: Bundles of ten Observations about one known patient.

The findings are those of the examples. A laboratory knows the hospital's numbers, not our ids: the
patient is named by the medical record number, each Observation by the number of its result.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Json = dict[str, Any]

EXAMPLES = Path(__file__).parents[1] / "examples"
VISITS = ("01-new-referral-visit.json", "02-follow-up-visit.json")
FINDINGS = 10

MRN = "https://fhir.klinikum.example.org/sid/mrn"
STAFF = "https://fhir.klinikum.example.org/sid/staff"
RESULT = "https://fhir.klinikum.example.org/sid/observation"
CATALOGUE = "https://fhir.klinikum.example.org/CodeSystem/examinations"
PHYSICIAN = "D-2207"

#: stands in the template where a number goes; both are as long as what replaces them
_PATIENT = "MRN-TEMPLATE"
_NUMBER = "RESULT-TEMPLATE"


def patient(number: int) -> Json:
    """Return a Bundle of a new patient and the physician who examines all of them."""
    physician = {
        "resourceType": "Practitioner",
        "identifier": [{"system": STAFF, "value": PHYSICIAN}],
        "name": [{"family": "Berg", "given": ["Tobias"], "prefix": ["Dr."]}],
    }
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            _unless_there(physician, STAFF, PHYSICIAN),
            _unless_there(_patient(number), MRN, mrn(number)),
        ],
    }


def mrn(number: int) -> str:
    """Return the medical record number of a patient."""
    return f"B{number:011}"


def bundles(first: int, count: int, *, patients: int, detailed: bool = False) -> Iterator[bytes]:
    """Yield Bundles that nobody has sent before, the patients taking turns.

    Args:
        first: the number of the first Bundle.
        count: how many.
        patients: how many patients the Bundles are about.
        detailed: whether each Observation has the laboratory's own code too, a component and a note.
    """
    template = json.dumps(_template(detailed), separators=(",", ":")).encode()
    for number in range(first, first + count):
        yield template.replace(_PATIENT.encode(), mrn(number % patients).encode()).replace(
            _NUMBER.encode(), f"L{number:014}".encode()
        )


def _template(detailed: bool) -> Json:
    found = [
        entry["resource"]
        for name in VISITS
        for entry in json.loads((EXAMPLES / name).read_text())["entry"]
        if entry["resource"]["resourceType"] == "Observation"
    ]
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            _result(_in_detail(finding) if detailed else finding, place)
            for place, finding in enumerate(found[:FINDINGS])
        ],
    }


def _in_detail(finding: Json) -> Json:
    code = finding["code"]
    own = {"system": CATALOGUE, "code": f"K-{code['coding'][0]['code']}", "display": "Hip examination, item"}
    pause = {"value": 120, "unit": "s", "system": "http://unitsofmeasure.org", "code": "s"}
    return finding | {
        "code": code | {"coding": [*code["coding"], own]},
        "component": [
            {
                "code": {"coding": [{"system": CATALOGUE, "code": "K-REST", "display": "Rest before"}]},
                "valueQuantity": pause,
            }
        ],
        "note": [{"text": "Examined lying on the other side, after two minutes of rest; repeated once."}],
    }


def _result(finding: Json, place: int) -> Json:
    number = f"{_NUMBER}-{place}"
    by_patient = finding["performer"] == [finding["subject"]]
    subject = {"reference": f"Patient?identifier={MRN}|{_PATIENT}"}
    physician = {"reference": f"Practitioner?identifier={STAFF}|{PHYSICIAN}"}
    resource = {name: value for name, value in finding.items() if name != "encounter"} | {
        "identifier": [{"system": RESULT, "value": number}],
        "subject": subject,
        "performer": [subject if by_patient else physician],
    }
    return {
        "fullUrl": f"https://fhir.klinikum.example.org/fhir/Observation/{number}",
        "resource": resource,
        "request": {"method": "PUT", "url": f"Observation?identifier={RESULT}|{number}"},
    }


def _patient(number: int) -> Json:
    return {
        "resourceType": "Patient",
        "identifier": [{"use": "usual", "system": MRN, "value": mrn(number)}],
        "active": True,
        "name": [{"use": "official", "family": "Lindholm", "given": ["Petra"]}],
        "gender": "female",
        "birthDate": "1966-04-18",
    }


def _unless_there(resource: Json, system: str, value: str) -> Json:
    return {
        "resource": resource,
        "request": {
            "method": "POST",
            "url": resource["resourceType"],
            "ifNoneExist": f"identifier={system}|{value}",
        },
    }
