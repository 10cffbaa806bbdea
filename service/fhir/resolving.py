"""What the references of a Bundle mean, and whom the Bundle is about.

A reference that stands for a resource of the Bundle, or for one found by identifier, is
replaced by `Type/id`. One Bundle is about one patient; nothing in it may belong to, or
point to something of, another.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from service.fhir import references
from service.fhir.entries import Entry
from service.fhir.placing import Known, Place
from service.fhir.refusals import Ambiguous, Issue, NotValid
from service.store.resources import Identity, Name
from service.store.search_index import PATIENT_ELEMENTS

Json = Mapping[str, Any]

#: the rules read these; without a patient one would be kept and never be seen
NEED_A_PATIENT = ("BodyStructure", "DiagnosticReport", "Observation", "Procedure", "Task")

#: these may point to another patient, or to nothing that is known
MAY_POINT_ELSEWHERE = {("Task", "focus"), ("Patient", "link")}
#: these name several patients, and what they are in belongs to none of them
OF_SEVERAL = {("Group", "member")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Needed:
    """What must be looked up to settle the references."""

    identities: frozenset[Identity]
    by_identifier: frozenset[Name]


class _Meaning(NamedTuple):
    """What a reference stands for: an entry, a resource of ours, a search, or something elsewhere."""

    #: without our base
    target: str
    entry: int | None = None
    identity: Identity | None = None
    search: references.Conditional | None = None


class Links:
    """The references of one Bundle and the entries they may stand for."""

    def __init__(self, entries: Sequence[Entry], *, base: str) -> None:
        """Note which entry has which full URL, and where each of them points."""
        self._entries = entries
        self._by_index = {entry.index: entry for entry in entries}
        self._base = base
        self._found = {entry.index: references.literal(entry.resource) for entry in entries}
        self._by_url = {
            references.without_version(entry.full_url): entry.index for entry in entries if entry.full_url
        }
        # A relative reference is read against the full URL of its own entry.
        self._bases = {
            entry.index: (entry.full_url and references.base_of(entry.full_url)) or "" for entry in entries
        }
        # After `resolved`: what the transaction removes.
        self._removed: set[Identity] = set()
        # After `resolved`: the same with the targets as they are stored.
        self._settled: dict[int, tuple[references.Found, ...]] = {}
        # The entries of a visit point to the same few: each target is read once.
        self._meanings: dict[tuple[str, str], _Meaning] = {}

    def needed(self) -> Needed:
        """Return what the references point to outside the Bundle."""
        identities: set[Identity] = set()
        names: set[Name] = set()
        for entry in self._entries:
            for found in self._found[entry.index]:
                meaning = self._meaning(entry, found.target)
                if meaning.identity:
                    identities.add(meaning.identity)
                elif search := meaning.search:
                    names.add((search.type, search.system, search.value))
            for _, system, value in self._logical_patients(entry):
                names.add(("Patient", system, value))
        return Needed(identities=frozenset(identities), by_identifier=frozenset(names))

    def patients_by_id(self) -> Iterator[tuple[Entry, str, str]]:
        """Yield each reference to a stored Patient by its id: its entry, the path within, and the id."""
        for entry in self._entries:
            for found in self._found[entry.index]:
                identity = self._meaning(entry, found.target).identity
                if identity and identity[0] == "Patient":
                    yield entry, found.path, identity[1]

    def resolved(self, places: Mapping[int, Place], known: Known) -> dict[int, dict[str, Any]]:
        """Return each entry's resource with its references settled.

        Raises:
            NotValid: a reference stands for nothing that is here or known.
            Ambiguous: one that searches finds several.
        """
        faults: list[Issue] = []
        several: list[Issue] = []
        stored = {(entry.type, places[entry.index].id) for entry in self._entries if not entry.removes}
        self._removed = {(entry.type, places[entry.index].id) for entry in self._entries if entry.removes}
        resolved = {}
        for entry in self._entries:
            targets: dict[str, str] = {}
            for found in self._found[entry.index]:
                target = self._target(entry, found, places, known, stored)
                if isinstance(target, Issue):
                    (several if target.code == "multiple-matches" else faults).append(target)
                else:
                    targets[found.target] = target
            resource = references.replaced(entry.resource, self._found[entry.index], targets)
            settled = [
                found._replace(target=targets[found.target])
                for found in self._found[entry.index]
                if found.target in targets
            ]
            for element, system, value in self._logical_patients(entry):
                heads = known.by_identifier("Patient", system, value)
                if len(heads) == 1:
                    reference = f"Patient/{heads[0].id}"
                    resource = {**resource, element: {**resource[element], "reference": reference}}
                    settled.append(references.Found((element,), reference))
                else:
                    faults.append(_unresolved(f"{entry.at}.{element}"))
            resolved[entry.index] = resource
            self._settled[entry.index] = tuple(settled)
        if faults:
            raise NotValid(*faults)
        if several:
            raise Ambiguous(*several)
        return resolved

    def patients(
        self,
        places: Mapping[int, Place],
        visit: Mapping[int, Json],
        known: Known,
        kept_for: Mapping[str, str],
    ) -> dict[int, str | None]:
        """Return whom each entry is about, by its index; at most one patient in all.

        Args:
            visit: as returned by `resolved`.
            kept_for: of what was removed, by its patient, whom it is about if it is sent again.

        Raises:
            NotValid: a second patient, or none where one is needed.
        """
        named = {
            entry.index: tuple(self._named(entry, places[entry.index], known, kept_for))
            for entry in self._entries
        }
        bundle_patient = next((patient for found in named.values() for _, patient in found), None)
        faults = []
        result: dict[int, str | None] = {}
        for entry in self._entries:
            own = _own(entry, places[entry.index], visit[entry.index])
            for where, patient in named[entry.index]:
                if patient != bundle_patient:
                    text = "a Bundle is about one patient, and this belongs to another"
                    path = f".{where.path}" if where else ""
                    faults.append(Issue(code="business-rule", text=text, expression=f"{entry.at}{path}"))
            if own is None and entry.type in NEED_A_PATIENT and not entry.removes:
                element = PATIENT_ELEMENTS[entry.type][0]
                text = "this names no patient by a reference that can be followed"
                faults.append(Issue(code="business-rule", text=text, expression=f"{entry.at}.{element}"))
            # Of what is removed nothing is known but what is stored.
            others = (entry.removes or entry.type not in PATIENT_ELEMENTS) and any(named[entry.index])
            result[entry.index] = own or (bundle_patient if others else None)
        if faults:
            raise NotValid(*faults)
        return result

    def _meaning(self, entry: Entry, target: str) -> _Meaning:
        key = (self._bases[entry.index], target)
        meaning = self._meanings.get(key)
        if meaning is None:
            meaning = self._meanings[key] = self._read(*key)
        return meaning

    def _read(self, base: str, target: str) -> _Meaning:
        plain = references.without_version(target)
        index = self._by_url.get(plain)
        if index is None and base and references.local(target):
            index = self._by_url.get(base + plain)
        if index is not None:
            return _Meaning(target, entry=index)
        ours = target.removeprefix(self._base)
        if identity := references.local(ours):
            return _Meaning(ours, identity=identity)
        return _Meaning(ours, search=references.conditional(ours))

    def _target(
        self,
        entry: Entry,
        found: references.Found,
        places: Mapping[int, Place],
        known: Known,
        stored: set[Identity],
    ) -> str | Issue:
        target, index, identity, search = self._meaning(entry, found.target)
        if index is not None:
            return f"{self._by_index[index].type}/{places[index].id}{references.version_of(found.target)}"
        if identity:
            here = identity in stored or (identity not in self._removed and known.there(identity))
            return (
                _unresolved(f"{entry.at}.{found.path}")
                if identity[0] == "Patient" and not here and not _may_dangle(entry, found)
                else target
            )
        if search:
            heads = known.by_identifier(search.type, search.system, search.value)
            if len(heads) == 1:
                return f"{search.type}/{heads[0].id}"
            if heads:
                text = f"{len(heads)} resources match the reference; name one by its id"
                return Issue(code="multiple-matches", text=text, expression=f"{entry.at}.{found.path}")
            return _unresolved(f"{entry.at}.{found.path}")
        elsewhere = target.startswith(("http://", "https://")) and "/Patient/" not in target
        if elsewhere or _may_dangle(entry, found):
            return target
        return _unresolved(f"{entry.at}.{found.path}")

    def _logical_patients(self, entry: Entry) -> Iterator[tuple[str, str, str]]:
        for element, system, value in references.logical(
            entry.resource, PATIENT_ELEMENTS.get(entry.type, ())
        ):
            if entry.resource[element].get("type") in (None, "Patient"):
                yield element, system, value

    def _named(
        self, entry: Entry, place: Place, known: Known, kept_for: Mapping[str, str]
    ) -> Iterator[tuple[references.Found | None, str]]:
        """Yield every patient the entry has to do with, and the reference that says so."""
        if entry.type == "Patient" and (place.head or not entry.removes):
            yield None, place.id
        elif place.head and place.head.patient:
            # What is known to be about one patient cannot become another's.
            patient = place.head.patient
            yield None, kept_for.get(patient, patient) if place.head.deleted else patient
        for found in self._settled[entry.index]:
            if (entry.type, found.element) in MAY_POINT_ELSEWHERE | OF_SEVERAL:
                continue
            identity = references.local(found.target)
            if identity and identity[0] == "Patient":
                yield found, identity[1]
            elif identity and (head := known.heads.get(identity)) and head.patient:
                yield found, head.patient


def _own(entry: Entry, place: Place, resource: Json) -> str | None:
    if entry.type == "Patient":
        return place.id
    for element in PATIENT_ELEMENTS.get(entry.type, ()):
        holder = resource.get(element)
        reference = holder.get("reference") if isinstance(holder, dict) else None
        identity = references.local(reference) if isinstance(reference, str) else None
        if identity and identity[0] == "Patient":
            return identity[1]
    return None


def _may_dangle(entry: Entry, found: references.Found) -> bool:
    return (entry.type, found.element) in MAY_POINT_ELSEWHERE


def _unresolved(at: str) -> Issue:
    text = "the reference stands for nothing in this Bundle and nothing that is stored"
    return Issue(code="not-found", text=text, expression=at)
