"""Which codes a ValueSet holds, and which lie above and below a code, as far as the definitions are here.

Known are the definitions of the profiles and those that clients stored. This is no terminology server: what
needs more than these definitions, as a filter or a code system of others, is refused and never answered as
if it held nothing.

http://hl7.org/fhir/R4/valueset.html#expansion
http://hl7.org/fhir/R4/codesystem.html#hierarchy
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from sqlalchemy import Connection

from fhir_profiles import definitions
from service.fhir import references
from service.fhir.refusals import Issue, NotExchanged
from service.store import canonicals, resources
from service.store.database import Database

Json = Mapping[str, Any]
#: system and code
Token = tuple[str, str]
#: a stored definition by its type and what names it: a URL, with or without `|version`, or ValueSet/id
Stored = Callable[[str, str], Json | None]

#: codes of one expansion: each is compared with what the index holds
MOST = 1_000
#: value sets of one search, with those that they are made of: each takes frames of the stack
MOST_SETS = 50

_PROPERTIES = "http://hl7.org/fhir/concept-properties"
#: an expansion that says so is a part of its set
_INCOMPLETE = tuple(
    f"http://hl7.org/fhir/StructureDefinition/valueset-{name}" for name in ("toocostly", "unclosed")
)
_LOCAL = re.compile(rf"(?P<type>{references.TYPE})/(?P<id>{references.ID})")


class Terminology:
    """The definitions by which the codes of one search are understood, each read once."""

    def __init__(self, stored: Stored) -> None:
        """Know the definitions of the profiles, and those that are stored."""
        self._stored = stored
        self._found: dict[tuple[str, str], Json | None] = {}
        #: by what names it; None: being expanded
        self._expansions: dict[str, frozenset[Token] | None] = {}
        self._hierarchies: dict[str, Mapping[str, set[str]]] = {}

    def members(self, named: str) -> frozenset[Token]:
        """Return the codes of a ValueSet.

        Args:
            named: its canonical URL, with or without `|version`, or `ValueSet/id`.

        Raises:
            NotExchanged: it is not known, cannot be expanded here, or has more codes than `MOST`.
        """
        if named in self._expansions:
            known = self._expansions[named]
            if known is None:
                raise _refused("not-supported", "the ValueSet is made of itself")
            return known
        if len(self._expansions) >= MOST_SETS:
            raise _refused("too-costly", f"these are more than {MOST_SETS} value sets; name fewer")
        self._expansions[named] = None
        self._expansions[named] = found = self._expanded(named)
        return found

    def below(self, system: str, code: str) -> frozenset[str]:
        """Return the code and all codes that it subsumes.

        Raises:
            NotExchanged: the CodeSystem is not here as a whole, or has no such code; or there are too many.
        """
        below: dict[str, set[str]] = {}
        for lower, uppers in self._hierarchy(system, code).items():
            for upper in uppers:
                below.setdefault(upper, set()).add(lower)
        return _reached(code, below)

    def above(self, system: str, code: str) -> frozenset[str]:
        """Return the code and all codes by which it is subsumed.

        Raises:
            NotExchanged: as of `below`.
        """
        return _reached(code, self._hierarchy(system, code))

    def find(self, type_: str, named: str) -> Json | None:
        """Return a definition: of ours the one of the profiles, which nobody may give another meaning."""
        if (type_, named) not in self._found:
            is_by_id = type_ == "ValueSet" and _LOCAL.fullmatch(named)
            self._found[type_, named] = self._of_id(named) if is_by_id else self._of_url(type_, named)
        return self._found[type_, named]

    def _of_id(self, named: str) -> Json | None:
        # Under an id of ours a client may have stored something, which is then what it means.
        found = self._stored("ValueSet", named)
        return found or next(
            (each for each in definitions.value_sets() if f"ValueSet/{each['id']}" == named), None
        )

    def _of_url(self, type_: str, named: str) -> Json | None:
        url, _, version = named.partition("|")
        of_type = (each for each in definitions.resources() if each["resourceType"] == type_)
        ours = next((each for each in of_type if each.get("url") == url), None)
        if ours is None:
            return self._stored(type_, named)
        return ours if version in ("", ours["version"]) else None

    def _expanded(self, named: str) -> frozenset[Token]:
        found = self.find("ValueSet", named)
        if found is None:
            text = "the ValueSet is not known here: store it with its codes, or name one of the profiles"
            raise _refused("not-found", text)
        compose = found.get("compose", {})
        include, exclude = compose.get("include", ()), compose.get("exclude", ())
        # Which codes are inactive their system knows, in whatever version.
        only_active = compose.get("inactive") is False
        # What is listed is the definition itself; an expansion is what was once made of it.
        is_listed = (
            bool(include) and all("concept" in part for part in (*include, *exclude)) and not only_active
        )
        if "expansion" in found and not is_listed:
            return bounded(_contained(found["expansion"]))
        if not include:
            raise _refused("not-supported", "the ValueSet has neither an expansion nor its codes listed")
        if only_active:
            text = (
                "the ValueSet leaves out inactive codes, which are not told here: store it with its expansion"
            )
            raise _refused("not-supported", text)
        left_out = frozenset[Token]().union(*map(self._part, exclude))
        return bounded(token for part in include for token in self._part(part) if token not in left_out)

    def _part(self, part: Json) -> frozenset[Token]:
        """Return the codes of one part: of several value sets, and of codes beside them, those in all."""
        if "filter" in part:
            text = "the ValueSet has filters, which are not applied here: store it with its expansion"
            raise _refused("not-supported", text)
        sets = [self.members(str(url)) for url in part.get("valueSet", ())]
        if system := part.get("system"):
            listed = [_code(each) for each in part.get("concept", ())]
            version = part.get("version")
            codes = listed or self._whole(f"{system}|{version}" if version else str(system))
            sets.append(bounded((str(system), code) for code in codes))
        return frozenset.intersection(*sets) if sets else frozenset()

    def _hierarchy(self, system: str, code: str) -> Mapping[str, set[str]]:
        """Return each code of a system with the codes directly above it."""
        if _LOCAL.fullmatch(system) or "|" in system:
            # A code is stored with the URL of its system alone: nothing else would be found by it.
            raise _refused("value", "a CodeSystem is named by its URL, as the codes of a record name it")
        found = self._whole(system)
        _check_meaning(self.find("CodeSystem", system) or {})
        if code not in found:
            raise _refused("code-invalid", "the CodeSystem has no such code")
        return found

    def _whole(self, system: str) -> Mapping[str, set[str]]:
        """Return all codes of a system, each with those directly above it.

        Args:
            system: its URL, with `|version` where one is meant.
        """
        if system not in self._hierarchies:
            found = self.find("CodeSystem", system)
            if found is None or found.get("content") != "complete":
                text = (
                    "the CodeSystem is not here with all its codes, or not in the version that is named: "
                    "store it with the content complete, or name the codes one by one"
                )
                raise _refused("not-supported", text)
            self._hierarchies[system] = _above(found)
        return self._hierarchies[system]


def of_transaction(tx: Connection, *, tenant: int) -> Terminology:
    """Return the definitions that a transaction sees."""
    return Terminology(lambda type_, named: _stored(tx, type_, named, tenant=tenant))


def of_database(database: Database, *, tenant: int) -> Terminology:
    """Return the definitions of a database; each that is looked for has a transaction of its own."""

    def stored(type_: str, named: str) -> Json | None:
        with database.transaction() as tx:
            return _stored(tx, type_, named, tenant=tenant)

    return Terminology(stored)


def _stored(tx: Connection, type_: str, named: str, *, tenant: int) -> Json | None:
    match = _LOCAL.fullmatch(named)
    if match is None:
        url, _, version = named.partition("|")
        return canonicals.find(tx, type_, url, version=version or None, tenant=tenant)
    if match["type"] != type_ or type_ == "CodeSystem":
        # Codes are stored with the URL of their system: under its place nothing would be found.
        return None
    one = resources.current(tx, type_, match["id"], tenant=tenant)
    return one.resource if one is not None and not one.deleted else None


def bounded(tokens: Iterable[Token]) -> frozenset[Token]:
    """Return the codes, each once.

    Raises:
        NotExchanged: there are more than `MOST`.
    """
    found = set[Token]()
    for token in tokens:
        found.add(token)
        if len(found) > MOST:
            raise _too_many()
    return frozenset(found)


def _contained(expansion: Json) -> Iterator[Token]:
    """Yield the codes of an expansion; what is abstract groups others and is no code of a record."""
    waiting = list(expansion.get("contains", ()))
    seen = 0
    while waiting:
        one = waiting.pop()
        seen += 1
        if "code" in one and not one.get("abstract"):
            yield str(one.get("system", "")), str(one["code"])
        waiting += one.get("contains", ())
    settings = {each.get("name"): each for each in expansion.get("parameter", ())}
    is_limited = settings.get("limitedExpansion", {}).get("valueBoolean") is True or "filter" in settings
    is_marked = any(
        each.get("url") in _INCOMPLETE and each.get("valueBoolean") is True
        for each in expansion.get("extension", ())
    )
    if expansion.get("offset") or seen < expansion.get("total", 0) or is_limited or is_marked:
        raise _refused("not-supported", "the expansion of the ValueSet is a part of it: store the whole")


def _check_meaning(system: Json) -> None:
    """Refuse a hierarchy that is no is-a, or does not say so; parents that are properties need not say it."""
    meaning = system.get("hierarchyMeaning")
    if meaning is None and any("concept" in concept for concept in system.get("concept", ())):
        text = "the CodeSystem does not say what its hierarchy means: store it with the hierarchyMeaning is-a"
        raise _refused("not-supported", text)
    if meaning not in (None, "is-a"):
        text = "the hierarchy of the CodeSystem does not mean that a code is a kind of the one above it"
        raise _refused("not-supported", text)


def _above(system: Json) -> dict[str, set[str]]:
    """Return each code with those directly above it, by where it stands and by properties that say so."""
    uris = {each.get("code"): each.get("uri") for each in system.get("property", ())}
    found: dict[str, set[str]] = {}
    waiting: list[tuple[Json, str | None]] = [(concept, None) for concept in system.get("concept", ())]
    while waiting:
        concept, holder = waiting.pop()
        code = _code(concept)
        uppers = found.setdefault(code, set())
        if holder is not None:
            uppers.add(holder)
        for said in concept.get("property", ()):
            other = said.get("valueCode")
            kind = said.get("code")
            means = uris.get(kind) or f"{_PROPERTIES}#{kind}"
            if other and means == f"{_PROPERTIES}#parent":
                uppers.add(str(other))
            elif other and means == f"{_PROPERTIES}#child":
                found.setdefault(str(other), set()).add(code)
        waiting += [(each, code) for each in concept.get("concept", ())]
    return found


def _code(concept: Json) -> str:
    """Return the code of a concept, which may be an extension alone: nothing is known of such a set."""
    if "code" not in concept:
        raise _refused("not-supported", "a concept of it has no code")
    return str(concept["code"])


def _reached(code: str, next_: Mapping[str, Iterable[str]]) -> frozenset[str]:
    """Return the code and all that are reached from it; one that leads back to itself ends nothing."""
    found, waiting = {code}, [code]
    while waiting:
        further = set(next_.get(waiting.pop(), ())) - found
        found |= further
        waiting += further
        if len(found) > MOST:
            raise _too_many()
    return frozenset(found)


def _too_many() -> NotExchanged:
    return _refused("too-costly", f"these are more than {MOST} codes; name fewer")


def _refused(code: str, text: str) -> NotExchanged:
    return NotExchanged(Issue(code=code, text=text))
