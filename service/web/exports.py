"""What the operations page shows of exports: who asked for what, how far it is, until when the files stay."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from service.store.exports import Export
from service.web.moments import Moments
from service.web.words import Words

#: rows that are shown
ROWS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One export."""

    id: str
    caller: str
    #: the address without the service's own, and when it was asked for
    request: str
    asked: str
    #: None: it is over
    percent: int | None
    state: str
    failed: bool
    until: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Exports:
    """The section."""

    rows: tuple[Row, ...]
    #: one of them is being written, so the section looks again by itself
    going_on: bool


def build(found: Sequence[Export], when: Moments, words: Words) -> Exports:
    """Return the section, the newest first."""
    rows = tuple(_row(export, when, words) for export in found)
    return Exports(rows=rows, going_on=any(row.percent is not None for row in rows))


def _row(export: Export, when: Moments, words: Words) -> Row:
    going_on = export.outcome is None
    if going_on:
        state = words("exports.again" if export.failed_reason else "exports.going_on", percent=export.percent)
    else:
        state = words(f"exports.{export.outcome}")
    parts = urlsplit(export.asked.request)
    return Row(
        id=export.id,
        caller=export.asked.caller,
        request=f"{parts.path}?{parts.query}" if parts.query else parts.path,
        asked=when.exact(export.asked_at),
        percent=export.percent if going_on else None,
        state=state,
        failed=export.outcome == "failed",
        until="" if going_on else when.exact(export.expires_at),
    )
