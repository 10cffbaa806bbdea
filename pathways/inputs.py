"""The gate between a record and the rules: accepted inputs, inputs set aside, and why.

It reads the pathway's input table (decisions: "what CQL reads"). What passes is an accepted version, with a
usable time, a canonical value and a side; rules see nothing else. What does not pass is named with an issue.
Nothing here knows what an input means (clinical-rules 3).
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from typing import Any

import msgspec

from pathways.record import Entry, Json, Record, pairs
from pathways.sides import BOTH, Sides
from pathways.values import A_DAY, Unusable, Value, read, unknown, with_parts

#: how far ahead of its receipt a time may lie, because clocks differ
TOLERANCE = timedelta(minutes=5)
REPORT_ACCEPTED = frozenset({"final", "amended", "corrected", "appended"})
WITHDRAWN = frozenset({"entered-in-error", "cancelled"})
PERFORMED = frozenset({"completed"})


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """An accepted input. `sides` is empty when it is about the person."""

    input: str
    title: str
    entry: Entry
    at: datetime
    sides: frozenset[str]
    canonical: Json
    words: str
    by: str | None
    reports: tuple[str, ...] = ()

    def counts_for(self, instance: str) -> bool:
        """Return whether the fact counts for the instance: it is about its side, or about the person."""
        return not self.sides or instance in self.sides


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAside:
    """An input that cannot be used, with the code of the first check that failed."""

    issue: str
    title: str
    entry: Entry
    #: the sides it states, usable or not; empty: none
    sides: frozenset[str] = frozenset()
    by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What the record says to one pathway, facts in the order of receipt."""

    facts: tuple[Fact, ...] = ()
    set_aside: tuple[SetAside, ...] = ()
    #: positive urgent inputs whose status is not accepted yet
    preliminary: tuple[Fact, ...] = ()
    usable: frozenset[str] = field(default_factory=frozenset)

    def of(self, side: str, *, until: datetime) -> tuple[Fact, ...]:
        """Return the facts that count for one side: its own and the person's, not from the future."""
        limit = until + TOLERANCE
        return tuple(f for f in self.facts if f.counts_for(side) and f.at <= limit)


