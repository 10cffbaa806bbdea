"""Subscriptions in the store, in any state, for tests of the pages."""

from typing import Any

from sqlalchemy import text
from subscribing import subscription

from fhir_profiles import reading
from service.store.database import Database
from service.subscriptions import terms

#: of an endpoint: nobody is shown it
SECRET_PATH = "t0p-secret"


def subscribe(
    database: Database,
    id_: str,
    *,
    topic: str = "stage-entered",
    status: str = "requested",
    retry: bool = False,
    succeeded: bool = False,
    **columns: Any,
) -> None:
    """Store one, or write over it."""
    body = terms.without_secret(subscription(f"https://hook.example.org/{SECRET_PATH}", topic))
    names = {"id": id_, "topic": topic, "status": status, "body": reading.write(body).decode()}
    given = {"numbered": 0, "delivered": 0, "attempts": 0, "answer": None, **columns}
    with database.transaction() as tx:
        tx.execute(text("DELETE FROM subscription WHERE id = :id"), names)
        tx.execute(
            text(f"""
                INSERT INTO subscription (tenant, id, owner, version, body, secret, topic, status, numbered,
                    delivered, attempts, answer, retry_at, succeeded_at)
                VALUES (0, :id, 'registry', 1, :body, 'secret', :topic, :status, :numbered, :delivered,
                    :attempts, :answer, {"clock_timestamp() + interval '1 hour'" if retry else "NULL"},
                    {"clock_timestamp()" if succeeded else "NULL"})
            """),
            {**names, **given},
        )
