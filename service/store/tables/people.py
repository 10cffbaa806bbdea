"""Who signs in, and what is kept for them."""

from sqlalchemy import (
    BigInteger,
    Column,
    Identity,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from service.store.tables.base import INSTANT, NOW, metadata

account = Table(
    "account",
    metadata,
    Column("tenant", SmallInteger, nullable=False),
    Column("name", Text, nullable=False),  # lower case
    Column("practitioner", Text, nullable=False),  # the id of whose roles say what one may do
    Column("password", Text),  # a hash; null: signs on at the hospital only
    Column("made_at", INSTANT, nullable=False, server_default=NOW),
    Column("disabled_at", INSTANT),
    # a name is one person's
    PrimaryKeyConstraint("tenant", "name", name="account_once"),
)

session = Table(
    "session",
    metadata,
    # Who is signed in. The cookie is not kept, only its digest: who reads the table cannot use it.
    Column("digest", LargeBinary, primary_key=True),
    Column("tenant", SmallInteger, nullable=False),
    Column("account", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("began_at", INSTANT, nullable=False, server_default=NOW),
    Column("seen_at", INSTANT, nullable=False, server_default=NOW),
    Column("ended_at", INSTANT),
    Index("session_of_account", "tenant", "account", "began_at"),
)

sign_in_failure = Table(
    "sign_in_failure",
    metadata,
    Column("key", BigInteger, Identity(always=True), primary_key=True),
    Column("tenant", SmallInteger, nullable=False),
    Column("account", LargeBinary, nullable=False),  # a digest: people type passwords in the wrong field
    Column("address", Text, nullable=False),
    Column("at", INSTANT, nullable=False, server_default=NOW),
    Index("sign_in_failure_of_account", "tenant", "account", "at"),
    Index("sign_in_failure_of_address", "tenant", "address", "at"),
)

sign_on = Table(
    "sign_on",
    metadata,
    # A browser that was sent to the hospital's sign-on; taken away when it comes back.
    Column("state", LargeBinary, primary_key=True),
    Column("browser", LargeBinary, nullable=False),
    Column("nonce", Text, nullable=False),
    Column("verifier", Text, nullable=False),
    Column("back", Text, nullable=False),
    Column("began_at", INSTANT, nullable=False, server_default=NOW),
)

kept_form = Table(
    "kept_form",
    metadata,
    # What somebody had written when the sign-in ended, for the same person alone.
    Column("tenant", SmallInteger, nullable=False),
    Column("practitioner", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("fields", Text, nullable=False),  # JSON, name to value
    Column("kept_at", INSTANT, nullable=False, server_default=NOW),
    PrimaryKeyConstraint("tenant", "practitioner", name="kept_form_once"),
)

saved_view = Table(
    "saved_view",
    metadata,
    # a view of the worklist, of one person; codes and ids only
    Column("key", BigInteger, Identity(always=True), primary_key=True),
    Column("tenant", SmallInteger, nullable=False),
    Column("person", Text, nullable=False),  # a reference
    Column("name", Text, nullable=False),
    Column("query", Text, nullable=False),  # as in an address
    Column("saved_at", INSTANT, nullable=False, server_default=text("clock_timestamp()")),
    # a form sent twice saves once, and each name means one view
    UniqueConstraint("tenant", "person", "name", name="saved_view_name"),
)
