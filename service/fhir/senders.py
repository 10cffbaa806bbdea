"""Who sends, where no token tells: what the request says of itself.

In a sandbox senders are not told apart, so the source of the MessageHeader is taken, the `meta.source` of the
Bundle, or that of a resource. It is a name on a page and gives no right.

http://hl7.org/fhir/R4/resource.html#Meta
"""

from collections.abc import Iterator, Mapping
from typing import Any

from service.auth.calling import HOSPITAL

Json = Mapping[str, Any]

#: characters of a name that are kept
LONGEST = 100


def sender_of(sent: Json) -> str:
    """Return who sends a Bundle or a resource, as it says."""
    return next(filter(None, map(_name, _sources(sent))), HOSPITAL)


def _sources(sent: Json) -> Iterator[object]:
    entries = sent.get("entry")
    resources = [
        entry["resource"]
        for entry in (entries if isinstance(entries, list) else ())
        if isinstance(entry, dict) and isinstance(entry.get("resource"), dict)
    ]
    for header in (each for each in resources if each.get("resourceType") == "MessageHeader"):
        source = header.get("source")
        if isinstance(source, dict):
            yield source.get("name")
            yield source.get("endpoint")
    for resource in (sent, *resources):
        meta = resource.get("meta")
        if isinstance(meta, dict):
            yield meta.get("source")


def _name(source: object) -> str:
    """Return the name in a source; empty where there is none that can be shown."""
    # Behind a "#" systems write the number of the message, which would make each a sender of its own.
    name = source.partition("#")[0].strip()[:LONGEST] if isinstance(source, str) else ""
    return name if name.isprintable() else ""
