"""Who does whose work while somebody is away: a PractitionerRole for a time, which says whom it covers.

It moves work into sight and gives no right: who may not sign does not sign for a colleague either.

http://hl7.org/fhir/R4/practitionerrole.html
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from fhir_profiles import canonical
from service.store import content
from service.web import elements
from service.web.elements import Json, reference

COVERS = canonical.structure("covers")

_PROVENANCE = uuid5(NAMESPACE_URL, canonical.identifiers("cover"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Cover:
    """Somebody covers somebody. Both are references with a name."""

    id: str
    by: str
    by_name: str
    absent: str
    absent_name: str
    #: the first and the last day
    start: date
    end: date
    #: of the role that is stored; empty before it is
    version: str = ""


def read(role: Json) -> Cover | None:
    """Return what a role covers; None for a role of somebody's own, and for a cover that was ended."""
    covered = next((e for e in role.get("extension", ()) if e.get("url") == COVERS), None)
    days = period(role)
    if covered is None or not role.get("active", True) or days[0] is None or days[1] is None:
        return None
    absent, by = covered.get("valueReference", {}), role.get("practitioner", {})
    return Cover(
        id=str(role["id"]),
        by=reference(by),
        by_name=str(by.get("display") or reference(by)),
        absent=reference(absent),
        absent_name=str(absent.get("display") or reference(absent)),
        start=days[0],
        end=days[1],
        version=elements.version(role),
    )


def period(role: Json) -> tuple[date | None, date | None]:
    """Return the first and the last day of a role; None: it is open to that side, or cannot be read."""
    stated = role.get("period", {})
    return _day(stated.get("start")), _day(stated.get("end"))


def holds(role: Json, today: date) -> bool:
    """Return whether a role is held today."""
    start, end = period(role)
    inside = (start is None or start <= today) and (end is None or today <= end)
    return bool(role.get("active", True)) and inside


def begun(cover: Cover, by: Json, now: datetime) -> dict[str, Any]:
    """Return the transaction that stores a cover, with who arranged it.

    Args:
        by: the Reference to who arranged it.
    """
    role = {
        "resourceType": "PractitionerRole",
        "id": cover.id,
        "extension": [
            {"url": COVERS, "valueReference": {"reference": cover.absent, "display": cover.absent_name}}
        ],
        "active": True,
        "period": {"start": cover.start.isoformat(), "end": cover.end.isoformat()},
        "practitioner": {"reference": cover.by, "display": cover.by_name},
    }
    return _bundle(role, by, now, {})


def ended(role: Json, by: Json, now: datetime, version: str) -> dict[str, Any]:
    """Return the transaction that ends a cover at once, if it is still as it was read."""
    kept = {name: value for name, value in role.items() if name != "meta"}
    return _bundle({**kept, "active": False}, by, now, {"ifMatch": f'W/"{version}"'})


def _bundle(role: Json, by: Json, now: datetime, condition: Json) -> dict[str, Any]:
    what = elements.identity(role)
    said = {
        "resourceType": "Provenance",
        "id": str(uuid5(_PROVENANCE, f"{what} {'begun' if role['active'] else 'ended'}")),
        "target": [{"reference": what}],
        "recorded": content.instant(now),
        "agent": [{"who": by}],
    }
    entries = [{"resource": role, "request": {"method": "PUT", "url": what, **condition}}]
    entries.append({"resource": said, "request": {"method": "PUT", "url": f"Provenance/{said['id']}"}})
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def _day(text: Any) -> date | None:
    try:
        return date.fromisoformat(str(text or "")[:10])
    except ValueError:
        return None
