"""How many plans are open, without counting them: the sum of what each transaction added or took away.

    a plan becomes active, or no longer is   a trigger of `resource` adds a row in that transaction
    a page asks                              the sum of the rows that its snapshot sees
    the sweep                                puts one row in the place of many

A change and its row are committed together, and so are the removal of rows and the row in their place. So
every snapshot sees a sum that is the number of plans it sees, whoever writes at the same moment.
"""

from sqlalchemy import Connection, text

from service.store.driver import raw

#: rows that a page sums in some hundredths of a millisecond
FEW = 200


def count(tx: Connection, *, tenant: int) -> int:
    """Return how many CarePlans that the engine made are active."""
    row = raw(tx).execute(_COUNT, [tenant]).fetchone()
    assert row is not None
    return int(row[0])


def fold(tx: Connection) -> None:
    """Put one row in the place of many, once there are more than a few."""
    tx.execute(text(_FOLD), {"few": FEW})


_COUNT = "SELECT coalesce(sum(change), 0) FROM open_plan WHERE tenant = %s"
# Of two who fold at once the second waits for the rows that the first removes, and then removes none of them.
_FOLD = """
    WITH folded AS (
        DELETE FROM open_plan WHERE (SELECT count(*) FROM open_plan) > :few RETURNING tenant, change
    )
    INSERT INTO open_plan (tenant, change)
    SELECT tenant, sum(change) FROM folded GROUP BY tenant HAVING sum(change) <> 0
"""
