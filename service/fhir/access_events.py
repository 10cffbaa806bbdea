"""The record of accesses as FHIR: each is an AuditEvent of type `rest`, rendered when it is asked for.

    AuditEvent?type=rest&patient=a&agent=Practitioner/b&action=R&date=ge2026-06-01
    AuditEvent/access-17

A search that does not name the type finds what is stored: what the pathways applied, and what was sent.

http://hl7.org/fhir/R4/auditevent.html
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from service import accessed
from service.auth.calling import HOSPITAL
from service.fhir import paging, references
from service.fhir.ownership import ACCESSES
from service.fhir.refusals import Issue, NotExchanged
from service.fhir.searching import DEFAULT_COUNT, MOST_COUNT, TOTALS, number
from service.store import accesses, content, search_index
from service.store.accesses import Access, Filters

TYPE = "AuditEvent"
SYSTEM = "http://terminology.hl7.org/CodeSystem/audit-event-type"
REST = {"system": SYSTEM, "code": "rest", "display": "RESTful Operation"}
ENTITY_TYPES = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
ROLES = "http://terminology.hl7.org/CodeSystem/object-role"

DOCUMENTATION = (
    "With type=rest a search finds who saw or did what, of each request about patients, and who turned a "
    "Subscription off, which is about none: by patient, agent "
    "(Practitioner/id), action, date and _id, each given once, but date as often as needed; the newest first "
    "(_sort=-date), and no other order. Such AuditEvents are read only, by search "
    "and read, have no history and no labels, and are in no export; reading them is written down as well. "
    "Without type=rest a search finds what is stored."
)
PARAMETERS = ("_id", "action", "agent", "date", "patient", "type")
#: no resource that is sent may have such an id
ID = re.compile(rf"{ACCESSES}([1-9]\d{{0,17}})")

#: the one order there is
NEWEST_FIRST = "-date"

#: what shapes the answer and selects nothing
_SHAPING = ("_count", "_page", "_sort", "_total")
#: of how the answer is written: no matter of this module
_PASSED = ("_format", "_pretty")
_COMPARED = re.compile(r"(?P<prefix>eq|gt|lt|ge|le)?(?P<date>\d.*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What was asked for."""

    filters: Filters
    #: as it was given and used, for the self link
    used: tuple[tuple[str, str], ...]
    count: int = DEFAULT_COUNT
    #: a key; only older ones are returned. 0: from the newest
    before: int = 0
    #: one of `searching.TOTALS`
    total: str = "estimate"


def asked_for(type_: str, asked: Sequence[tuple[str, str]]) -> bool:
    """Return whether a search is for accesses."""
    return type_ == TYPE and any(name == "type" and _is_rest(value) for name, value in asked)


def read(asked: Sequence[tuple[str, str]], *, base: str, lenient: bool) -> Wanted:
    """Return what the parameters ask for.

    Raises:
        NotExchanged: a parameter is not known, is given twice, or its value cannot be read.
    """
    wanted = Wanted(filters=Filters(), used=())
    given: set[str] = set()
    for name, value in asked:
        if name in _PASSED:
            continue
        known = name in PARAMETERS or name in _SHAPING
        if known and name in given and name != "date":
            raise _wrong(f"{name} is given once")
        given.add(name)
        if name in PARAMETERS:
            filters = _narrowed(wanted.filters, name, value, base)
            wanted = replace(wanted, filters=filters, used=(*wanted.used, (name, value)))
        elif name == "_sort" and value != NEWEST_FIRST:
            _passed_over(f"_sort is {NEWEST_FIRST}, and no other", lenient=lenient)
        elif known:
            wanted = _shaped(wanted, name, value)
        else:
            names = ", ".join((*_SHAPING, *PARAMETERS))
            _passed_over(f"{TYPE} of type rest is searched by {names}", lenient=lenient)
    return wanted


def bundle(tx: Connection, wanted: Wanted, *, base: str, tenant: int) -> dict[str, Any]:
    """Return the Bundle with the page that is asked for."""
    found = accesses.find(tx, wanted.filters, before=wanted.before, limit=wanted.count + 1, tenant=tenant)
    shown = found[: wanted.count]
    accessed.note(patient for _, access in shown for patient in access.patients)
    links = [{"relation": "self", "url": _url(wanted, wanted.before, base)}]
    if len(found) > wanted.count and shown:
        links.append({"relation": "next", "url": _url(wanted, shown[-1][0], base)})
    answer: dict[str, Any] = {
        "resourceType": "Bundle",
        "type": "searchset",
        **_total(tx, wanted, tenant),
        "link": links,
    }
    entries = [
        {
            "fullUrl": f"{base}{TYPE}/{ACCESSES}{key}",
            "resource": event(key, access),
            "search": {"mode": "match"},
        }
        for key, access in shown
    ]
    return {**answer, "entry": entries} if entries else answer


def one(tx: Connection, id_: str, *, tenant: int) -> dict[str, Any] | None:
    """Return the AuditEvent with this id; None: there is none."""
    match = ID.fullmatch(id_)
    if match is None:
        return None
    found = accesses.find(tx, Filters(key=int(match[1])), before=0, limit=1, tenant=tenant)
    if not found:
        return None
    ((key, access),) = found
    accessed.note(access.patients, f"{TYPE}/{id_}")
    return event(key, access)


