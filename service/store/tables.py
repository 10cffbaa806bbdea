"""The tables. What must never happen twice is a unique constraint with the promise it keeps.

Every key begins with the tenant: two hospitals never share an id space. Bodies are
JSON text exactly as accepted, never jsonb, which would rewrite numbers and order.
Two clocks: columns named `due_at`, `received` and `at` follow the service clock, which a
sandbox can set; leases and retries follow the database's `clock_timestamp()`.
"""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Double,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    Sequence,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

metadata = MetaData()

#: Of these a patient may have thousands that no pathway reads: they are found by code as well.
CODED = ("Observation", "Procedure", "DiagnosticReport")
#: How many codings of one resource have an index each; the few with more are gone through.
CODINGS = 3
OF_CODED = f"type IN ({', '.join(map(repr, CODED))})"

INSTANT = DateTime(timezone=True)

#: the database's clock, at the moment of the statement
NOW = text("clock_timestamp()")

#: What is found by whether it is open: a site has a hundred closed Tasks for one that is not.
OF_WORK = "owned AND NOT deleted AND type IN ('CarePlan', 'Task')"

#: True of every version. Only a query that says it may use an index that does: before the first statistics
#: the planner would take it for look-ups by identity and by patient.
NUMBERED = "seq > 0"

#: "Received later" is this number, never a time: two Bundles may share a millisecond.
RECEIPT = Sequence("receipt_seq", metadata=metadata, data_type=BigInteger())


def _version_columns() -> list[Column[object]]:
    """Return what the current version and a superseded one have in common."""
    return [
        Column("tenant", SmallInteger, nullable=False),
        Column("type", Text, nullable=False),
        Column("id", Text, nullable=False),
        Column("version", Integer, nullable=False),
        Column("seq", BigInteger, nullable=False),
        Column("patient", Text),  # the id alone; of a Patient, its own
        Column("code", ARRAY(Text)),  # `system|code` of each coding, see search_index
        Column("date", INSTANT),  # when the fact was true, as far as it says
        Column("status", Text),
        Column("owned", Boolean, nullable=False),  # made by the engine: no one else rewrites it
        Column("deleted", Boolean, nullable=False),
        Column("received", INSTANT, nullable=False),  # service clock; meta.lastUpdated
        Column("sender", Text, nullable=False),  # who sent this version
        Column("digest", LargeBinary, nullable=False),  # of the content without version and time
        Column("body", Text, nullable=False),
        # created by a POST; of a later version it says nothing
        Column("posted", Boolean, nullable=False, server_default=text("false")),
    ]


resource = Table(
    "resource",
    metadata,
    Column("key", BigInteger, Identity(always=True), primary_key=True),
    *_version_columns(),
    # one current version of a resource, whoever creates it at the same moment
    UniqueConstraint("tenant", "type", "id", name="resource_identity"),
    # what changed of a type, in order of time
    Index("resource_of_time", "tenant", "type", "received", "seq", postgresql_where=text(NUMBERED)),
    # searches and the worker's snapshot: one patient, some types, in order of receipt
    Index("resource_of_patient", "tenant", "patient", "type", "seq"),
    # Searches without a patient, and stable paging through them. Partial, because a look-up by
    # identity must never take it: before the first statistics the planner cannot tell them apart.
    Index("resource_of_type", "tenant", "type", "key", postgresql_where=text("NOT deleted")),
    # The worker's snapshot: what a patient has of a code, however much else there is of that patient.
    *(
        Index(
            f"resource_of_patient_code_{place}",
            "tenant",
            "patient",
            text(f"(code[{place}])"),
            postgresql_where=text(f"{OF_CODED} AND code[{place}] IS NOT NULL"),
        )
        for place in range(1, CODINGS + 1)
    ),
    # the worklist: what is open, among all that ever was
    Index("resource_of_work", "tenant", "type", "status", "key", postgresql_where=text(OF_WORK)),
    # "Closed today". An index of its own: where all plans came on one day, as after a first load, the planner
    # takes the Tasks of today for as many, and would rather read all that were ever closed.
    Index(
        "resource_of_task_time",
        "tenant",
        "received",
        postgresql_where=text("owned AND NOT deleted AND type = 'Task'"),
    ),
    # "3 changes, show": what the engine wrote after a page was read
    Index("resource_of_engine", "tenant", "seq", postgresql_where=text("owned")),
    Index(
        "resource_of_patient_more_codes",
        "tenant",
        "patient",
        postgresql_where=text(f"{OF_CODED} AND cardinality(code) > {CODINGS}"),
    ),
)

