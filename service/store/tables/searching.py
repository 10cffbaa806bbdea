"""By what resources are found."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, Numeric, SmallInteger, Table, Text, text
from sqlalchemy.dialects.postgresql import TSVECTOR

from service.store.tables.base import INSTANT, metadata

search_value = Table(
    "search_value",
    metadata,
    # The values go when the current version goes, so that no search finds what is no more. No foreign key
    # says so: checking it would cost as much as the row, and keys are never used again.
    Column("key", BigInteger, nullable=False),
    Column("tenant", SmallInteger, nullable=False),
    Column("type", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("system", Text, nullable=False),  # empty for references and plain codes
    Column("value", Text, nullable=False),
    # of a repeating element: which one; composites find what stands together
    Column("part", SmallInteger, nullable=False, server_default=text("0")),
    Index("search_value_of_resource", "key"),
    Index("search_value_lookup", "tenant", "type", "name", "value", "system", "key"),
)


def _search_columns() -> list[Column[object]]:
    """Return what the other rows have by which a resource is found; they go like those of `search_value`."""
    return [
        Column("key", BigInteger, nullable=False),
        Column("tenant", SmallInteger, nullable=False),
        Column("type", Text, nullable=False),
        Column("name", Text, nullable=False),
        Column("part", SmallInteger, nullable=False),
    ]


search_text = Table(
    "search_text",
    metadata,
    *_search_columns(),
    Column("folded", Text(collation="C"), nullable=False),  # without case and accents
    Column("written", Text(collation="C"), nullable=False),
    Index("search_text_of_resource", "key"),
    Index("search_text_lookup", "tenant", "type", "name", text("left(folded, 100)")),
)

search_date = Table(
    "search_date",
    metadata,
    *_search_columns(),
    Column("low", INSTANT, nullable=False),  # the first moment it may mean, or -infinity
    Column("high", INSTANT, nullable=False),  # the first moment after it, or infinity
    Index("search_date_of_resource", "key"),
    Index("search_date_lookup", "tenant", "type", "name", "low", "high", "key"),
)

search_number = Table(
    "search_number",
    metadata,
    *_search_columns(),
    Column("low", Numeric, nullable=False),
    Column("high", Numeric, nullable=False),
    # the same in the base units of its kind, by which milligrams and grams are compared
    Column("base", Text, nullable=False),
    Column("base_low", Numeric, nullable=False),
    Column("base_high", Numeric, nullable=False),
    Column("code", Text, nullable=False),
    Column("unit", Text, nullable=False),
    Index("search_number_of_resource", "key"),
    Index("search_number_lookup", "tenant", "type", "name", "base", "base_low", "key"),
)

search_narrative = Table(
    "search_narrative",
    metadata,
    # Unlike other rows this one stays when its version is superseded, and is replaced by the next narrative:
    # what has none then costs nothing. It counts while its seq is that of the current version.
    Column("key", BigInteger, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, nullable=False),
    Column("words", TSVECTOR, nullable=False),  # without case and accents
    Index("search_narrative_words", "words", postgresql_using="gin"),
)

reindexing = Table(
    "reindexing",
    metadata,
    # One row for a tenant: up to where what was stored before has the rows that this version makes.
    Column("tenant", SmallInteger, primary_key=True),
    Column("version", Integer, nullable=False),  # of the rows, see `indexing.extraction`
    Column("reached", BigInteger, nullable=False),  # `resource.key` up to which it is done
    Column("until", BigInteger, nullable=False),  # the highest key when it began
    Column("complete", Boolean, nullable=False),
    Column("began_at", INSTANT, nullable=False),  # the database's clock
)
