"""The site's parameters: what a site has changed, every version kept.

Which parameters exist, their defaults and ranges are knowledge of the pathways;
callers check values there before they are stored here.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import cast

import msgspec
from sqlalchemy import Connection, insert, select

from service.store import content, tables

#: minutes without a further Bundle before a patient is evaluated
SETTLE_MINUTES = 10


def current(tx: Connection) -> dict[str, object]:
    """Return the changed values, `profile` among them; empty at the defaults."""
    text = tx.execute(
        select(tables.site_parameter.c["values"]).order_by(tables.site_parameter.c.version.desc()).limit(1)
    ).scalar_one_or_none()
    return parsed(text)


def parsed(text: str | None) -> dict[str, object]:
    """Return the changed values as they are stored; none before the first change."""
    return cast("dict[str, object]", msgspec.json.decode(text)) if text else {}


def set_(tx: Connection, values: Mapping[str, object], who: str, now: datetime) -> None:
    """Replace the changed values; the version before stays readable."""
    tx.execute(insert(tables.site_parameter).values(at=now, who=who, values=content.write(values)))
