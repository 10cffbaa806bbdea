"""Write an export into files, step by step: versions as they were -> lines -> pieces of files, place.

What is in memory at one time is one page, whatever the size of the record. Between two steps a worker looks
whether a patient waits to be evaluated, and lets go of the export then: the sweep has it taken up again.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from sqlalchemy import Connection

from fhir_profiles import reading
from service.fhir import exporting, indexed, subset, terminology, type_filters
from service.fhir.subset import Shape
from service.store import as_at, as_written, content, export_files, exports, leased, resources
from service.store.as_at import Condition, Name, Selection
from service.store.database import Database
from service.store.export_files import File
from service.store.exports import Export
from service.store.leased import Claim, LeaseLost
from worker import steps

#: how long one step goes on
STEP_S = 2.0
#: what one page holds at most: versions, and bytes
PAGE, PAGE_BYTES = 200, 4 * 1024 * 1024
#: what one file holds at most, so that the record of who read it names a bounded number of patients
FILE, FILE_BYTES = 5_000, 16 * 1024 * 1024


def run(
    database: Database,
    tenant: int,
    id_: str,
    *,
    for_s: float = steps.TASK_S,
    step_s: float = STEP_S,
    after_step: Callable[[], None] = lambda: None,
) -> bool:
    """Write steps of an export, as `steps.run` does them, and return whether one was written."""
    return steps.run(
        database,
        "export",
        id_,
        lambda tx, claim: _write(tx, claim, step_s),
        tenant=tenant,
        for_s=for_s,
        after_step=after_step,
    )


def _write(tx: Connection, claim: Claim, step_s: float) -> bool:
    """Do all the work of one step; return whether it was the last.

    A filter may take as long as a statement may. So the time is looked at before each that asks one, and what
    was found has the time of a step to be written: else the filter would be asked again for each page.
    """
    over = time.monotonic() + step_s
    export = exports.find(tx, claim.id, tenant=claim.tenant)
    if export is None:
        # Expired, or cancelled since it was claimed.
        raise LeaseLost
    wanted = _selection(export, claim.tenant)
    filters = _Filters(tx, export, claim.tenant)
    counts = export.counts
    if counts is None:
        counts = filters.counts(wanted, until=over)
        if export.asked.filters and time.monotonic() >= over:
            exports.reached(tx, claim, counts, place=0, after=None, gone=0)
            return False
    files = _Files(tx, claim)
    place, after, gone = export.place, export.reached, export.gone
    types = export.asked.types
    end: float | None = None
    while place < len(types):
        shape = exporting.shape_of(types[place], export.asked.elements)
        selection = filters.of(types[place], wanted)
        found = as_at.names(tx, types[place], selection, after=after)
        if end is None:
            end = time.monotonic() + step_s
        for page in _pages(found):
            files.write(types[place], filters.kept(types[place], page), shape)
            after, gone = page[-1].place, gone + len(page)
            if time.monotonic() >= end:
                exports.reached(tx, claim, counts, place=place, after=after, gone=gone)
                return False
        if len(found) < as_at.FETCHED:
            place, after, gone = place + 1, None, 0
        if place < len(types) and time.monotonic() >= over:
            exports.reached(tx, claim, counts, place=place, after=after, gone=gone)
            return False
    leased.finished(tx, claim)
    return True


def _selection(export: Export, tenant: int) -> Selection:
    asked = export.asked
    return Selection(
        tenant=tenant,
        until=asked.until,
        since=asked.since,
        of_patients=asked.of_patients,
        patients=asked.patients,
        # What was removed is told to whoever asks what has changed, and to nobody else.
        removed=asked.since is not None,
    )


def _pages(names: Iterable[Name]) -> Iterator[list[Name]]:
    """Yield the versions so many at a time as may be in memory together; one alone may be larger."""
    page: list[Name] = []
    size = 0
    for name in names:
        if page and (len(page) >= PAGE or size + name.size > PAGE_BYTES):
            yield page
            page, size = [], 0
        page.append(name)
        size += name.size
    if page:
        yield page


class _Filters:
    """The searches that limit what is written of a type, read once in a step."""

    def __init__(self, tx: Connection, export: Export, tenant: int) -> None:
        """Read them."""
        self._tx, self._types, self._tenant = tx, export.asked.types, tenant
        known, base = terminology.of_transaction(tx, tenant=tenant), exporting.base_of(export)
        if export.asked.filters:
            # Rows of another release would leave something out.
            indexed.refuse_unindexed(tx, tenant=tenant)

        def condition(type_: str, *, few: bool) -> Condition | None:
            found = type_filters.condition(
                export.asked.filters, type_, base=base, terminology=known, tenant=tenant, few=few
            )
            return as_at.condition(found.text, found.values) if found else None

        limited = {text.partition("?")[0] for text in export.asked.filters}
        of_some = export.asked.patients is not None
        self._current = {type_: condition(type_, few=of_some) for type_ in limited}
        self._superseded = {type_: condition(type_, few=True) for type_ in limited}

    def of(self, type_: str, wanted: Selection) -> Selection:
        """Return the selection of a type."""
        return replace(wanted, condition=self._current.get(type_))

    def counts(self, wanted: Selection, *, until: float) -> dict[str, int]:
        """Return how many resources there are of each type, about.

        Args:
            until: when no further filter is asked; of types that are left the progress tells nothing.
        """
        whole = [type_ for type_ in self._types if type_ not in self._current]
        found = as_at.counts(self._tx, whole, wanted)
        for type_ in self._current:
            if time.monotonic() >= until:
                break
            found |= as_at.counts(self._tx, [type_], self.of(type_, wanted))
        return found

    def kept(self, type_: str, page: list[Name]) -> list[Name]:
        """Return the versions of a page that fulfil the searches; those that are current do."""
        condition = self._superseded.get(type_)
        asked = {
            (type_, name.id, name.version)
            for name in page
            if condition is not None and not (name.current or name.deleted)
        }
        if condition is None or not asked:
            return page
        versions = resources.versions(self._tx, asked, tenant=self._tenant)
        left = asked - as_written.matching(self._tx, versions.values(), condition, tenant=self._tenant)
        return [name for name in page if (type_, name.id, name.version) not in left]


class _Files:
    """The files of an export, of which the last of each kind is added to."""

    def __init__(self, tx: Connection, claim: Claim) -> None:
        """See what is there."""
        self._tx, self._claim = tx, claim
        known = export_files.of(tx, claim.id, tenant=claim.tenant)
        self._next = max((file.number for file in known), default=0) + 1
        self._open = {file.kind: file for file in known}

    def write(self, type_: str, page: Sequence[Name], shape: Shape) -> None:
        """Write a page of versions of one type: what is there, and what was removed."""
        there = [name for name in page if not name.deleted]
        removed = [name for name in page if name.deleted]
        if there:
            bodies = resources.versions(
                self._tx, [(type_, name.id, name.version) for name in there], tenant=self._claim.tenant
            )
            # What is stored is written without line breaks.
            lines = [subset.of(bodies[type_, name.id, name.version].body, shape) for name in there]
            self._add("output", type_, lines, there)
        if removed:
            self._add("deleted", "Bundle", [_removed(type_, removed)], removed)

    def _add(self, kind: str, type_: str, lines: Sequence[str], names: Sequence[Name]) -> None:
        body = "".join(f"{line}\n" for line in lines)
        file = self._open.get(kind)
        fits = (
            file is not None
            and file.type == type_
            and file.lines + len(lines) <= FILE
            and file.size + len(body) <= FILE_BYTES
        )
        if file is None or not fits:
            file = File(number=self._next, kind=kind, type=type_, lines=0, size=0, chunks=0)
            self._next += 1
        self._open[kind] = export_files.add(
            self._tx,
            self._claim.id,
            file,
            body,
            len(lines),
            [name.patient for name in names if name.patient],
            tenant=self._claim.tenant,
        )


def _removed(type_: str, names: Sequence[Name]) -> str:
    """Return the transaction that removes the same elsewhere, as one line."""
    entries = [{"request": {"method": "DELETE", "url": f"{type_}/{name.id}"}} for name in names]
    newest = content.instant(max(name.received for name in names))
    bundle = {
        "resourceType": "Bundle",
        "meta": {"lastUpdated": newest},
        "type": "transaction",
        "entry": entries,
    }
    return reading.write(bundle).decode()
