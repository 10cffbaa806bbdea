"""The record: resources with all their versions."""

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
    Sequence,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from service.store.tables.base import INSTANT, metadata

#: Of these a patient may have thousands that no pathway reads: they are found by code as well.
CODED = ("Observation", "Procedure", "DiagnosticReport")

#: How many codings of one resource have an index each; the few with more are gone through.
CODINGS = 3

OF_CODED = f"type IN ({', '.join(map(repr, CODED))})"

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

open_plan = Table(
    "open_plan",
    metadata,
    # How many CarePlans of ours are active, as a sum: triggers of `resource` add a row to it for each that
    # becomes active or no longer is, in the transaction that writes it, and the sweep makes one row of many.
    Column("tenant", SmallInteger, nullable=False),
    Column("change", BigInteger, nullable=False),
)
