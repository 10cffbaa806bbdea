"""The tables. What must never happen twice is a unique constraint with the promise it keeps.

Every key begins with the tenant: two hospitals never share an id space. Bodies are
JSON text exactly as accepted, never jsonb, which would rewrite numbers and order.
Two clocks: columns named `due_at`, `received` and `at` follow the service clock, which a
sandbox can set; leases and retries follow the database's `clock_timestamp()`.
"""

from service.store.tables.audit import access, seal, sealed
from service.store.tables.base import INSTANT, NOW, metadata
from service.store.tables.decided import decision, evaluation
from service.store.tables.hospital import (
    circuit,
    delivered,
    delivery,
    dispatch,
    hospital_subscription,
    origin,
    set_aside,
    source,
    source_window,
)
from service.store.tables.joined import joined_version, joining
from service.store.tables.long_work import export, export_chunk, preview, preview_effect
from service.store.tables.people import account, kept_form, saved_view, session, sign_in_failure, sign_on
from service.store.tables.record import (
    CODED,
    CODINGS,
    NUMBERED,
    OF_CODED,
    OF_WORK,
    RECEIPT,
    history,
    open_plan,
    resource,
)
from service.store.tables.searching import (
    reindexing,
    search_date,
    search_narrative,
    search_number,
    search_text,
    search_value,
)
from service.store.tables.sending import cds_feedback, idempotency_key, sender_token, sending
from service.store.tables.site import clock, site_parameter, site_proposal
from service.store.tables.subscribing import overdue_task, raised_event, subscription, subscription_event
from service.store.tables.work import arrival, heartbeat, promise, retranslation

__all__ = [
    "CODED",
    "CODINGS",
    "INSTANT",
    "NOW",
    "NUMBERED",
    "OF_CODED",
    "OF_WORK",
    "RECEIPT",
    "access",
    "account",
    "arrival",
    "cds_feedback",
    "circuit",
    "clock",
    "decision",
    "delivered",
    "delivery",
    "dispatch",
    "evaluation",
    "export",
    "export_chunk",
    "heartbeat",
    "history",
    "hospital_subscription",
    "idempotency_key",
    "joined_version",
    "joining",
    "kept_form",
    "metadata",
    "open_plan",
    "origin",
    "overdue_task",
    "preview",
    "preview_effect",
    "promise",
    "raised_event",
    "reindexing",
    "resource",
    "retranslation",
    "saved_view",
    "seal",
    "sealed",
    "search_date",
    "search_narrative",
    "search_number",
    "search_text",
    "search_value",
    "sender_token",
    "sending",
    "session",
    "set_aside",
    "sign_in_failure",
    "sign_on",
    "site_parameter",
    "site_proposal",
    "source",
    "source_window",
    "subscription",
    "subscription_event",
]
