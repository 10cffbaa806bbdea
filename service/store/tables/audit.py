"""Who read and changed what, sealed so that a change is noticed."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Column,
    Identity,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
)

from service.store.tables.base import INSTANT, metadata

access = Table(
    "access",
    metadata,
    # who saw or did what, once for each request; never changed
    Column("key", BigInteger, Identity(always=True), primary_key=True),
    Column("tenant", SmallInteger, nullable=False),
    Column("at", INSTANT, nullable=False),  # the database's clock
    Column("who", Text, nullable=False),  # a reference to who acts; empty: nobody was chosen
    Column("action", Text, nullable=False),  # a code of AuditEvent.action: R, E, ...
    Column("place", Text, nullable=False),  # the template of the route, never the address
    Column("reference", Text),  # Type/id, where one resource was asked for
    Column("patients", ARRAY(Text), nullable=False),  # ids of whose data were in the answer
    Column("status", SmallInteger, nullable=False),  # of the answer; 0: written before there was one
    Index("access_of_patient", "patients", postgresql_using="gin"),
    # what happened on a day
    Index("access_at", "tenant", "at"),
    # what a person opened last
    Index("access_of_reader", "tenant", "who", "place", "key"),
)

seal = Table(
    "seal",
    metadata,
    # the chain: each link holds the hash of the one before
    Column("tenant", SmallInteger, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("at", INSTANT, nullable=False),  # the database's clock
    Column("entries", Integer, nullable=False),
    Column("hash", LargeBinary, nullable=False),
)

sealed = Table(
    "sealed",
    metadata,
    # which entries a link holds, each with the digest it had then
    Column("tenant", SmallInteger, nullable=False),
    Column("source", Text, nullable=False),
    Column("key", BigInteger, nullable=False),
    Column("number", Integer, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    PrimaryKeyConstraint("tenant", "source", "key", name="sealed_once"),
    Index("sealed_of_link", "tenant", "number"),
)
