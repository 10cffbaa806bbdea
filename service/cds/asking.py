"""A call of a service: read, checked, and turned into resources that rules may read.

What comes along passes the same gate as what is stored, must be about one patient, and be complete: a service
that lacks data answers 412, one that is sent nonsense 400. No answer repeats a value.

https://cds-hooks.hl7.org/2.0/#calling-a-cds-service
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from fhir_profiles import gate
from pathways.record import Entry
from service.cds import services
from service.cds.services import Service
from service.fhir import references
from service.fhir.refusals import Issue, NotExchanged
from service.store.search_index import PATIENT_ELEMENTS

Json = Mapping[str, Any]

MOST_ORDERS = 50


class Lacking(Exception):
    """Data that a service needs did not come along; the message names the prefetch key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What a client asks."""

    service: Service
    patient: str
    #: of the prefetch, with relative references
    resources: tuple[Json, ...]
    #: of order-sign: what is about to be signed
    orders: tuple[Entry, ...]


def read(service: Service, body: Json) -> Call:
    """Return the call that a body makes of the service.

    Raises:
        NotExchanged: it is no call of this service, or a resource in it is not valid R4.
        Lacking: something that is needed did not come along.
    """
    if body.get("hook") != service.hook:
        raise _malformed("hook", f"this service is called on {service.hook}")
    if not _is_uuid(body.get("hookInstance")):
        raise _malformed("hookInstance", "hookInstance is a UUID")
    context = _object(body, "context", "context is an object")
    patient = context.get("patientId")
    if not isinstance(patient, str) or not re.fullmatch(references.ID, patient):
        raise _malformed("context.patientId", "patientId is the id of a Patient")
    if not isinstance(context.get("userId"), str) or not context["userId"]:
        raise _malformed("context.userId", "userId is a reference to the user")
    base = _base(body)
    prefetch = body.get("prefetch") or {}
    if not isinstance(prefetch, dict):
        raise _malformed("prefetch", "prefetch is an object")
    resources = tuple(_prefetched(prefetch, patient, base))
    if not any(r["resourceType"] == "Patient" for r in resources):
        raise Lacking("the prefetch patient is needed, and it is a Patient")
    orders = tuple(_orders(context, patient, base)) if service is services.SIGN else ()
    return Call(service=service, patient=patient, resources=resources, orders=orders)


def _base(body: Json) -> str:
    base = body.get("fhirServer", "")
    if not isinstance(base, str) or (base and not base.startswith(("http://", "https://"))):
        raise _malformed("fhirServer", "fhirServer is the base URL of a FHIR server")
    return f"{base.rstrip('/')}/" if base else ""


def _prefetched(prefetch: Json, patient: str, base: str) -> Iterator[Json]:
    """Yield each resource once, the newest look at it last in the order of the keys."""
    found: dict[tuple[str, str], Json] = {}
    for key in services.KEYS:
        value = prefetch.get(key)
        if key not in prefetch or _failed(value):
            if key in services.REQUIRED:
                raise Lacking(f"the prefetch {key} is needed; send null where there is nothing")
            continue
        for where, resource in _resources(key, value):
            _check_subject(where, resource, patient, base)
            found[resource["resourceType"], resource["id"]] = _relative(resource, base)
    yield from found.values()


def _failed(value: object) -> bool:
    """Return whether the client says that it could not read the data."""
    return isinstance(value, dict) and value.get("resourceType") == "OperationOutcome"


def _resources(key: str, value: object) -> Iterator[tuple[str, Json]]:
    at = f"prefetch.{key}"
    if value is None:
        return
    if not isinstance(value, dict):
        raise _malformed(at, f"{at} is a resource, a Bundle or null")
    _check_gate(at, value)
    if value["resourceType"] != "Bundle":
        yield at, _identified(at, value)
        return
    if any(link["relation"] == "next" for link in value.get("link", ())):
        raise Lacking(f"the prefetch {key} is one page of several; send all of it")
    for number, entry in enumerate(value.get("entry", ())):
        resource = entry.get("resource")
        where = f"{at}.entry[{number}].resource"
        if entry.get("search", {}).get("mode") == "outcome" or resource is None:
            continue
        if _failed(resource):
            raise Lacking(f"the prefetch {key} could not be read completely")
        yield where, _identified(where, resource)


def _orders(context: Json, patient: str, base: str) -> Iterator[Entry]:
    at = "context.draftOrders"
    bundle = _object(context, "draftOrders", f"{at} is a Bundle", at)
    # A Bundle of this context often has no type, which says nothing here.
    typed = {"type": "collection", **bundle}
    _check_gate(at, typed)
    if typed["resourceType"] != "Bundle":
        raise _malformed(at, f"{at} is a Bundle")
    entries = typed.get("entry", ())
    if len(entries) > MOST_ORDERS:
        raise _malformed(at, f"at most {MOST_ORDERS} orders are looked at")
    for number, entry in enumerate(entries):
        resource = entry.get("resource", {})
        if resource.get("resourceType") != "ServiceRequest":
            continue
        where = f"{at}.entry[{number}].resource"
        _check_subject(where, resource, patient, base)
        yield _entry(_relative(_identified(where, resource), base), number)


def _entry(resource: Json, number: int) -> Entry:
    return Entry(
        type=resource["resourceType"],
        id=resource["id"],
        version=1,
        seq=number,
        received=datetime.min.replace(tzinfo=UTC),
        body=dict(resource),
    )


def _check_gate(at: str, resource: dict[str, Any]) -> None:
    faults = [fault.within(at) for fault in gate.check(resource)]
    if faults:
        raise NotExchanged(*(Issue(code=f.code, text=f.text, expression=f.expression) for f in faults))


def _check_subject(where: str, resource: Json, patient: str, base: str) -> None:
    """Refuse what belongs to somebody else: nothing is mixed up."""
    if resource["resourceType"] == "Patient":
        whose = resource.get("id")
    else:
        elements = PATIENT_ELEMENTS.get(resource["resourceType"])
        if elements is None:
            return
        stated = [resource[e].get("reference", "") for e in elements if isinstance(resource.get(e), dict)]
        local = [references.local(target.removeprefix(base)) for target in stated]
        whose = next((id_ for kind, id_ in filter(None, local) if kind == "Patient"), None)
    if whose != patient:
        raise _malformed(where, "this is not about the patient of the context")


def _relative(resource: Json, base: str) -> Json:
    """Return the resource with references to the client's own server as `Type/id`."""
    found = references.literal(resource)
    if not base:
        return resource
    targets = {f.target: f.target.removeprefix(base) for f in found}
    return references.replaced(resource, found, targets)


def _identified(where: str, resource: Json) -> Json:
    if "id" not in resource:
        raise _malformed(where, "a resource that was read has an id")
    return resource


def _object(holder: Json, name: str, text: str, at: str = "") -> dict[str, Any]:
    value = holder.get(name)
    if not isinstance(value, dict):
        raise _malformed(at or name, text)
    return value


def _is_uuid(value: object) -> bool:
    try:
        return isinstance(value, str) and str(UUID(value)) == value.lower()
    except ValueError:
        return False


def _malformed(at: str, text: str) -> NotExchanged:
    return NotExchanged(Issue(code="invalid", text=text, expression=at))
