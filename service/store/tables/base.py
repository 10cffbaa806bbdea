"""What all tables share."""

from sqlalchemy import DateTime, MetaData, text

metadata = MetaData()

INSTANT = DateTime(timezone=True)

#: the database's clock, at the moment of the statement
NOW = text("clock_timestamp()")
