"""Who does whose work while somebody is away: a PractitionerRole for a time, which says whom it covers.

It moves work into sight and gives no right: who may not sign does not sign for a colleague either.

http://hl7.org/fhir/R4/practitionerrole.html
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from fhir_profiles import canonical
from service.store import content, search_index
from service.web import elements
from service.web.elements import Json, reference

COVERS = canonical.structure("covers")

MOMENT = timedelta(milliseconds=1)

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
    """Return what a role covers; None for what is no cover of ours, and for one that was ended."""
    covered = _covered(role)
    days = period(role)
    if covered is None or not role.get("active", True) or days[0] is None or days[1] is None:
        return None
    absent, by = covered, role.get("practitioner", {})
    people = (reference(absent), reference(by))
    if role.get("code") or not all(person.startswith("Practitioner/") for person in people):
        return None
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
    """Return the first and the last day of a role, as far as they are stated: of a month, its own."""
    stated = role.get("period", {})
    start, end = (search_index.instants(str(stated.get(name) or "")) for name in ("start", "end"))
    # The end is the first instant that is meant no more.
    return start[0].date() if start else None, (end[1] - MOMENT).date() if end else None


def holds(role: Json, today: date) -> bool:
    """Return whether a role of somebody's own is held today; one that covers is not, whatever its codes.

    An end that is stated and cannot be read is over: nobody signs by what nobody understands.
    """
    if _covered(role) is not None or not role.get("active", True):
        return False
    start, end = period(role)
    if end is None and role.get("period", {}).get("end"):
        return False
    return (start is None or start <= today) and (end is None or today <= end)


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


def _covered(role: Json) -> Json | None:
    """Return the Reference to whom a role covers."""
    covers = (e for e in role.get("extension", ()) if e.get("url") == COVERS)
    return next((extension.get("valueReference", {}) for extension in covers), None)
