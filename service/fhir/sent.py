"""What is written down of a request that stores: also when it is refused, and never anything it holds.

    accepted   in the transaction that stores: there is a row for what was stored, and for nothing else
    refused    after the answer is known, in a transaction of its own; where that fails, the answer stands

What was turned away before it was looked at (429, 503) is sent again, and counted elsewhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
from flask import Response, g, request
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from service import log
from service.auth import calling
from service.fhir import senders
from service.fhir.transaction import Accepted
from service.store import sendings
from service.store.database import Database

NOT_LOOKED_AT = (429, 503)


@dataclass(slots=True, kw_only=True)
class Sent:
    """What is known so far of the request that is answered."""

    interaction: str
    sender: str = field(default_factory=lambda: calling.caller().name)
    #: None: it could not be read
    entries: int | None = None
    refused: int = 0
    patients: list[str] = field(default_factory=list)
    stored: list[str] = field(default_factory=list)
    repeated: bool = False
    written: bool = False


def begin() -> Sent:
    """Note that the request wants something to be stored."""
    g.sent = Sent(interaction=str(request.endpoint).partition(".")[2])
    found: Sent = g.sent
    return found


def read(bundle: dict[str, Any]) -> None:
    """Note who sends, and how many entries."""
    sent: Sent = g.sent
    entries = bundle.get("entry", [])
    sent.entries = len(entries) if isinstance(entries, list) else None
    if not calling.caller().is_known:
        sent.sender = senders.sender_of(bundle)
    if bundle.get("type") == "batch":
        sent.interaction = "batch"


def note(accepted: Accepted) -> None:
    """Note what an entry of a batch has stored."""
    sent: Sent = g.sent
    sent.patients += accepted.patients
    sent.stored += accepted.versions


def write_accepted(tx: Connection, accepted: Accepted, status: int, *, tenant: int) -> None:
    """Write the request down with what it stores; nothing is waited for.

    It is not noted: the database may still refuse it, and the request is then written down as refused.
    """
    _add(tx, g.sent, status, patients=accepted.patients, stored=accepted.versions, tenant=tenant)


def write_others(response: Response, database: Database, *, tenant: int) -> None:
    """Write the request down if it was refused, answered as before, or a batch."""
    sent: Sent | None = g.get("sent")
    status = response.status_code
    if sent is None or sent.written or status in NOT_LOOKED_AT:
        return
    if status >= 400:
        sent.refused = sent.entries or 0
    try:
        with database.transaction() as tx:
            _add(tx, sent, status, patients=sent.patients, stored=sent.stored, tenant=tenant)
    except (SQLAlchemyError, psycopg.Error) as error:
        # The answer stands. A list of requests with one missing does less harm than a second answer.
        log.get().warning("sending not written down", status=status, error=type(error).__name__)


def _add(
    tx: Connection, sent: Sent, status: int, *, patients: Sequence[str], stored: Sequence[str], tenant: int
) -> None:
    sendings.add(
        tx,
        tenant=tenant,
        sender=sent.sender,
        interaction=sent.interaction,
        status=status,
        entries=sent.entries,
        refused=sent.refused,
        patients=patients,
        stored=list(dict.fromkeys(stored)),
        repeated=sent.repeated,
    )