class Gate:
    """The input table of one pathway, indexed by code."""

    def __init__(self, table: Mapping[str, Any]) -> None:
        self._sides = Sides(table.get("sides", {}))
        self._by_code: dict[tuple[str, str, str], Json] = {}
        self._report_sides: dict[tuple[str, str], tuple[str, str]] = {}
        self._inputs: dict[str, Json] = {}
        self._concepts: dict[str, Json] = {}
        named = Counter(definition["title"] for definition in table["inputs"])
        for definition in table["inputs"]:
            if named[definition["title"]] > 1:
                # Whoever reads the reasons must see which of them it was.
                definition = {**definition, "title": definition["codes"][0]["display"]}
            self._inputs[definition["id"]] = definition
            # Shared by all facts of the input, and never changed.
            self._concepts[definition["id"]] = {"coding": [_coding(code) for code in definition["codes"][:1]]}
            for code in definition["codes"]:
                self._by_code[definition["resource"], code["system"], code["code"]] = definition
            reports = definition.get("reportCodes", {})
            for side in ("left", "right", "both", "none"):
                for code in reports.get(side, ()):
                    self._report_sides[reports["system"], code] = (definition["id"], side)

    @property
    def codes(self) -> frozenset[tuple[str, str]]:
        """Return every (system, code) that may be an input: what must be loaded of a record."""
        coded = {(system, code) for kind, system, code in self._by_code if kind != "Task"}
        return frozenset(coded | set(self._report_sides))

    @property
    def rows(self) -> tuple[Json, ...]:
        """Return the rows of the input table."""
        return tuple(self._inputs.values())

    def wanted(self, resource: Mapping[str, Any]) -> Json | None:
        """Return the row of the input table by which a resource is read; None: it is no input."""
        return self._definition(str(resource.get("resourceType")), resource)

    def urgent(self, resource: Mapping[str, Any]) -> bool:
        """Return whether the resource is an input that must not wait: a positive one of the urgent kind."""
        definition = self.wanted(resource)
        if definition is None or not definition.get("urgentWhenTrue"):
            return False
        try:
            return read(resource, definition["value"]).positive is True
        except Unusable:
            return False

    def sides_of(self, entry: Entry, structures: Mapping[str, Json]) -> frozenset[str]:
        """Return the sides that a resource states, an output of a pathway among them."""
        return self._sides.named(entry, structures) | self._sides.of_output(entry.body)

    def standing(self, entry: Entry, record: Record) -> str | None:
        """Return "accepted", "early" or "withdrawn", as its status and its reports say; None: no input."""
        definition = self._definition(entry.type, entry.body)
        if definition is None:
            return None
        return _standing(entry, definition, _reports(record.received).get(entry.reference, ()))

    def read(self, record: Record, zone: tzinfo) -> Inputs:
        """Return the inputs of the record. Times are turned into the zone of the site."""
        structures = {e.reference: e.body for e in record.received if e.type == "BodyStructure"}
        reports = _reports(record.received)
        times = _Times(zone)
        facts: list[Fact] = []
        aside: list[SetAside] = []
        early: list[Fact] = []
        usable: set[str] = set()
        for entry in sorted(record.received, key=lambda e: e.seq):
            if entry.type == "DiagnosticReport":
                scan = self._scan(entry, record, times)
                facts += [scan] if scan else []
                continue
            definition = self._definition(entry.type, entry.body)
            if definition is None:
                continue
            reference = entry.reference
            answering = reports.get(reference, ())
            standing = _standing(entry, definition, answering)
            if standing == "withdrawn" or (standing == "early" and not definition.get("urgentWhenTrue")):
                continue
            try:
                fact = self._fact(entry, definition, record, structures, answering, times)
            except Unusable as problem:
                if standing == "accepted":
                    sides = self._sides.named(entry, structures)
                    aside.append(
                        SetAside(
                            issue=problem.issue,
                            title=definition["title"],
                            entry=entry,
                            sides=sides,
                            by=_author(entry.body, record.people),
                        )
                    )
                continue
            if fact is None:
                continue
            if standing == "accepted":
                facts.append(fact)
                usable.add(reference)
            elif fact.canonical.get("valueBoolean"):
                early.append(fact)
        return Inputs(
            facts=tuple(facts), set_aside=tuple(aside), preliminary=tuple(early), usable=frozenset(usable)
        )

    def _definition(self, kind: str, body: Mapping[str, Any]) -> Json | None:
        code = body.get("code")
        if kind == "Task" or not isinstance(code, dict):
            return None
        for coding in code.get("coding", ()):
            found = self._by_code.get((kind, coding.get("system", ""), coding.get("code", "")))
            if found is not None:
                return found
        return None

    def _fact(
        self,
        entry: Entry,
        definition: Json,
        record: Record,
        structures: Mapping[str, Json],
        reports: Sequence[Entry],
        times: "_Times",
    ) -> Fact | None:
        """Return the fact, None where the sender says there is no value.

        Raises:
            Unusable: a check failed, in the order of clinical-rules 3.2.
        """
        at, written = times.of(entry.body, definition["resource"])
        if at > entry.received + TOLERANCE:
            raise Unusable("future-dated")
        value = self._value(entry, definition)
        if value is None:
            return None
        sides = self._check_sides(entry, definition, record, structures, reports)
        return Fact(
            input=definition["id"],
            title=definition["title"],
            entry=entry,
            at=at,
            sides=sides,
            canonical=self._canonical(entry, definition, written, value, sides),
            words=value.words,
            by=_author(entry.body, record.people),
            reports=tuple([r.reference for r in reports]),
        )

    def _value(self, entry: Entry, definition: Json) -> Value | None:
        if definition["value"]["types"] == ["performed"]:
            return Value(elements={}, words=_display(entry.body, definition))
        if "dataAbsentReason" in entry.body and not _is_valued(entry.body):
            return unknown(definition["value"])
        return with_parts(read(entry.body, definition["value"]), entry.body, definition["value"])

    def _check_sides(
        self,
        entry: Entry,
        definition: Json,
        record: Record,
        structures: Mapping[str, Json],
        reports: Sequence[Entry],
    ) -> frozenset[str]:
        if definition["side"] == "ignored":
            return frozenset()
        stated = self._sides.stated(entry, structures)
        single = {side for side in stated if side != BOTH}
        listed = isinstance(entry.body.get("bodySite"), list) and len(entry.body["bodySite"]) > 1
        bilateral = (not single and BOTH in stated) or (listed and len(single) > 1)
        if not stated and definition["side"] == "required":
            raise Unusable("missing-laterality")
        if bilateral and definition["bilateral"] == "reject":
            raise Unusable("missing-laterality")
        elsewhere = self._sides_elsewhere(entry, record, reports)
        claimed = single if bilateral and listed else single | elsewhere
        if not bilateral and len(claimed) > 1:
            raise Unusable("side-mismatch")
        return frozenset({"left", "right"} if bilateral else single)

    def _sides_elsewhere(self, entry: Entry, record: Record, reports: Sequence[Entry]) -> set[str]:
        """Return the single sides named by the report and by the order that is answered."""
        found: set[str] = set()
        if not reports and "basedOn" not in entry.body:
            return found
        for report in reports:
            for code in pairs(report.body.get("code")):
                side = self._report_sides.get(code, ("", ""))[1]
                found |= {side} & {"left", "right"}
        for resource in (entry.body, *(r.body for r in reports)):
            for answered in resource.get("basedOn", ()):
                own = record.own.get(answered.get("reference", "").partition("/_history")[0])
                found |= self._sides.of_output(own.body) if own else set()
        return found

    def _canonical(
        self, entry: Entry, definition: Json, written: str, value: Value, sides: frozenset[str]
    ) -> Json:
        """Return the fact as the rules read it.

        Args:
            written: its time.
        """
        performed = entry.type == "Procedure"
        concept = self._concepts[definition["id"]]
        if performed:
            stated = pairs(entry.body.get("code"))
            coding = next(c for c in definition["codes"] if (c["system"], c["code"]) in stated)
            concept = {"coding": [_coding(coding)]}
        canonical: Json = {
            "resourceType": entry.type,
            "id": entry.id,
            "meta": {"versionId": str(entry.version)},
            "status": "completed" if performed else "final",
            "code": concept,
            "performedDateTime" if performed else "effectiveDateTime": written,
            **value.elements,
        }
        if sides:
            site = {"coding": [{"code": side} for side in sorted(sides)]}
            canonical["bodySite"] = [site] if performed else site
        return canonical

    def _scan(self, entry: Entry, record: Record, times: "_Times") -> Fact | None:
        """Return that a scan was performed whose report is still to come."""
        definition = self._inputs.get("scan")
        kinds = [self._report_sides[c] for c in pairs(entry.body.get("code")) if c in self._report_sides]
        if (
            definition is None
            or not kinds
            or entry.body.get("status") not in definition["status"]["accepted"]
        ):
            return None
        kind, side = kinds[0]
        sides = {"left": {"left"}, "right": {"right"}, "both": {"left", "right"}}.get(side)
        sides = sides or self._sides_elsewhere(entry, record, (entry,))
        try:
            at, written = times.of(entry.body, "Observation")
        except Unusable:
            return None
        coded = self._inputs[kind]
        canonical = {
            "resourceType": "DiagnosticReport",
            "id": entry.id,
            "meta": {"versionId": str(entry.version)},
            "status": entry.body["status"],
            "code": self._concepts[kind],
            "effectiveDateTime": written,
        }
        return Fact(
            input="scan",
            title=definition["title"],
            entry=entry,
            at=at,
            sides=frozenset(sides),
            canonical=canonical,
            words=coded["title"],
            by=_author(entry.body, record.people),
        )


