"""What became of cards: ids, codes and times only. What was said twice is kept once."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from service.store import tables


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """What somebody did about one card."""

    service: str
    card: str
    outcome: str
    #: when it was done, as the client says
    at: datetime
    suggestions: tuple[str, ...] = ()
    reason_system: str | None = None
    reason_code: str | None = None


def add(tx: Connection, given: Iterable[Feedback], *, tenant: int, sender: str, now: datetime) -> None:
    """Keep what was said of cards.

    Args:
        sender: the issuer of the client's token; empty where callers are not told apart.
        now: the service clock.
    """
    rows = [
        {
            "tenant": tenant,
            "service": one.service,
            "card": one.card,
            "outcome": one.outcome,
            "outcome_at": one.at,
            "suggestions": list(one.suggestions),
            "reason_system": one.reason_system,
            "reason_code": one.reason_code,
            "sender": sender,
            "received": now,
        }
        for one in given
    ]
    if rows:
        tx.execute(insert(tables.cds_feedback).on_conflict_do_nothing(), rows)