def event(key: int, access: Access) -> dict[str, Any]:
    """Return an access as an AuditEvent."""
    return {
        "resourceType": TYPE,
        "id": f"{ACCESSES}{key}",
        "type": REST,
        "action": access.action,
        "recorded": content.instant(access.at),
        "outcome": _outcome(access.status),
        "outcomeDesc": _outcome_in_words(access.status),
        "agent": [{"who": _who(access.who), "requestor": True}],
        "source": {"observer": {"display": "hipway"}},
        "entity": [
            *(_entity(f"Patient/{patient}", "1", "1") for patient in access.patients),
            *([_entity(access.reference, "2", "4")] if access.reference else []),
            # The template of the address: it names no patient.
            {"type": {"system": ENTITY_TYPES, "code": "2"}, "name": access.place},
        ],
    }


def _outcome(status: int) -> str:
    """Return a code of http://hl7.org/fhir/audit-event-outcome."""
    return "0" if status < 400 else "4" if status < 500 else "8"


def _outcome_in_words(status: int) -> str:
    if status == accesses.UNANSWERED:
        return "sent; written down before there was an answer"
    return f"HTTP {status}"


def _who(who: str) -> dict[str, str]:
    if "/" in who:
        return {"reference": who}
    return {"display": "a hospital system" if who == HOSPITAL else who or "nobody was chosen"}


def _entity(reference: str, type_: str, role: str) -> dict[str, Any]:
    return {
        "what": {"reference": reference},
        "type": {"system": ENTITY_TYPES, "code": type_},
        "role": {"system": ROLES, "code": role},
    }


def _total(tx: Connection, wanted: Wanted, tenant: int) -> dict[str, int]:
    """Return how many there are, or nothing, as other searches have it."""
    if wanted.total == "none":
        return {}
    found = accesses.count(tx, wanted.filters, exact=wanted.total == "accurate", tenant=tenant)
    return {} if found is None else {"total": found}


def _shaped(wanted: Wanted, name: str, value: str) -> Wanted:
    """Return what is wanted with one of `_SHAPING`."""
    match name:
        case "_count":
            return replace(wanted, count=min(number(name, value), MOST_COUNT))
        case "_page":
            return replace(wanted, before=number(name, value))
        case "_total":
            if value not in TOTALS:
                raise _wrong(f"_total is one of {', '.join(TOTALS)}")
            wanted = replace(wanted, total=value)
    return replace(wanted, used=(*wanted.used, (name, value)))


def _passed_over(text: str, *, lenient: bool) -> None:
    """Refuse what is not understood, unless the client asked to pass over it."""
    if not lenient:
        raise NotExchanged(Issue(code="not-supported", text=text))


def _narrowed(filters: Filters, name: str, value: str, base: str) -> Filters:
    """Return the filters with one more; several dates are a time within all of them."""
    match name:
        case "type":
            if not _is_rest(value):
                raise _wrong("type is rest here, and no other besides")
            return filters
        case "patient":
            return replace(filters, patient=_of("Patient", value, base))
        case "agent":
            return replace(filters, who=f"Practitioner/{_of('Practitioner', value, base)}")
        case "action":
            code = value.rpartition("|")[2]
            if code not in ("C", "R", "U", "D", "E"):
                raise _wrong("action is one of C, R, U, D, E")
            return replace(filters, action=code)
        case "_id":
            match = ID.fullmatch(value)
            return replace(filters, key=int(match[1]) if match else -1)
        case _:
            return _dated(filters, value)


def _dated(filters: Filters, value: str) -> Filters:
    # A plus before the zone arrives as a space when it was not escaped.
    match = _COMPARED.fullmatch(value.replace(" ", "+"))
    interval = search_index.instants(match["date"]) if match else None
    if match is None or interval is None:
        raise _wrong("date is a date or instant with one of eq, gt, lt, ge, le before it")
    low, high = interval
    since: datetime | None = {"lt": None, "le": None, "gt": high}.get(match["prefix"], low)
    until: datetime | None = {"gt": None, "ge": None, "lt": low}.get(match["prefix"], high)
    return replace(
        filters,
        since=max(filter(None, (filters.since, since)), default=None),
        until=min(filter(None, (filters.until, until)), default=None),
    )


def _of(type_: str, value: str, base: str) -> str:
    named, slash, id_ = value.removeprefix(base).rpartition("/")
    if (slash and named != type_) or not re.fullmatch(references.ID, id_):
        raise _wrong(f"{type_}/id, or the id alone, is asked for")
    return id_


def _is_rest(value: str) -> bool:
    return value in ("rest", f"{SYSTEM}|rest")


def _wrong(text: str) -> NotExchanged:
    return NotExchanged(Issue(code="value", text=text))


def _url(wanted: Wanted, before: int, base: str) -> str:
    page = [("_page", str(before))] if before else []
    asked = [*wanted.used, ("_count", str(wanted.count)), *page]
    return paging.url(f"{base}{TYPE}", asked)
