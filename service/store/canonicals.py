"""Definitions that clients stored, found by their canonical URL.

http://hl7.org/fhir/R4/references.html#canonical
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from service.store import content
from service.store.driver import raw
from service.store.indexing import parameters
from service.store.indexing.shortening import shortened

#: of one URL: versions beyond it are not looked through
MOST = 20

_FIND = f"""
    SELECT r.body FROM search_value v JOIN resource r ON r.key = v.key
    WHERE v.tenant = %s AND v.type = %s AND v.name = ANY(%s) AND v.value = %s AND NOT r.deleted
    ORDER BY r.seq DESC LIMIT {MOST}
"""  # noqa: S608 - constants


def find(
    tx: Connection, type_: str, url: str, *, version: str | None, tenant: int
) -> Mapping[str, Any] | None:
    """Return the definition with a canonical URL; of several versions the one that was received last.

    Args:
        version: the version that is meant; None: any.
    """
    names = list(parameters.names(type_, "url"))
    for (body,) in raw(tx).execute(_FIND, [tenant, type_, names, shortened(url)]):
        found = content.read(body)
        if found.get("url") == url and version in (None, found.get("version")):
            return found
    return None
