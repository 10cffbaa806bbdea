"""What is answered to each entry that writes: its status, and the version that is there now.

http://hl7.org/fhir/R4/http.html#transaction-response
"""

from collections.abc import Mapping, Sequence
from typing import Any

from service.fhir import outcome
from service.fhir.entries import Entry
from service.store import content
from service.store.resources import Head, Identity

Json = Mapping[str, Any]


def of(
    entries: Sequence[Entry],
    before: Sequence[Head | None],
    after: Sequence[Head | None],
    hints: Mapping[int, str],
) -> dict[int, Json]:
    """Return the answer to each entry, by its index.

    Args:
        before: what was there of each, if anything was.
        after: what is there now.
        hints: what is told besides, by the index of the entry.
    """
    seen: set[Identity] = set()
    found: dict[int, Json] = {}
    for entry, old, new in zip(entries, before, after, strict=True):
        if new is None:
            found[entry.index] = {"response": {"status": "204 No Content"}}
            continue
        created = (old is None or (old.deleted and not new.deleted)) and new.identity not in seen
        seen.add(new.identity)
        status = "204 No Content" if entry.removes else "201 Created" if created else "200 OK"
        line: dict[str, Any] = {
            "status": status,
            "location": new.versioned,
            "etag": f'W/"{new.version}"',
            "lastModified": content.instant(new.received),
        }
        if hint := hints.get(entry.index):
            line["outcome"] = outcome.information(hint)
        found[entry.index] = {"response": line}
    return found
