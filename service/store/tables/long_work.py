"""Work in steps that somebody watches: exports, and previews of a meaning."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)

from service.store.tables.base import INSTANT, NOW, metadata


def _lease_columns() -> list[Column[object]]:
    """Return by what long work is leased, repeated and ended, see `service.store.leased`."""
    return [
        Column("attempts", Integer, nullable=False, server_default=text("0")),  # since a step was done
        Column("lease_until", INSTANT),
        Column("leased_by", Uuid),
        Column("retry_at", INSTANT),
        Column("failed_reason", Text),
        Column("ended_at", INSTANT),  # null: it goes on
        Column("outcome", Text),  # finished, failed, cancelled
        Column("expires_at", INSTANT, nullable=False),
    ]


export = Table(
    "export",
    metadata,
    # What a system asked to be written into files, and how far that is. The row is the promise: whoever works
    # on it holds the lease. `until` and `since` follow the service clock, everything else the database's.
    Column("tenant", SmallInteger, nullable=False),
    Column("id", Text, nullable=False),
    Column("caller", Text, nullable=False),  # who asked; where callers are told apart, nobody else gets it
    Column("request", Text, nullable=False),  # the address
    Column("types", ARRAY(Text), nullable=False),  # in the order in which they are written
    Column("of_patients", Boolean, nullable=False),  # only what belongs to a patient
    Column("patients", ARRAY(Text)),  # to one of these; null: to any
    Column("elements", ARRAY(Text), nullable=False),  # empty: whole resources
    Column("filters", ARRAY(Text), nullable=False, server_default=text("'{}'")),  # Type?criteria
    Column("since", INSTANT),  # what was received before is left out
    Column("until", INSTANT, nullable=False),  # and this, which is the state that the files show
    Column("asked_at", INSTANT, nullable=False, server_default=NOW),
    Column("counts", Text),  # JSON: how many there are of each type, about; null: not begun
    # How far it is: the place among the types, and of that type the last version that was looked at.
    Column("place", Integer, nullable=False, server_default=text("0")),
    Column("reached_at", INSTANT),
    Column("reached_seq", BigInteger, nullable=False, server_default=text("0")),
    Column("gone", BigInteger, nullable=False, server_default=text("0")),  # versions of that type
    *_lease_columns(),
    PrimaryKeyConstraint("tenant", "id", name="export_pkey"),
    Index("export_unfinished", "tenant", "asked_at", postgresql_where=text("ended_at IS NULL")),
)

export_chunk = Table(
    "export_chunk",
    metadata,
    # a piece of a file of an export; all nodes share the database and no disk
    Column("tenant", SmallInteger, nullable=False),
    Column("export", Text, nullable=False),
    Column("file", Integer, nullable=False),
    Column("number", Integer, nullable=False),
    Column("kind", Text, nullable=False),  # output, deleted, error
    Column("type", Text, nullable=False),  # of the resources in it
    Column("lines", Integer, nullable=False),
    Column("size", Integer, nullable=False),  # bytes
    Column("patients", ARRAY(Text), nullable=False),  # whose data are in it
    Column("body", Text, nullable=False),
    # a piece is written once, whoever repeats the work
    PrimaryKeyConstraint("tenant", "export", "file", "number", name="export_chunk_pkey"),
)

preview = Table(
    "preview",
    metadata,
    # What would follow if a code had a meaning, or had one no more. The row is the promise to try it; whoever
    # works on it holds the lease. `seen_at` follows the service clock, everything else the database's.
    Column("tenant", SmallInteger, nullable=False),
    Column("id", Text, nullable=False),  # derived from what is asked: one preview of each question
    Column("source", ARRAY(Text), nullable=False),  # system and code
    Column("target", ARRAY(Text), nullable=False),
    Column("gives", Boolean, nullable=False),  # false: the meaning is taken away
    Column("asked_by", Text, nullable=False),  # a reference, or empty
    Column("maps", Text, nullable=False),  # the state of the ConceptMaps then
    Column("patients", ARRAY(Text), nullable=False),  # in the order in which they are tried
    Column("asked_at", INSTANT, nullable=False, server_default=NOW),
    Column("seen_at", INSTANT, nullable=False),
    Column("gone", Integer, nullable=False, server_default=text("0")),  # how many were tried
    *_lease_columns(),
    PrimaryKeyConstraint("tenant", "id", name="preview_pkey"),
    Index("preview_unfinished", "tenant", "asked_at", postgresql_where=text("ended_at IS NULL")),
)

preview_effect = Table(
    "preview_effect",
    metadata,
    # a patient for whom something would be different, or who is not evaluated already now
    Column("tenant", SmallInteger, nullable=False),
    Column("preview", Text, nullable=False),
    Column("number", Integer, nullable=False),  # the place among the patients
    Column("patient", Text, nullable=False),
    Column("effects", Text, nullable=False),  # JSON
    Column("failed", Text),  # the CQL definition that errs already now, or the name of another error
    PrimaryKeyConstraint("tenant", "preview", "number", name="preview_effect_pkey"),
)
