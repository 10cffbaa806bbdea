"""What was decided, and on what."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Column,
    Identity,
    Index,
    Integer,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
)

from service.store.tables.base import INSTANT, metadata

decision = Table(
    "decision",
    metadata,
    Column("key", BigInteger, Identity(always=True), primary_key=True),
    Column("tenant", SmallInteger, nullable=False),
    Column("patient", Text, nullable=False),
    Column("pathway", Text, nullable=False),
    Column("instance", Text, nullable=False),  # a side word; empty for the person
    Column("number", Integer, nullable=False),
    Column("at", INSTANT, nullable=False),
    Column("run", Uuid, nullable=False),
    Column("rule", Text, nullable=False),
    Column("before", Text, nullable=False),
    Column("after", Text, nullable=False),
    Column("basis", Text, nullable=False),
    # two evaluations of one patient cannot both write the next decision
    UniqueConstraint("tenant", "patient", "pathway", "instance", "number", name="decision_next"),
    Index("decision_of_run", "tenant", "run"),
)

evaluation = Table(
    "evaluation",
    metadata,
    Column("tenant", SmallInteger, nullable=False),
    Column("run", Uuid, nullable=False),
    Column("patient", Text, nullable=False),
    Column("read", ARRAY(BigInteger), nullable=False),  # `seq` of each version that was there
    # what the decisions of one evaluation rest on is said once
    PrimaryKeyConstraint("tenant", "run", name="evaluation_once"),
)
