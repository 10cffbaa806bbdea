"""FHIR capabilities: what this service really does, made of the tables that do it.

http://hl7.org/fhir/R4/http.html#capabilities
"""

from collections.abc import Mapping
from functools import cache
from operator import itemgetter
from typing import Any

from flask import Response

from fhir_profiles import canonical, reading, topics
from service.fhir import access_events, blueprint, idempotency, patching, searching, subscribing, terminology
from service.fhir.blueprint import fhir
from service.fhir.criteria import conditions, including, positions
from service.fhir.searching import TYPES
from service.store import idempotency_keys
from service.store.indexing import narratives
from service.store.subscriptions import KEPT_DAYS
from service.subscriptions import backport, sending, terms
from service.version import VERSION

DOCUMENTATION = (
    "A visit is posted as one transaction Bundle about one patient. A POST to the base or to a type may "
    "carry an Idempotency-Key of 1 to 255 characters: sent again with the same key, for "
    f"{idempotency_keys.KEPT.days} days, it stores nothing and gets the first answer with "
    f"{idempotency.REPLAYED}: true; another request with the key is answered 422. When more is sent than "
    "can be stored, the answer is 429 with Retry-After, and nothing was stored; in a batch this may be so of "
    "one entry. Conditions of create, update, patch and delete are identifier=system|value; that of a "
    "create stands in If-None-Exist or in the URL. A delete "
    "withdraws: earlier versions stay readable, and what is referred to is not deleted. A patch is a JSON "
    "Patch, in a Bundle as a Binary, or a FHIRPath Patch, whose paths take names, positions, where, first, "
    "last, ofType, as and extension. Histories are read with _count, _since and, of one resource, _at. To "
    "poll a type or everything without missing a version, ask _history with _since: the meta.lastUpdated of "
    "the Bundle before, or the newest lastModified that was seen; the moment itself is included, so the last "
    "versions may come twice. Searches are strict: what is not known is refused by name, unless Prefer: "
    "handling=lenient asks to pass over it; the self link says what was used. Modifiers: "
    + "; ".join(
        f"of a {kind} {', '.join(f':{word}' for word in words)}"
        for kind, words in conditions.MODIFIERS.items()
        if words and kind != "composite"
    )
    + ", and the type that is meant. :in and :not-in take the canonical URL of a ValueSet, or ValueSet/[id]: "
    "one of the profiles, or one that is stored with its codes listed, with an expansion, or made of such; "
    ":above and :below take a code of a CodeSystem of the profiles, or of one that is stored with the "
    "content complete, and is-a as its hierarchyMeaning where codes stand within others. "
    f"What cannot be told from them, or is more than {terminology.MOST} codes, is refused"
    f". near is latitude|longitude|distance|unit: {', '.join(positions.UNITS)}, km if none is given; "
    f"{positions.DEFAULT_KM} km without a distance. _text takes words, phrases in quotation marks, the "
    "beginning of a word with *, and, or, not and parentheses, compared without case and accents with up to "
    f"{narratives.MOST} characters of the narrative; it takes no modifier. "
    "Chains and _has reach over "
    f"{conditions.DEEPEST} references. _include and _revinclude take :iterate and send at most "
    f"{including.MOST} resources along with a page; a parameter that may lead to any type is understood by "
    "_revinclude for each. A total is left out where counting would take longer than finding, unless "
    "_total=accurate asks for it. Patient/[id]/[type] searches the compartment of a patient. A Patient that "
    "is stored with a link of the type replaced-by to another is joined with it, as by $merge. What names "
    "a joined Patient by an identifier is stored for the one that stays, and response.outcome says so; what "
    "names it by its id is refused with 422, and says which Patient to name."
)
#: what there is to say of Subscriptions that no element says
SUBSCRIBING = (
    "Topics are those of the extension; criteria names one, and backport-filter-criteria narrows it, by "
    + "; ".join(f"{t.name}: {', '.join(t.filters)}" for t in topics.topics())
    + f". The channel is rest-hook, the payload {terms.MEDIA_TYPE} with backport-payload-content "
    f"{', '.join(backport.CONTENTS)}. Each sender sees and changes its own Subscriptions alone, and needs "
    "to be allowed to read. The status is requested until a handshake was taken, then active; after a "
    "failed handshake or too many failures it is error, until an update asks for it anew, and after "
    f"{KEPT_DAYS} days of that off, as when its sender may no longer read. After an update to another "
    "topic or other filters, events of before are told no more, and the numbers go on. Event numbers "
    "have no gaps; an event may come twice, with the same number, and not before the one before it was "
    f"taken. Each request is signed: {sending.SIGNATURE} is sha256= and the HMAC-SHA256 of "
    f"{sending.TIMESTAMP}, a full stop and the body, with the secret of the channel's extension "
    f"subscription-secret, which is never returned. backport-timeout is at most {terms.LONGEST_TIMEOUT_S} "
    f"s, backport-max-count at most {terms.MOST_ASKED}, backport-heartbeat-period at least "
    f"{terms.SHORTEST_HEARTBEAT_S} s. In production the endpoint is https; nothing is sent to addresses "
    "that are not public unless this installation allows them, and redirects are not followed. There is no "
    "history of a Subscription, and no Bundle holds one."
)
#: of every type
OF_EVERY_TYPE = {
    "meta": canonical.operation("Resource-meta"),
    "meta-add": canonical.operation("Resource-meta-add"),
    "meta-delete": canonical.operation("Resource-meta-delete"),
    "validate": canonical.operation("Resource-validate"),
}
#: by type, each further operation with its definition
OPERATIONS = {
    "CarePlan": {"why": canonical.operation("CarePlan-why")},
    "Group": {"export": canonical.operation("Group-export")},
    "Patient": {
        "everything": canonical.operation("Patient-everything"),
        "export": canonical.operation("Patient-export"),
        "merge": canonical.operation("Patient-merge"),
        "unmerge": canonical.operation("Patient-unmerge"),
    },
    "PlanDefinition": {"apply": canonical.operation("PlanDefinition-apply")},
}
#: of the whole, without a type
SYSTEM_OPERATIONS = {
    "export": canonical.operation("export"),
    "meta": canonical.operation("Resource-meta"),
}
#: what others have described, and is kept here
INSTANTIATES = ("http://hl7.org/fhir/uv/bulkdata/CapabilityStatement/bulk-data", backport.SERVER)
SECURITY = {
    "cors": False,
    "service": [
        {
            "coding": [
                {
                    "system": "http://terminology.hl7.org/CodeSystem/restful-security-service",
                    "code": "Basic",
                    "display": "Basic",
                }
            ],
            "text": "A token of the sender: as a Bearer token, or by Basic as the password of its name",
        }
    ],
    "description": "In production every request but this one and the health checks needs the token that was "
    "issued to the sender; it allows to read, to write, or both. Without one the answer is 401, beyond it "
    "403. Turns, Idempotency-Keys and the record of accesses are the sender's. A sandbox asks nobody.",
}
INTERACTIONS = (
    "read",
    "vread",
    "update",
    "patch",
    "create",
    "delete",
    "history-instance",
    "history-type",
    "search-type",
)
OF_THE_SYSTEM = ("transaction", "batch", "history-system")