def _reports(entries: Iterable[Entry]) -> dict[str, tuple[Entry, ...]]:
    found: dict[str, tuple[Entry, ...]] = {}
    for entry in entries:
        if entry.type == "DiagnosticReport":
            for result in entry.body.get("result", ()):
                reference = result.get("reference", "").partition("/_history")[0]
                found[reference] = (*found.get(reference, ()), entry)
    return found


def _standing(entry: Entry, definition: Json, reports: Sequence[Entry]) -> str:
    """Return "accepted", "early" or "withdrawn": the weaker of the resource and its reports."""
    accepted = PERFORMED if definition["resource"] == "Procedure" else definition["status"]["accepted"]
    own = _status(entry.body.get("status"), accepted)
    if not reports:
        return own
    stated = {own} | {_status(r.body.get("status"), REPORT_ACCEPTED) for r in reports}
    return next(s for s in ("withdrawn", "early", "accepted") if s in stated)


def _status(status: Any, accepted: Collection[str]) -> str:
    if status in WITHDRAWN:
        return "withdrawn"
    return "accepted" if status in accepted else "early"


class _Times:
    """The clinical times of one record, in the zone of the site; what came together has the same."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._known: dict[str, tuple[datetime, str]] = {}

    def of(self, body: Mapping[str, Any], kind: str) -> tuple[datetime, str]:
        """Return the time that a resource states, and how the rules read it.

        Raises:
            Unusable: it states none, or one that has no counterpart at the site.
        """
        text = _stated_time(body, kind)
        if text not in self._known:
            at = _time(text, self._zone)
            self._known[text] = at, at.isoformat(timespec="milliseconds")
        return self._known[text]


def _stated_time(body: Mapping[str, Any], kind: str) -> str:
    if kind == "Procedure":
        period = body.get("performedPeriod", {})
        text = body.get("performedDateTime") or period.get("end") or period.get("start")
    else:
        period = body.get("effectivePeriod", {})
        text = body.get("effectiveDateTime") or body.get("effectiveInstant")
        text = text or period.get("end") or period.get("start")
    return text or ""


def _time(text: str, zone: tzinfo) -> datetime:
    """Return the instant. A date without a time is the start of that day at the site."""
    if not A_DAY.match(text):
        raise Unusable("missing-effective-time")
    stated = datetime.fromisoformat(text)
    if len(text) == 10:
        return stated.replace(tzinfo=zone)
    try:
        return stated.astimezone(zone)
    except OverflowError:
        # The first and the last day of the calendar may have no counterpart in the zone of the site.
        raise Unusable("future-dated" if stated.year > 1 else "missing-effective-time") from None


def _coding(code: Json) -> Json:
    """Return the coding of a code of the table, without what the table says about it."""
    return {"system": code["system"], "code": code["code"], "display": code["display"]}


def _display(body: Mapping[str, Any], definition: Json) -> str:
    stated = pairs(body.get("code"))
    named = (c["display"] for c in definition["codes"] if (c["system"], c["code"]) in stated)
    return str(next(named, definition["title"]))


def _is_valued(body: Mapping[str, Any]) -> bool:
    return "component" in body or any(name.startswith("value") for name in body)


def _author(body: Mapping[str, Any], people: Mapping[str, str]) -> str | None:
    performers = body.get("performer", ())
    if not performers:
        return None
    first = performers[0].get("actor", performers[0])
    known = people.get(first.get("reference", ""))
    return known or first.get("display")
