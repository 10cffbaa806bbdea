"""How many plans are open, without counting them: the sum of what each transaction added or took away.

    a plan becomes active, or no longer is   a trigger of `resource` adds a row in that transaction
    a page asks                              the sum of the rows that its snapshot sees
    the sweep                                counts, and puts one row in the place of many

A change and its row are committed together, and so are the removal of rows and the row in their place. So
every snapshot sees a sum that is the number of plans it sees, whoever writes at the same moment.
"""

from sqlalchemy import Connection

from service.store.driver import only, raw

#: rows that a page sums in some hundredths of a millisecond
FEW = 200


def count(tx: Connection, *, tenant: int) -> int:
    """Return how many CarePlans that the engine made are active."""
    return int(only(raw(tx).execute(_COUNT, [tenant]))[0])


def fold(tx: Connection) -> None:
    """Put the count in the place of many rows, once there are more than a few.

    One statement removes what its snapshot sees and counts the plans of the same snapshot. So a sum that went
    wrong, as by data that were loaded beside the triggers, is right again. For a transaction that sees what
    was committed before each of its statements.
    """
    if only(raw(tx).execute("SELECT count(*) FROM open_plan"))[0] <= FEW:
        return
    # One after the other: the second sees what the first has left. Who opens and closes plans does not wait.
    raw(tx).execute("LOCK TABLE open_plan IN SHARE UPDATE EXCLUSIVE MODE")
    raw(tx).execute(_FOLD)


_COUNT = "SELECT coalesce(sum(change), 0) FROM open_plan WHERE tenant = %s"
_FOLD = """
    WITH folded AS (DELETE FROM open_plan)
    INSERT INTO open_plan (tenant, change)
    SELECT tenant, count(*) FROM resource
    WHERE type = 'CarePlan' AND owned AND NOT deleted AND status = 'active' GROUP BY tenant
"""