@fhir.get("/metadata")
def metadata() -> Response:
    """Return the CapabilityStatement."""
    statement = {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": "2026-11-30",
        "kind": "instance",
        "instantiates": list(INSTANTIATES),
        "software": {"name": "hipway", "version": VERSION},
        "implementation": {
            "description": "hipway, a care-pathway service",
            "url": blueprint.base().rstrip("/"),
        },
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "patchFormat": list(patching.FORMS),
        "rest": [
            {
                "mode": "server",
                "documentation": DOCUMENTATION,
                "security": SECURITY,
                "resource": sorted(
                    [*(_resource(type_) for type_ in TYPES), _subscription()], key=itemgetter("type")
                ),
                "interaction": [{"code": code} for code in OF_THE_SYSTEM],
                "operation": _operations(SYSTEM_OPERATIONS),
            }
        ],
    }
    return blueprint.resource(reading.write(statement).decode())


def _operations(found: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "definition": url} for name, url in found.items()]


def _references(type_: str) -> dict[str, tuple[str, ...]]:
    """Return the reference parameters of a type with the types they lead to; none: any, see DOCUMENTATION."""
    parameters = conditions.parameters_of(type_)
    return {name: each.targets for name, each in parameters.items() if each.kind == "reference"}


@cache
def _resource(type_: str) -> dict[str, Any]:
    operations = OF_EVERY_TYPE | OPERATIONS.get(type_, {})
    offered = {
        "type": type_,
        "interaction": [{"code": code} for code in INTERACTIONS],
        "versioning": "versioned",
        "readHistory": True,
        "updateCreate": True,
        "conditionalRead": "full-support",
        "conditionalCreate": True,
        "conditionalUpdate": True,
        "conditionalDelete": "single",
        "referencePolicy": ["literal", "logical", "local"],
        "searchInclude": [f"{type_}:{name}" for name in sorted(_references(type_))],
        "searchRevInclude": [
            f"{other}:{name}"
            for other in TYPES
            for name, targets in sorted(_references(other).items())
            if type_ in targets
        ],
        "searchParam": [
            {"name": name, "type": kind} for name, kind in sorted(searching.parameters_of(type_).items())
        ],
        "operation": _operations(operations),
    }
    for name in ("searchInclude", "searchRevInclude"):
        if not offered[name]:
            del offered[name]
    if type_ == access_events.TYPE:
        offered["documentation"] = access_events.DOCUMENTATION
    return offered


def _subscription() -> dict[str, Any]:
    """Return what is offered of Subscriptions, which are no part of the record."""
    return {
        "extension": [{"url": backport.TOPIC_CANONICAL, "valueCanonical": t.url} for t in topics.topics()],
        "type": subscribing.TYPE,
        "supportedProfile": [backport.SUBSCRIPTION],
        "documentation": SUBSCRIBING,
        "interaction": [{"code": code} for code in ("read", "update", "create", "delete", "search-type")],
        "versioning": "versioned-update",
        "readHistory": False,
        "updateCreate": False,
        "conditionalRead": "full-support",
        "conditionalCreate": False,
        "conditionalUpdate": False,
        "conditionalDelete": "not-supported",
        "searchParam": [
            {"name": name, "type": kind} for name, kind in sorted(subscribing.PARAMETERS.items())
        ],
        "operation": [
            {"name": "status", "definition": backport.STATUS_OPERATION},
            {"name": "events", "definition": backport.EVENTS_OPERATION},
        ],
    }
