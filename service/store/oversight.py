"""Whether proposals are looked at before they are signed: counted from orders, decisions and accesses."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from fhir_profiles import canonical


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """The orders of one kind: how long their proposals waited for a signature."""

    #: as the resource says it
    title: str
    orders: int
    median_s: float
    longest_s: float
    #: of these, how many were signed by somebody who had not opened the plan, on which the basis stands
    unread: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reasoned:
    """Decisions of one kind that were made for one reason."""

    decision: str
    reason: str
    decisions: int


def signed(tx: Connection, since: datetime, *, tenant: int) -> list[Signed]:
    """Return how long proposals waited and whether their basis was opened, of orders since then.

    Where somebody has set the clock, an access counts whenever it was: accesses follow another clock.
    """
    names = {"tenant": tenant, "since": since}
    return [Signed(**row) for row in tx.execute(text(_SIGNED), names).mappings()]


def reasons(tx: Connection, since: datetime, *, tenant: int) -> list[Reasoned]:
    """Return the decisions with a reason that were made since then and applied, the most frequent first."""
    names = {"tenant": tenant, "since": since, "decisions": f"{canonical.DECISIONS}|%"}
    return [Reasoned(**row) for row in tx.execute(text(_REASONS), names).mappings()]


_SIGNED = """
    WITH signed AS (
        SELECT
            coalesce(o.body::json #>> '{code,coding,0,display}', o.body::json #>> '{code,text}', '') AS title,
            extract(epoch FROM o.date - p.date)::float AS waited,
            NOT EXISTS (
                SELECT FROM access a
                JOIN search_value plan ON plan.key = o.key AND plan.name = 'based-on'
                    AND plan.value = a.reference
                WHERE a.tenant = o.tenant AND a.patients @> ARRAY[o.patient] AND a.action = 'R'
                    AND a.status < 300 AND a.who = o.body::json #>> '{requester,reference}'
                    AND (a.at <= o.received OR (SELECT now IS NOT NULL FROM clock))
            ) AS unread
        FROM resource o
        JOIN search_value v ON v.key = o.key AND v.name = 'based-on' AND v.value LIKE 'ServiceRequest/%'
        JOIN resource p ON p.tenant = o.tenant AND p.type = 'ServiceRequest'
            AND p.id = split_part(v.value, '/', 2)
        WHERE o.tenant = :tenant AND o.type = 'ServiceRequest' AND o.owned AND NOT o.deleted
            AND o.date >= :since AND o.received >= :since AND o.seq > 0
    )
    SELECT title, count(*) AS orders, percentile_cont(0.5) WITHIN GROUP (ORDER BY waited) AS median_s,
        max(waited) AS longest_s, count(*) FILTER (WHERE unread) AS unread
    FROM signed GROUP BY title ORDER BY title
"""
_REASONS = """
    SELECT
        coalesce(body::json #>> '{code,coding,0,display}', body::json #>> '{code,coding,0,code}') AS decision,
        coalesce(reason ->> 'display', reason ->> 'code') AS reason, count(*) AS decisions
    FROM resource
    CROSS JOIN LATERAL json_array_elements(coalesce(body::json #> '{reasonCode,coding}', '[]')) AS reason
    WHERE tenant = :tenant AND type = 'Task' AND NOT owned AND NOT deleted AND seq > 0
        AND received >= :since AND status = 'completed' AND code[1] LIKE :decisions
        AND NOT EXISTS (
            SELECT FROM decision d
            WHERE d.tenant = resource.tenant AND d.patient = resource.patient AND d.at >= :since
                AND d.basis::json ->> 'event' = 'decision-rejected'
                AND split_part(d.basis::json #>> '{decision,reference}', '/_history', 1)
                    = 'Task/' || resource.id
        )
    GROUP BY 1, 2 ORDER BY decisions DESC, decision, reason
"""
