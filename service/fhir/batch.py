"""FHIR batch: entries that have nothing to do with one another, each carried out and answered by itself.

    each entry, in the order DELETE, POST, PUT, PATCH, GET: turn, or 429 -> gate -> a transaction of its own

One that is refused harms no other. Each may be about another patient; none refers to another one of the
batch. With an Idempotency-Key each entry that was stored is answered again when the batch is sent again.

http://hl7.org/fhir/R4/http.html#transaction
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import msgspec
from flask import Response
from sqlalchemy import Connection

from fhir_profiles import reading
from service import errors
from service.fhir import entries, idempotency, inside, transaction
from service.fhir.entries import Entry, Read
from service.fhir.idempotency import Once
from service.fhir.transaction import Accepted
from service.store import content, idempotency_keys
from service.store.database import Database

ORDER = ("DELETE", "POST", "PUT", "PATCH", "GET")


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What every entry of a batch is carried out with."""

    database: Database
    tenant: int
    sender: str
    base: str
    #: a place among those who store, held for one entry
    turn: Callable[[], AbstractContextManager[None]]
    #: after the commit of an entry
    stored: Callable[[Accepted], None]
    #: refuses an entry that its sender may not ask for
    check: Callable[[Entry | Read], None]
    #: the Idempotency-Key of the batch
    key: str | None = None

    def answer(self, rows: Sequence[object]) -> dict[str, Any]:
        """Carry the entries out and return the batch-response, its entries in their order."""
        inside.refuse_many(sum(_rank(row) == ORDER.index("GET") for row in rows))
        lines: dict[int, Any] = {}
        for index in sorted(range(len(rows)), key=lambda place: _rank(rows[place])):
            try:
                lines[index] = self._entry(index, rows[index])
            except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer to this entry alone
                lines[index] = _refused(errors.answer(error))
        response: dict[str, Any] = {"resourceType": "Bundle", "type": "batch-response"}
        return {**response, "entry": [lines[index] for index in sorted(lines)]} if lines else response

    def _entry(self, index: int, row: object) -> Any:
        entry = entries.one_of(index, row, base=self.base)
        self.check(entry)
        if isinstance(entry, Read):
            with self.turn():
                return self.database.run(
                    lambda tx: inside.answer(tx, entry, base=self.base, tenant=self.tenant)
                )
        once = self._once(entry, row)
        with self.turn():
            transaction.check([entry])
            line, accepted = self.database.run(lambda tx: self._store(tx, entry, once))
        if accepted:
            self.stored(accepted)
        return line

    def _store(self, tx: Connection, entry: Entry, once: Once | None) -> tuple[Any, Accepted | None]:
        if once and (kept := idempotency_keys.hold(tx, once.key, tenant=self.tenant)):
            return reading.read(idempotency.replayed(kept, once).get_data()), None
        accepted = transaction.store(
            tx, [entry], tenant=self.tenant, sender=self.sender, base=self.base, repeatable=False
        )
        (line,) = accepted.response["entry"]
        if once:
            answer = Response(reading.write(line), content_type=errors.MEDIA_TYPE)
            idempotency_keys.keep(tx, once.key, idempotency.kept(answer, once), tenant=self.tenant)
        return line, accepted

    def _once(self, entry: Entry, row: object) -> Once | None:
        """Return by what the entry is known again, in a batch that is sent again or was corrected."""
        if self.key is None or not isinstance(row, dict):
            return None
        # No key of a client holds this character, so none is ever taken for another's.
        return Once(key=f"{self.key}\x1f{entry.index}", digest=content.digest(row))


def _rank(row: object) -> int:
    request = row.get("request") if isinstance(row, dict) else None
    method = request.get("method") if isinstance(request, dict) else None
    return ORDER.index(method) if method in ORDER else 0


def _refused(answer: Response) -> dict[str, Any]:
    status = f"{answer.status_code} {HTTPStatus(answer.status_code).phrase}"
    return {"response": {"status": status, "outcome": msgspec.Raw(answer.get_data())}}
