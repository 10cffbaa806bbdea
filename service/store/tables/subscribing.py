"""Subscriptions of other systems, and the events that they are told."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
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
    text,
)

from service.store.tables.base import INSTANT, NOW, metadata

subscription = Table(
    "subscription",
    metadata,
    Column("key", BigInteger, Identity(always=True), primary_key=True),
    Column("tenant", SmallInteger, nullable=False),
    Column("id", Text, nullable=False),
    Column("owner", Text, nullable=False),  # the sender who made it, who alone sees it
    Column("version", Integer, nullable=False),
    Column("changed_at", INSTANT, nullable=False, server_default=NOW),
    Column("body", Text, nullable=False),  # JSON as it was sent, without what stands in other columns
    Column("secret", Text, nullable=False),  # signs what is sent; nobody is ever told
    Column("topic", Text, nullable=False),  # its name
    Column("status", Text, nullable=False),  # requested, active, error, off
    Column("ends_at", INSTANT),
    Column("heartbeat_s", Integer),  # null: none is asked for
    Column("counting_since", INSTANT),  # events raised since are its own; null: none is
    Column("numbered", BigInteger, nullable=False, server_default=text("0")),  # the last number given
    Column("delivered", BigInteger, nullable=False, server_default=text("0")),  # the last one taken
    Column("attempts", Integer, nullable=False, server_default=text("0")),  # since the last that succeeded
    Column("slow", Boolean, nullable=False, server_default=text("false")),  # does not hold up others
    Column("retry_at", INSTANT),
    Column("lease_until", INSTANT),
    Column("leased_by", Uuid),
    Column("answer", Text),  # `subscriptions.answers.Kind` of the last attempt
    Column("http_status", SmallInteger),
    Column("tried_at", INSTANT),
    Column("succeeded_at", INSTANT),
    UniqueConstraint("tenant", "id", name="subscription_identity"),
    Index("subscription_of_owner", "tenant", "owner", "key"),
)

subscription_event = Table(
    "subscription_event",
    metadata,
    Column("subscription", BigInteger, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("topic", Text, nullable=False),
    Column("patient", Text),
    Column("type", Text, nullable=False),  # of what it is about, with id and version
    Column("id", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("at", INSTANT, nullable=False),
    Column("numbered_at", INSTANT, nullable=False, server_default=NOW),
    # a number means one event, whoever gives numbers at the same moment
    PrimaryKeyConstraint("subscription", "number", name="subscription_event_numbered_once"),
    Index("subscription_event_numbered_at", "numbered_at"),
)

raised_event = Table(
    "raised_event",
    metadata,
    # Written with the change it tells of, and taken away by whoever gives it its numbers.
    Column("key", BigInteger, Identity(always=True), primary_key=True),
    Column("tenant", SmallInteger, nullable=False),
    Column("topic", Text, nullable=False),
    Column("patient", Text),
    Column("type", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("labels", ARRAY(Text), nullable=False),  # `filter=value`, by which Subscriptions are narrowed
    Column("at", INSTANT, nullable=False),
    Column("raised_at", INSTANT, nullable=False, server_default=NOW),
)

overdue_task = Table(
    "overdue_task",
    metadata,
    Column("tenant", SmallInteger, nullable=False),
    Column("id", Text, nullable=False),
    Column("told_at", INSTANT, nullable=False, server_default=NOW),
    # an overdue Task is told once, by whichever sweep sees it first
    PrimaryKeyConstraint("tenant", "id", name="overdue_task_told_once"),
)
