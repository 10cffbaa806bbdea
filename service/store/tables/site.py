"""What the site has chosen, and its clock."""

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, Identity, Index, Table, Text, text

from service.store.tables.base import INSTANT, metadata

clock = Table(
    "clock",
    metadata,
    Column("one", Boolean, primary_key=True, server_default=text("true")),
    Column("now", INSTANT),  # null: the database's clock
    Column("held", Boolean, nullable=False, server_default=text("false")),
    # there is one service clock
    CheckConstraint("one", name="clock_one"),
)

site_parameter = Table(
    "site_parameter",
    metadata,
    # Append-only: the highest version holds, and who changed what stays readable.
    Column("version", BigInteger, Identity(always=True), primary_key=True),
    Column("at", INSTANT, nullable=False),
    Column("who", Text, nullable=False),
    Column("values", Text, nullable=False),
    Column("reason", Text, nullable=False, server_default=text("''")),
    Column("confirmed", Text, nullable=False, server_default=text("''")),  # the second person, if any
)

site_proposal = Table(
    "site_proposal",
    metadata,
    # another value of a parameter, which has no effect until a second person confirms it
    Column("key", BigInteger, Identity(always=True), primary_key=True),
    Column("at", INSTANT, nullable=False),
    Column("who", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("value", Text, nullable=False),  # JSON
    Column("reason", Text, nullable=False),
    Column("ended_at", INSTANT),  # null: it waits
    Column("ended_by", Text),
    Column("outcome", Text),  # confirmed, rejected
    # of two who propose a value of one parameter at once, one is told of the other
    Index("site_proposal_waiting", "name", unique=True, postgresql_where=text("ended_at IS NULL")),
)
