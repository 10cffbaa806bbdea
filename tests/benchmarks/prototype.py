"""The draft of the rules that the engine's first figures are of: 19 guards, 90 definitions.

`prototype.cql` is an early draft of the pathway's rules, kept to compare speeds. It reads other codes than
the rules of today, so its records are made here.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from pathways import cql
from pathways.cql.translate import translated

SOURCE = Path(__file__).with_name("prototype.cql")
CODES = "https://w3id.org/hipway/CodeSystem/gluteus-medius-pathway"
RIGHT = {"system": "http://snomed.info/sct", "code": "24028007"}

NOW = datetime(2026, 5, 26, 9, 15, tzinfo=UTC)
IN_THERAPY = timedelta(weeks=20)
#: from visit to visit: hundreds of observations are within the windows that the rules look back over
APART = timedelta(days=3)

#: what is found at each visit: weakness and pain that do not pass
FOUND: tuple[tuple[str, Mapping[str, Any]], ...] = (
    ("pain.nrs", {"valueQuantity": {"value": Decimal(6), "unit": "{score}", "code": "{score}"}}),
    ("abd.mrc", {"valueInteger": 3}),
    ("resAbd.pain", {"valueBoolean": True}),
    ("sls30.pain", {"valueBoolean": True}),
    ("trend.gait", {"valueBoolean": True}),
    ("gt.tender", {"valueBoolean": True}),
    ("groc", {"valueInteger": 0}),
    ("pt.sessions", {"valueInteger": 8}),
)


def elm() -> dict[str, Any]:
    """Return the draft, translated."""
    text = json.dumps(translated(SOURCE))
    draft: dict[str, Any] = json.loads(text, parse_float=Decimal)
    return draft


def run(library: cql.Library, size: int) -> cql.Run:
    """Return the run of one hip in therapy with so many observations."""
    patient = {"resourceType": "Patient", "id": "p", "gender": "female", "birthDate": "1968-03-02"}
    records = cql.Records([patient, *(_observation(number) for number in range(size))])
    start = cql.DateTime.of(NOW - IN_THERAPY)
    return library.at(
        NOW, records, {"Side": "right", "Stage": "conservative-therapy", "Therapy Start": start}
    )


def _observation(number: int) -> dict[str, Any]:
    visit, which = divmod(number, len(FOUND))
    name, value = FOUND[which]
    at = (NOW - visit * APART - timedelta(hours=1)).isoformat()
    return {
        "resourceType": "Observation",
        "id": f"o{number}",
        "meta": {"versionId": "1", "lastUpdated": at},
        "status": "final",
        "code": {"coding": [{"system": CODES, "code": name}]},
        "bodySite": {"coding": [RIGHT]},
        "effectiveDateTime": at,
        **value,
    }