history = Table(
    "history",
    metadata,
    *_version_columns(),
    # a version is written once and never again
    PrimaryKeyConstraint("tenant", "type", "id", "version", name="history_version"),
    Index("history_of_patient", "tenant", "patient"),
    Index("history_of_time", "tenant", "type", "received", "seq", postgresql_where=text(NUMBERED)),
)

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

arrival = Table(
    "arrival",
    metadata,
    # What is wanted and not done. Intake only inserts and a worker only deletes what its
    # snapshot saw, so neither ever waits for the other and no arrival is forgotten.
    Column("key", BigInteger, Identity(always=True), primary_key=True),
    Column("tenant", SmallInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("patient", Text, nullable=False),
    Column("received", INSTANT, nullable=False),
    Column("due_at", INSTANT, nullable=False),
    Column("settles", Boolean, nullable=False),  # a later arrival may move the due date
    Column("forced", Boolean, nullable=False),  # asked for by a person, even while the clock is held
    Column("arrived_at", INSTANT, nullable=False, server_default=text("clock_timestamp()")),
    Index("arrival_of_patient", "tenant", "kind", "patient"),
)

promise = Table(
    "promise",
    metadata,
    Column("key", BigInteger, Identity(always=True), primary_key=True),
    Column("tenant", SmallInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("patient", Text, nullable=False),
    Column("due_at", INSTANT),  # the next timer; null: nothing to wait for
    Column("lease_until", INSTANT),
    Column("leased_by", Uuid),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("retry_at", INSTANT),  # after a failure, not before
    Column("failed_reason", Text),
    Column("parked_at", INSTANT),  # given up until a person or new data say otherwise
    Column("done_at", INSTANT),  # service clock of the last evaluation that succeeded
    Column("tried", ARRAY(BigInteger)),  # the arrivals that were there when the last attempt began
    # one worker at a time for a patient and a kind of work: the lease is on this row
    UniqueConstraint("tenant", "kind", "patient", name="promise_one_per_patient"),
    Index("promise_due", "due_at", postgresql_where=text("due_at IS NOT NULL AND parked_at IS NULL")),
    Index("promise_parked", "tenant", "parked_at", postgresql_where=text("parked_at IS NOT NULL")),
)

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

retranslation = Table(
    "retranslation",
    metadata,
    # One row for a tenant: how far what is stored was brought in line with the ConceptMaps.
    Column("tenant", SmallInteger, primary_key=True),
    Column("maps", Text, nullable=False),  # the state of the ConceptMaps, see `Site.concept_maps`
    Column("reached", BigInteger, nullable=False),  # `resource.key` up to which it was looked at
    Column("until", BigInteger, nullable=False),  # the highest key when it began
    Column("changed", Integer, nullable=False),  # resources that were given a new version
    Column("looks", SmallInteger, nullable=False),  # how often all was looked at
    Column("began_at", INSTANT, nullable=False),  # the database's clock
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

export = Table(
    "export",
    metadata,
    # What a system asked to be written into files, and how far that is. The row is the promise: whoever works
    # on it holds the lease. `until` and `since` follow the service clock, everything else the database's.
    Column("tenant", SmallInteger, nullable=False),
    Column("id", Text, nullable=False),
    Column("caller", Text, nullable=False),  # who asked; where callers are told apart, nobody else gets it
    Column("request", Text, nullable=False),  # the address
    Column("types", ARRAY(Text), nullable=False),  # in the order in which they are written
    Column("of_patients", Boolean, nullable=False),  # only what belongs to a patient
    Column("patients", ARRAY(Text)),  # to one of these; null: to any
    Column("elements", ARRAY(Text), nullable=False),  # empty: whole resources
    Column("since", INSTANT),  # what was received before is left out
    Column("until", INSTANT, nullable=False),  # and this, which is the state that the files show
    Column("asked_at", INSTANT, nullable=False, server_default=NOW),
    Column("counts", Text),  # JSON: how many there are of each type, about; null: not begun
    # How far it is: the place among the types, and of that type the last version that was looked at.
    Column("place", Integer, nullable=False, server_default=text("0")),
    Column("reached_at", INSTANT),
    Column("reached_seq", BigInteger, nullable=False, server_default=text("0")),
    Column("gone", BigInteger, nullable=False, server_default=text("0")),  # versions of that type
    Column("attempts", Integer, nullable=False, server_default=text("0")),  # since something was written
    Column("lease_until", INSTANT),
    Column("leased_by", Uuid),
    Column("retry_at", INSTANT),
    Column("failed_reason", Text),
    Column("ended_at", INSTANT),  # null: it goes on
    Column("outcome", Text),  # finished, failed, cancelled
    Column("expires_at", INSTANT, nullable=False),
    PrimaryKeyConstraint("tenant", "id", name="export_pkey"),
    Index("export_unfinished", "tenant", "asked_at", postgresql_where=text("ended_at IS NULL")),
)

export_chunk = Table(
    "export_chunk",
    metadata,
    # a piece of a file of an export; all nodes share the database and no disk
    Column("tenant", SmallInteger, nullable=False),
    Column("export", Text, nullable=False),
    Column("file", Integer, nullable=False),
    Column("number", Integer, nullable=False),
    Column("kind", Text, nullable=False),  # output, deleted, error
    Column("type", Text, nullable=False),  # of the resources in it
    Column("lines", Integer, nullable=False),
    Column("size", Integer, nullable=False),  # bytes
    Column("patients", ARRAY(Text), nullable=False),  # whose data are in it
    Column("body", Text, nullable=False),
    # a piece is written once, whoever repeats the work
    PrimaryKeyConstraint("tenant", "export", "file", "number", name="export_chunk_pkey"),
)

preview = Table(
    "preview",
    metadata,
    # What would follow if a code had a meaning, or had one no more. The row is the promise to try it; whoever
    # works on it holds the lease. `seen_at` follows the service clock, everything else the database's.
    Column("tenant", SmallInteger, nullable=False),
    Column("id", Text, nullable=False),  # derived from what is asked: one preview of each question
    Column("source", ARRAY(Text), nullable=False),  # system and code
    Column("target", ARRAY(Text), nullable=False),
    Column("gives", Boolean, nullable=False),  # false: the meaning is taken away
    Column("asked_by", Text, nullable=False),  # a reference, or empty
    Column("maps", Text, nullable=False),  # the state of the ConceptMaps then
    Column("patients", ARRAY(Text), nullable=False),  # in the order in which they are tried
    Column("asked_at", INSTANT, nullable=False, server_default=NOW),
    Column("seen_at", INSTANT, nullable=False),
    Column("gone", Integer, nullable=False, server_default=text("0")),  # how many were tried
    Column("attempts", Integer, nullable=False, server_default=text("0")),  # since one was tried
    Column("lease_until", INSTANT),
    Column("leased_by", Uuid),
    Column("retry_at", INSTANT),
    Column("failed_reason", Text),
    Column("ended_at", INSTANT),  # null: it goes on
    Column("outcome", Text),  # finished, failed, cancelled
    Column("expires_at", INSTANT, nullable=False),
    PrimaryKeyConstraint("tenant", "id", name="preview_pkey"),
    Index("preview_unfinished", "tenant", "asked_at", postgresql_where=text("ended_at IS NULL")),
)

preview_effect = Table(
    "preview_effect",
    metadata,
    # a patient for whom something would be different, or who is not evaluated already now
    Column("tenant", SmallInteger, nullable=False),
    Column("preview", Text, nullable=False),
    Column("number", Integer, nullable=False),  # the place among the patients
    Column("patient", Text, nullable=False),
    Column("effects", Text, nullable=False),  # JSON
    Column("failed", Text),  # the CQL definition that errs already now
    PrimaryKeyConstraint("tenant", "preview", "number", name="preview_effect_pkey"),
)

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

heartbeat = Table(
    "heartbeat",
    metadata,
    # when each kind of process was last seen alive, by the database's clock
    Column("process", Text, primary_key=True),
    Column("seen_at", INSTANT, nullable=False),
)

# What the hospital's FHIR server has of what the engine wrote. Everything here follows the database's clock,
# and the server is part of each key: another server has nothing yet.

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

# What is read from the hospital's FHIR server. Moments are the database's, but for `until`, `reached` and
# `their_time`, which are the server's own: its clock may be wrong, and only it knows when it stored what.

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

# Subscriptions of other systems. What is sent follows the database's clock; `at` is the service clock.

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
