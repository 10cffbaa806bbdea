"""A transaction Bundle as entries: what each one asks for, before anything is looked up.

http://hl7.org/fhir/R4/http.html#transaction
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import msgspec

from service.fhir import conditional, references
from service.fhir.refusals import Issue, NotExchanged, NotValid, Refusal, TooLarge

Json = Mapping[str, Any]

MOST_ENTRIES = 1_000
METHODS = ("DELETE", "POST", "PUT", "PATCH")

#: they carry others, or answer, and are never kept by themselves; Subscriptions are kept apart
NOT_KEPT = ("Bundle", "OperationOutcome", "Parameters", "Subscription")

_ETAG = re.compile(r'W/"(\d{1,9})"')
_URL = re.compile(
    rf"/?(?P<type>{references.TYPE})(?:/(?P<id>{references.ID}))?(?:\?(?P<query>.*))?", re.DOTALL
)


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One resource to store or to remove, and how it is identified."""

    index: int
    method: str
    type: str
    #: PUT and DELETE by id
    id: str | None
    #: system and value: conditional PUT and DELETE, or POST with ifNoneExist
    identifier: tuple[str, str] | None
    full_url: str | None
    #: of a DELETE the type alone, of a PATCH what carries the patch
    resource: Json
    #: only if this is the current version
    if_version: int | None
    #: what was sent in place of the resource, if it was a patch
    sent: Json | None = None

    @property
    def removes(self) -> bool:
        """Return whether the resource is to be no longer there."""
        return self.method == "DELETE"

    @property
    def at(self) -> str:
        """Return where the resource stands, for an OperationOutcome."""
        return f"Bundle.entry[{self.index}].resource"


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """A GET, answered after everything else."""

    index: int
    #: without the base
    url: str
    #: an ETag
    if_none_match: str | None

    @property
    def at(self) -> str:
        """Return where it stands, for an OperationOutcome."""
        return f"Bundle.entry[{self.index}].request.url"


def read(bundle: Json, *, base: str) -> tuple[Entry | Read, ...]:
    """Return the entries of a transaction Bundle.

    Args:
        base: the service's own base; a URL may begin with it.

    Raises:
        NotExchanged: it is not a Bundle, or not one that is exchanged this way.
        TooLarge: it has more entries than one transaction may hold.
        NotValid: an entry contradicts itself.
    """
    entries: list[Entry | Read] = []
    faults: list[Refusal] = []
    for index, row in enumerate(rows(bundle)):
        try:
            entries.append(one_of(index, row, base=base))
        except Refusal as refusal:
            faults.append(refusal)
    if faults:
        # One kind of fault answers for all; what is not exchanged at all comes first.
        first = next((f for f in faults if isinstance(f, NotExchanged)), faults[0])
        raise type(first)(*(issue for fault in faults for issue in fault.issues))
    return tuple(entries)


def rows(bundle: Json) -> list[object]:
    """Return what a transaction or a batch carries, not looked at yet.

    Raises:
        NotExchanged, TooLarge, NotValid: as in `read`.
    """
    if bundle.get("resourceType") != "Bundle":
        raise NotExchanged(
            Issue(code="structure", text="the resource is not a Bundle", expression="resourceType")
        )
    if bundle.get("type") not in ("transaction", "batch"):
        text = "only Bundles of type transaction and batch are exchanged"
        raise NotExchanged(Issue(code="not-supported", text=text, expression="Bundle.type"))
    found = bundle.get("entry", [])
    if not isinstance(found, list):
        raise NotValid(Issue(code="structure", text="entry is not a list", expression="Bundle.entry"))
    if len(found) > MOST_ENTRIES:
        text = f"a Bundle may hold {MOST_ENTRIES} entries; send several"
        raise TooLarge(Issue(code="too-long", text=text, expression="Bundle.entry"))
    return found


def one(
    resource: Json | None, *, method: str, type_: str, id_: str | None, condition: str | None = None
) -> dict[str, Any]:
    """Return the transaction Bundle that does what a request for a single resource asks."""
    request: dict[str, Any] = {"method": method, "url": f"{type_}/{id_}" if id_ else type_}
    if condition is not None and method != "POST":
        request["url"] = f"{type_}?{condition}"
    elif condition is not None:
        request["ifNoneExist"] = condition
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [{**({} if resource is None else {"resource": resource}), "request": request}],
    }


def one_of(index: int, row: object, *, base: str) -> Entry | Read:
    """Return one entry of a Bundle.

    Raises:
        Refusal: it contradicts itself, or asks for what is not exchanged.
    """
    where = f"Bundle.entry[{index}]"
    if not isinstance(row, dict):
        raise NotValid(Issue(code="structure", text="the entry is not an object", expression=where))
    request, resource, full_url = row.get("request"), row.get("resource"), row.get("fullUrl")
    if not isinstance(request, dict):
        text = "each entry needs a request with method and url"
        raise NotValid(Issue(code="required", text=text, expression=f"{where}.request"))
    method = request.get("method")
    if method == "GET":
        return _read(index, request, resource, base, where)
    if method not in METHODS:
        text = f"the method of an entry is {', '.join(METHODS)} or GET"
        raise NotExchanged(Issue(code="not-supported", text=text, expression=f"{where}.request.method"))
    if method == "DELETE":
        if resource is not None:
            text = "a DELETE has no resource; send a PUT to change one"
            raise NotValid(Issue(code="business-rule", text=text, expression=f"{where}.resource"))
        resource = {"resourceType": _type_of(request, base, where)}
    if not isinstance(resource, dict) or not isinstance(resource.get("resourceType"), str):
        raise NotValid(
            Issue(
                code="required", text="the entry has no resource with a type", expression=f"{where}.resource"
            )
        )
    if full_url is not None and not isinstance(full_url, str):
        raise NotValid(Issue(code="structure", text="fullUrl is not text", expression=f"{where}.fullUrl"))
    type_, id_, identifier = _target(request, resource, method, base, where)
    return Entry(
        index=index,
        method=method,
        type=type_,
        id=id_,
        identifier=identifier,
        full_url=full_url,
        resource=resource,
        if_version=_version(request, where),
    )


