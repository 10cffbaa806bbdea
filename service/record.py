"""Stored versions as the pathways read them."""

from pathways.record import Entry
from service.store.resources import Stored


def entry(stored: Stored) -> Entry:
    """Return a stored version as an entry of a record."""
    return Entry(
        type=stored.type,
        id=stored.id,
        version=stored.version,
        seq=stored.seq,
        received=stored.received,
        body=stored.resource,
    )
