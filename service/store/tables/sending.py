"""What other systems send and answer."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    Identity,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)

from service.store.tables.base import INSTANT, NOW, metadata

sending = Table(
    "sending",
    metadata,
    # what was sent to be stored, also what was refused: ids and counts only
    Column("key", BigInteger, Identity(always=True), primary_key=True),
    Column("tenant", SmallInteger, nullable=False),
    Column("at", INSTANT, nullable=False, server_default=text("clock_timestamp()")),
    Column("sender", Text, nullable=False),
    Column("interaction", Text, nullable=False),
    Column("status", SmallInteger, nullable=False),  # of the answer
    Column("entries", Integer),  # null: the request could not be read
    Column("refused", Integer, nullable=False),  # of the entries
    Column("patients", ARRAY(Text), nullable=False),
    Column("stored", ARRAY(Text), nullable=False),  # Type/id/_history/version
    Column("repeated", Boolean, nullable=False),  # answered as before, by its Idempotency-Key
    # who sends, and when they did last
    Index("sending_of_sender", "tenant", "sender", "at"),
    # what has been kept long enough
    Index("sending_at", "at"),
)

idempotency_key = Table(
    "idempotency_key",
    metadata,
    Column("tenant", SmallInteger, nullable=False),
    Column("key", Text, nullable=False),  # with the sender, where senders are told apart
    Column("digest", LargeBinary, nullable=False),  # of the request: a key is for one request only
    Column("status", SmallInteger, nullable=False),
    Column("headers", Text, nullable=False),  # JSON, name to value
    Column("body", Text, nullable=False),
    Column("kept_at", INSTANT, nullable=False, server_default=text("clock_timestamp()")),
    # one request is stored for a key, however many arrive with it
    PrimaryKeyConstraint("tenant", "key", name="idempotency_key_once"),
    Index("idempotency_key_kept_at", "kept_at"),
)

sender_token = Table(
    "sender_token",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("tenant", SmallInteger, nullable=False),
    Column("sender", Text, nullable=False),
    Column("scopes", ARRAY(Text), nullable=False),
    Column("issued_at", INSTANT, nullable=False, server_default=NOW),
    Column("ends_at", INSTANT),  # null: until it is renewed or the sender is disabled
    Index("sender_token_of_sender", "tenant", "sender"),
)

cds_feedback = Table(
    "cds_feedback",
    metadata,
    # What became of the cards of CDS Hooks: ids, codes and times only; never changed.
    # The key keeps the promise that the same feedback sent again is kept once.
    Column("tenant", SmallInteger, primary_key=True),
    Column("service", Text, primary_key=True),
    Column("card", Uuid(as_uuid=False), primary_key=True),
    Column("outcome_at", INSTANT, primary_key=True),  # as the client says
    Column("outcome", Text, primary_key=True),  # accepted | overridden
    Column("sender", Text, primary_key=True),  # the issuer of the client's token, or empty
    Column("suggestions", ARRAY(Text), nullable=False),  # ids of those accepted
    Column("reason_system", Text),  # of the override reason, where it is one that a card offers
    Column("reason_code", Text),
    Column("received", INSTANT, nullable=False),  # the service clock
)
