"""What a request may say beside its body: parts of its path, of its query, and headers."""

from collections.abc import Iterable, Mapping
from typing import Any

from service.fhir import idempotency, searching, subset
from service.fhir.criteria import conditions, including
from service.openapi import shapes

Json = dict[str, Any]

#: the parts of paths
PATH: Mapping[str, Json] = {
    "type": shapes.ref("ResourceType"),
    "id": shapes.ref("Id"),
    "version": {"type": "string", "pattern": "^[1-9][0-9]{0,8}$"},
}

_WHOLE: Json = {"type": "integer", "minimum": 0}
_TEXT = shapes.TEXT

#: of the query, with what each means; a name that a table of the service has and this one has not is a fault
QUERY: Mapping[str, tuple[str, Json]] = {
    "_format": (
        "The form of the answer: JSON.",
        {"enum": ["json", "application/json", "application/fhir+json"]},
    ),
    "_pretty": ("Written for people.", {"enum": ["true", "false"]}),
    "_summary": ("A part of each resource.", {"enum": ["true", "text", "data", "count", "false"]}),
    "_elements": ("The elements that are wanted, separated by commas.", _TEXT),
    "_count": (f"How many a page holds, at most {searching.MOST_COUNT}.", _WHOLE),
    "_page": ("Which page; it is that of a link.", _TEXT),
    "_sort": (
        "Search parameters in whose order is answered, separated by commas; - before one: backwards.",
        _TEXT,
    ),
    "_total": ("Whether matches are counted.", {"enum": list(searching.TOTALS)}),
    "_include": (
        "What is sent along because a match refers to it: Type:parameter, or Type:parameter:Type.",
        _TEXT,
    ),
    "_revinclude": ("What is sent along because it refers to a match.", _TEXT),
    "_since": ("Received at this instant or later.", _TEXT),
    "_at": ("Current at some time within this date or at this instant.", _TEXT),
    "identifier": ("system|value of the one resource that is meant.", _TEXT),
}

HEADER: Mapping[str, tuple[str, Json]] = {
    "If-None-Exist": ("identifier=system|value: store only if there is none yet.", _TEXT),
    "If-Match": ('W/"1": only if this is the current version.', _TEXT),
    "If-None-Match": ('W/"1": 304 if this is the current version.', _TEXT),
    "If-Modified-Since": ("304 if nothing was received later.", _TEXT),
    "Prefer": (
        "return=minimal, representation or OperationOutcome; handling=lenient passes over what is not known.",
        _TEXT,
    ),
    idempotency.HEADER: (
        f"1 to {idempotency.LONGEST_KEY} characters: sent again with the same, nothing is stored twice.",
        _TEXT,
    ),
}

#: what shapes every answer
ANSWER = ("_format", "_pretty")
ONE = (*ANSWER, *subset.PARAMETERS)
SEARCH = (*searching.OF_THE_ANSWER, *including.NAMES)
WRITE = (*ANSWER, "Prefer")

#: the extension of OpenAPI that lists, by type, each search parameter with its kind
BY_TYPE = "x-fhir-search-parameters"


def named(names: Iterable[str]) -> list[Json]:
    """Return parameters by name."""
    return [{"$ref": f"#/components/parameters/{name}"} for name in names]


def components() -> Json:
    """Return what `named` refers to.

    Raises:
        KeyError: a table of the service has a parameter that is not described here.
    """
    query = {name: QUERY[name] for name in sorted({*QUERY, *ONE, *SEARCH})}
    return {name: one(name, "query", text, schema) for name, (text, schema) in query.items()} | {
        name: one(name, "header", text, schema) for name, (text, schema) in HEADER.items()
    }


def one(name: str, where: str, text: str, schema: Json, *, required: bool = False) -> Json:
    """Return a parameter."""
    found: Json = {"name": name, "in": where, "schema": schema}
    if text:
        found["description"] = text
    if required or where == "path":
        found["required"] = True
    return found


def of_path(name: str, schema: Json | None = None) -> Json:
    """Return a part of the path: of FHIR what it is there, elsewhere some text."""
    return one(name, "path", "", schema or shapes.TEXT)


def criteria() -> Json:
    """Return the criteria of a search: any search parameter of the type, with its modifiers and prefixes."""
    return {
        "name": "criteria",
        "in": "query",
        "style": "form",
        "explode": True,
        "description": f"Any search parameter of the type, as {BY_TYPE} lists them, each with modifiers and "
        "prefixes; chains and _has. What is not known is refused by name.",
        "schema": {"type": "object", "additionalProperties": shapes.TEXT},
        "example": {"_lastUpdated": "ge2026-01-01"},
    }


def searched(kinds: Mapping[str, str]) -> list[Json]:
    """Return search parameters one by one, each with its kind."""
    return [one(name, "query", f"A search parameter: {kind}.", _TEXT) for name, kind in kinds.items()]


def by_type() -> Json:
    """Return every search parameter with its kind, by type; those of every type under Resource."""
    each = {type_: dict(searching.parameters_of(type_)) for type_ in searching.TYPES}
    first, *others = each.values()
    shared = {name: kind for name, kind in first.items() if all(other.get(name) == kind for other in others)}
    own = {
        type_: {name: kind for name, kind in sorted(found.items()) if name not in shared}
        for type_, found in each.items()
    }
    return {"Resource": dict(sorted(shared.items())), **own}


def modifiers() -> Json:
    """Return the modifiers that each kind of search parameter takes, and those that are not as their kind."""
    found = {kind: [f":{word}" for word in words] for kind, words in conditions.MODIFIERS.items() if words}
    return {**found, "_text": [f":{word}" for word in conditions.MODIFIERS["narrative"]]}
