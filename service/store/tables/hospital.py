"""The hospital's FHIR server: what is sent to it, and what is read from it."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    Double,
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

from service.store.tables.base import INSTANT, NOW, metadata

delivery = Table(
    "delivery",
    metadata,
    # one row for a patient of whom something is to be sent, or was: who sends holds the lease on it
    Column("tenant", SmallInteger, nullable=False),
    Column("server", Text, nullable=False),  # the base of the FHIR interface
    Column("patient", Text, nullable=False),
    Column("pending", Boolean, nullable=False),  # something is not acknowledged
    Column("wanted", BigInteger, nullable=False),  # the highest `resource.seq` that is known to be pending
    Column("tried", BigInteger, nullable=False, server_default=text("0")),  # the same at the last attempt
    Column("attempts", Integer, nullable=False, server_default=text("0")),  # since the last that succeeded
    Column("failing_since", INSTANT),
    Column("retry_at", INSTANT),
    Column("lease_until", INSTANT),
    Column("leased_by", Uuid),
    Column("lost", Integer, nullable=False, server_default=text("0")),  # leases in a row that ran out
    Column("parked_at", INSTANT),  # given up until a person asks or something new is to be sent
    Column("answer", Text),  # `answers.Kind` of the last attempt
    Column("said", Text, nullable=False, server_default=text("''")),  # codes and references, no one's words
    Column("bundle", Uuid),  # the last one that was sent
    PrimaryKeyConstraint("tenant", "server", "patient", name="delivery_one_per_patient"),
    Index("delivery_pending", "tenant", "server", "attempts", "wanted", postgresql_where=text("pending")),
)

dispatch = Table(
    "dispatch",
    metadata,
    # The ledger: each Bundle, recorded before it is sent, and its answer after. No answer: nobody knows yet.
    Column("bundle", Uuid, primary_key=True),
    Column("tenant", SmallInteger, nullable=False),
    Column("server", Text, nullable=False),
    Column("patient", Text, nullable=False),
    Column("versions", ARRAY(Text), nullable=False),  # `Type/id/_history/version`, as they are here
    Column("sent_at", INSTANT, nullable=False, server_default=text("clock_timestamp()")),
    Column("answer", Text),
    Column("status", SmallInteger),  # of HTTP; null: there was no answer
    Column("answered_at", INSTANT),
    Column("settled", Boolean, nullable=False, server_default=text("false")),  # it is known what it did
    # The server has said that it is done with it; until then it may still store it, however late.
    Column("ended", Boolean, nullable=False, server_default=text("false")),
    Column("found", ARRAY(Text), nullable=False, server_default=text("'{}'")),  # of `versions`, seen there
    Index("dispatch_of_patient", "tenant", "server", "patient", "sent_at"),
    Index("dispatch_unsettled", "tenant", "server", "patient", postgresql_where=text("NOT settled")),
    Index("dispatch_not_ended", "tenant", "server", "patient", postgresql_where=text("NOT ended")),
)

delivered = Table(
    "delivered",
    metadata,
    Column("tenant", SmallInteger, nullable=False),
    Column("server", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("version", Integer, nullable=False),  # ours, that the server has acknowledged
    Column("their_version", Text),  # the server's own; null: it did not say
    Column("at", INSTANT, nullable=False, server_default=text("clock_timestamp()")),
    # what the other side has of a resource is said once
    PrimaryKeyConstraint("tenant", "server", "type", "id", name="delivered_once"),
)

circuit = Table(
    "circuit",
    metadata,
    # whether a server is asked at all, for each thing it is asked: `deliver` and `return`
    Column("tenant", SmallInteger, nullable=False),
    Column("server", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("failures", Integer, nullable=False, server_default=text("0")),  # in a row
    Column("open_until", INSTANT),  # not asked before
    Column("answer", Text),  # `answers.Kind` of the last question
    Column("said", Text, nullable=False, server_default=text("''")),
    Column("succeeded_at", INSTANT),
    Column("asked_at", INSTANT),
    Column("skew_s", Double),  # by how much the server's clock is ahead
    PrimaryKeyConstraint("tenant", "server", "purpose", name="circuit_one_per_purpose"),
)

source = Table(
    "source",
    metadata,
    Column("tenant", SmallInteger, nullable=False),
    Column("server", Text, nullable=False),  # the base of the FHIR interface
    Column("hook_secret", Text, nullable=False),  # what its calls must show; made here and kept
    Column("asked_at", INSTANT),  # when a look last began
    Column("looked_at", INSTANT),  # when the last look at everything began that came to its end
    Column("found_at", INSTANT),  # when something was last taken in
    Column("missed", Integer, nullable=False, server_default=text("0")),  # taken in since without a call
    Column("missed_at", INSTANT),
    Column("watched_at", INSTANT),
    # whoever holds the lease reads; others wait
    Column("lease_until", INSTANT),
    Column("leased_by", Uuid),
    PrimaryKeyConstraint("tenant", "server", name="source_once"),
)

source_window = Table(
    "source_window",
    metadata,
    # how far each type is read; it moves only with what was taken in
    Column("tenant", SmallInteger, nullable=False),
    Column("server", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("question", Text, nullable=False),  # another question is asked from the beginning
    Column("until", INSTANT),  # everything that the server stored before is taken in
    Column("reached", INSTANT),  # the newest that was seen
    Column("asked_at", INSTANT),  # when the look began that moved `until`
    PrimaryKeyConstraint("tenant", "server", "type", name="source_window_once"),
)

hospital_subscription = Table(
    "hospital_subscription",
    metadata,
    # what the server was asked to call us for, and how it says that it stands with that
    Column("tenant", SmallInteger, nullable=False),
    Column("server", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("id", Text),  # the server's; null: it has none of ours
    Column("status", Text, nullable=False, server_default=text("''")),
    Column("answer", Text),  # `answers.Kind` of the last question about it
    Column("said", Text, nullable=False, server_default=text("''")),
    Column("since", INSTANT, nullable=False, server_default=NOW),  # of this status
    Column("renewals", Integer, nullable=False, server_default=text("0")),  # since it was last active
    Column("renewed_at", INSTANT),
    Column("hooked_at", INSTANT),  # the last call that told something new: the one before had been heard
    Column("heard_at", INSTANT),  # the call that was last followed by a look
    PrimaryKeyConstraint("tenant", "server", "type", name="hospital_subscription_once"),
)

origin = Table(
    "origin",
    metadata,
    # Which of our resources is which of the server's, and which of our versions came of which of its.
    Column("tenant", SmallInteger, nullable=False),
    Column("server", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("their_id", Text, nullable=False),
    Column("stamp", Text, nullable=False),  # the server's version, or what tells its versions apart
    Column("their_version", Text),
    Column("their_time", INSTANT),
    Column("id", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("key", BigInteger, Identity(always=True), nullable=False),
    # one version of the server's is taken in once, by whichever way it came
    PrimaryKeyConstraint("tenant", "server", "type", "their_id", "stamp", name="origin_once"),
    Index("origin_latest", "tenant", "server", "type", "their_id", "key"),
    Index("origin_of_version", "tenant", "server", "type", "id", "version"),
)

set_aside = Table(
    "set_aside",
    metadata,
    # what the server has and could not be taken in, until it can be or is corrected there
    Column("tenant", SmallInteger, nullable=False),
    Column("server", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("their_id", Text, nullable=False),
    Column("stamp", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("said", Text, nullable=False, server_default=text("''")),  # elements, never a value
    Column("attempts", Integer, nullable=False, server_default=text("1")),
    Column("since", INSTANT, nullable=False, server_default=NOW),
    Column("retry_at", INSTANT),  # null: not before it changes there, or a person asks
    PrimaryKeyConstraint("tenant", "server", "type", "their_id", name="set_aside_once"),
)
