"""Records of one person that were joined."""

from sqlalchemy import (
    BigInteger,
    Column,
    Identity,
    Index,
    Integer,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)

from service.store.tables.base import INSTANT, metadata

joining = Table(
    "joining",
    metadata,
    # two records of one person that were joined: what is about `source` is kept for `target`
    Column("key", BigInteger, Identity(always=True), primary_key=True),
    Column("tenant", SmallInteger, nullable=False),
    Column("source", Text, nullable=False),  # the id of a Patient
    Column("target", Text, nullable=False),
    Column("at", INSTANT, nullable=False),  # service clock
    Column("who", Text, nullable=False),
    Column("run", Uuid, nullable=False),  # of the decisions that were written with it
    Column("mark", BigInteger, nullable=False),  # the highest `resource.key`: what has more came since
    Column("added", Text, nullable=False),  # JSON: what the Patient that stays was given
    Column("plans", Text, nullable=False, server_default=text("'[]'")),  # JSON: how each was joined
    Column("parted_at", INSTANT),  # null: it holds
    Column("parted_by", Text),
    # a record is joined with one other: of two who join it at once, the second one is told
    Index("joining_standing", "tenant", "source", unique=True, postgresql_where=text("parted_at IS NULL")),
    Index("joining_of_target", "tenant", "target", postgresql_where=text("parted_at IS NULL")),
)

joined_version = Table(
    "joined_version",
    metadata,
    # what was moved, so that it can go back: the version before and the one that was written
    Column("joining", BigInteger, nullable=False),
    Column("type", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("before", Integer, nullable=False),
    Column("after", Integer, nullable=False),
    Column("twin", Text),  # the id of the same fact of the other record, which was kept in its place
    Column("twin_version", Integer),
    PrimaryKeyConstraint("joining", "type", "id", name="joined_version_once"),
)
