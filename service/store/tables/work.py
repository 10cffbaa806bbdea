"""What is promised and under way: the queue, who is at work, and what must be looked at again."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    Identity,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

from service.store.tables.base import INSTANT, metadata

arrival = Table(
    "arrival",
    metadata,
    # What is wanted and not done. Intake only inserts and a worker only deletes what its
    # snapshot saw, so neither ever waits for the other and no arrival is forgotten.
    Column("key", BigInteger, Identity(always=True), primary_key=True),
    Column("tenant", SmallInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("patient", Text, nullable=False),
    Column("received", INSTANT, nullable=False),
    Column("due_at", INSTANT, nullable=False),
    Column("settles", Boolean, nullable=False),  # a later arrival may move the due date
    Column("forced", Boolean, nullable=False),  # asked for by a person, even while the clock is held
    Column("arrived_at", INSTANT, nullable=False, server_default=text("clock_timestamp()")),
    Index("arrival_of_patient", "tenant", "kind", "patient"),
)

promise = Table(
    "promise",
    metadata,
    Column("key", BigInteger, Identity(always=True), primary_key=True),
    Column("tenant", SmallInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("patient", Text, nullable=False),
    Column("due_at", INSTANT),  # the next timer; null: nothing to wait for
    Column("lease_until", INSTANT),
    Column("leased_by", Uuid),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("retry_at", INSTANT),  # after a failure, not before
    Column("failed_reason", Text),
    Column("parked_at", INSTANT),  # given up until a person or new data say otherwise
    Column("done_at", INSTANT),  # service clock of the last evaluation that succeeded
    Column("tried", ARRAY(BigInteger)),  # the arrivals that were there when the last attempt began
    # one worker at a time for a patient and a kind of work: the lease is on this row
    UniqueConstraint("tenant", "kind", "patient", name="promise_one_per_patient"),
    Index("promise_due", "due_at", postgresql_where=text("due_at IS NOT NULL AND parked_at IS NULL")),
    Index("promise_parked", "tenant", "parked_at", postgresql_where=text("parked_at IS NOT NULL")),
)

retranslation = Table(
    "retranslation",
    metadata,
    # One row for a tenant: how far what is stored was brought in line with the ConceptMaps.
    Column("tenant", SmallInteger, primary_key=True),
    Column("maps", Text, nullable=False),  # the state of the ConceptMaps, see `Site.concept_maps`
    Column("reached", BigInteger, nullable=False),  # `resource.key` up to which it was looked at
    Column("until", BigInteger, nullable=False),  # the highest key when it began
    Column("changed", Integer, nullable=False),  # resources that were given a new version
    Column("looks", SmallInteger, nullable=False),  # how often all was looked at
    Column("began_at", INSTANT, nullable=False),  # the database's clock
)

heartbeat = Table(
    "heartbeat",
    metadata,
    # when each kind of process was last seen alive, by the database's clock
    Column("process", Text, primary_key=True),
    Column("seen_at", INSTANT, nullable=False),
)
