"""What is waiting, in SQL: the terms that the queue of promises and its readers share.

`a` is a row of arrival, `p` one of promise, `w` one of PENDING: what has arrived for one patient.
"""

from datetime import timedelta

#: no input waits longer, however many follow
LONGEST_SETTLE = timedelta(minutes=60)

#: pauses after the first, second, ... failure
BACKOFF_S = (1, 5, 30, 120)

SETTLE_MINUTES = LONGEST_SETTLE // timedelta(minutes=1)

# When the arrivals of a patient are due: at once if one does not settle, else when the last
# one has settled, and never later than the longest wait after the first.
_ARRIVALS_DUE = (
    "LEAST(min(a.due_at) FILTER (WHERE NOT a.settles), max(a.due_at) FILTER (WHERE a.settles), "
    f"min(a.received) + interval '{SETTLE_MINUTES} minutes')"
)

NOW = "(SELECT coalesce(now, clock_timestamp()) FROM clock)"
HELD = "(SELECT coalesce(held AND now IS NOT NULL, false) FROM clock)"

PENDING = f"""
    SELECT a.tenant, a.kind, a.patient, count(*) AS arrivals, {_ARRIVALS_DUE} AS due_at,
           bool_or(a.forced) AS forced, max(a.arrived_at) AS arrived_at, array_agg(a.key) AS keys
    FROM arrival a GROUP BY a.tenant, a.kind, a.patient
"""  # noqa: S608 - constants of this module

# An instant so far ahead that nobody can have set it means that the database's clock was
# set back since; it must not keep a patient from being looked at until it comes round again.
_FAR = f"(clock_timestamp() + interval '{2 * BACKOFF_S[-1]} seconds')"


def passed(instant: str) -> str:
    """Return the condition that the instant of a column has passed, or there is none."""
    return f"({instant} IS NULL OR {instant} <= clock_timestamp() OR {instant} > {_FAR})"


# Something arrived that the last attempt had not seen when it began. Told by the arrivals
# themselves: they become visible in another order than they are numbered or dated.
UNTRIED = "coalesce(NOT (w.keys <@ coalesce(p.tried, '{}')), false)"

# Free: nobody has it, no pause after a failure, and not parked, unless something arrived
# that was not tried: it may be the correction.
FREE = f"""
    {passed("p.lease_until")} AND {passed("p.retry_at")} AND (p.parked_at IS NULL OR {UNTRIED})
"""
