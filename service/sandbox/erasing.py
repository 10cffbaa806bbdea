"""Whether there is patient data, and its removal. Only a sandbox forgets."""

from sqlalchemy import Connection, delete, exists, select, text

from service.store import subscriptions, tables


def any_patient(tx: Connection) -> bool:
    """Return whether the record holds anything about a patient."""
    return bool(tx.execute(select(exists().where(tables.resource.c.patient.is_not(None)))).scalar_one())


def erase(tx: Connection) -> None:
    """Remove all patient data: record, history, decisions, promises, deliveries, exports, previews, events.

    People, organisations, ConceptMaps and Subscriptions belong to the site, not to a patient, and stay.
    A worker that is at work on a patient loses its promise, and with it its transaction.
    """
    # First: it waits for every worker that has looked at decisions, and keeps the others
    # from looking until this is done, so that neither holds what the other needs.
    tx.execute(text("TRUNCATE decision, evaluation, access, seal, sealed, cds_feedback"))
    # The answers under Idempotency-Keys, and what is known of requests, name what is removed here.
    for table in (tables.arrival, tables.promise, tables.idempotency_key, tables.sending):
        tx.execute(delete(table))
    for table in (tables.delivery, tables.dispatch, tables.delivered):
        tx.execute(delete(table))
    for table in (tables.export, tables.export_chunk, tables.preview, tables.preview_effect):
        tx.execute(delete(table))
    for table in (tables.joined_version, tables.joining):
        tx.execute(delete(table))
    # How far the hospital's server was read stays: what was erased does not come back by itself.
    for table in (tables.origin, tables.set_aside):
        tx.execute(delete(table))
    subscriptions.forget_events(tx)
    for table in (tables.resource, tables.history):
        tx.execute(delete(table).where(table.c.patient.is_not(None)))
    # Last, by what is left: what was stored between two of these statements keeps all of its rows.
    resource = tables.resource.c
    for found in (
        tables.search_value,
        tables.search_text,
        tables.search_date,
        tables.search_number,
        tables.search_narrative,
    ):
        tx.execute(delete(found).where(~exists().where(resource.key == found.c.key)))