def _read(index: int, request: Json, resource: object, base: str, where: str) -> Read:
    url, etag = request.get("url"), request.get("ifNoneMatch")
    if resource is not None or not isinstance(url, str) or "\0" in unquote(url):
        text = "a GET has a url and no resource"
        raise NotExchanged(Issue(code="value", text=text, expression=f"{where}.request"))
    return Read(
        index=index,
        url=url.removeprefix(base).removeprefix("/"),
        if_none_match=etag if isinstance(etag, str) else None,
    )


def _target(
    request: Json, resource: Json, method: str, base: str, where: str
) -> tuple[str, str | None, tuple[str, str] | None]:
    at = f"{where}.request.url"
    match = _parts(request, base, where)
    type_, id_, query = match["type"], match["id"], match["query"]
    query = conditional.alone(query) if query is not None and method != "POST" else query
    if type_ != resource["resourceType"] and method != "PATCH":
        text = "the url names another type than the resource has"
        raise NotExchanged(Issue(code="invalid", text=text, expression=at))
    if type_ in NOT_KEPT:
        raise NotExchanged(
            Issue(
                code="not-supported",
                text="a Subscription is sent by itself, to its own URL"
                if type_ == "Subscription"
                else "resources of this type are not stored",
                expression=f"{where}.resource",
            )
        )
    if method == "POST":
        if id_ or query:
            raise NotExchanged(Issue(code="value", text="the url of a POST is the type alone", expression=at))
        at = f"{where}.request.ifNoneExist"
        query = conditional.of_search(request.get("ifNoneExist"), type_)
        return type_, None, _identifier(query, resource, at) if query is not None else None
    if query is not None and id_:
        text = "name the resource by its id or by an identifier, not by both"
        raise NotExchanged(Issue(code="value", text=text, expression=at))
    if query is not None:
        return type_, None, _identifier(query, resource, at) if method == "PUT" else _token(query, at)
    if id_ is None:
        text = f"a {method} names an id or ?identifier=system|value"
        raise NotExchanged(Issue(code="value", text=text, expression=at))
    if method in ("DELETE", "PATCH"):
        return type_, id_, None
    if resource.get("id") != id_:
        text = "the id of the resource is not the one in the url"
        raise NotExchanged(Issue(code="invalid", text=text, expression=f"{where}.resource.id"))
    return type_, id_, None


def _type_of(request: Json, base: str, where: str) -> str:
    return _parts(request, base, where)["type"]


def _parts(request: Json, base: str, where: str) -> re.Match[str]:
    url = request.get("url")
    # A query is decoded where it is read, value by value.
    path, mark, query = url.removeprefix(base).partition("?") if isinstance(url, str) else ("", "", "")
    match = _URL.fullmatch(f"{unquote(path)}{mark}{query}")
    if match is None:
        text = "the url is not Type, Type/id or Type?identifier=system|value"
        raise NotExchanged(Issue(code="value", text=text, expression=f"{where}.request.url"))
    return match


def _token(query: object, at: str) -> tuple[str, str]:
    token = references.identifier_token(query.lstrip("?")) if isinstance(query, str) else None
    if token is None:
        text = "a condition is identifier=system|value"
        raise NotExchanged(Issue(code="not-supported", text=text, expression=at))
    return token


def _identifier(query: object, resource: Json, at: str) -> tuple[str, str]:
    token = _token(query, at)
    identifiers = resource.get("identifier")
    carried = [
        (str(identifier.get("system") or ""), identifier.get("value"))
        for identifier in (identifiers if isinstance(identifiers, list) else [identifiers])
        if isinstance(identifier, dict)
    ]
    if token not in carried:
        # Stored without it, the next condition would not find it and store it once more.
        text = "the resource does not carry the identifier of its condition"
        raise NotValid(Issue(code="business-rule", text=text, expression=at))
    return token


def _version(request: Json, where: str) -> int | None:
    return version_of(request.get("ifMatch"), at=f"{where}.request.ifMatch")


def version_of(etag: object, *, at: str | None = None) -> int | None:
    """Return the version that an ETag names; None: there is none.

    Args:
        at: where it stands, for an OperationOutcome.

    Raises:
        NotExchanged: it is no ETag of a version.
    """
    if etag is None:
        return None
    match = _ETAG.fullmatch(etag) if isinstance(etag, str) else None
    if match is None:
        raise NotExchanged(Issue(code="value", text='ifMatch is written W/"1"', expression=at))
    return int(match[1])
