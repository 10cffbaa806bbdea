"""Whether what is stored can be found by its content, or what an older release stored has no rows yet."""

from sqlalchemy import Connection

from service.fhir.refusals import Issue, NotIndexed
from service.store import reindexing


def refuse_unindexed(tx: Connection, *, tenant: int) -> None:
    """Refuse to answer from the index while what an older release stored is not in it.

    Raises:
        NotIndexed: with how much is done.
    """
    done = reindexing.progress(tx, tenant=tenant)
    if not done.complete:
        text = f"what is stored is being indexed for this search, {done.percent} % is done; try again later"
        raise NotIndexed(Issue(code="transient", text=text))
