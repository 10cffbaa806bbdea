"""A resource as text, and the digest by which unchanged content is known.

Numbers are written as they were read (`7.10` stays `7.10`), so 7.1 and 7.10 are
different content: their precision is clinical information.
"""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec

from fhir_profiles import reading

Json = Mapping[str, Any]


def _number(text: str) -> Decimal:
    number = Decimal(text)
    return number if str(number) == text else reading.Spelled(text)


def _spelled(value: object) -> object:
    if isinstance(value, reading.Spelled):
        return msgspec.Raw(value.text.encode())
    raise TypeError(f"{type(value).__name__} is not JSON")


_SORTED = msgspec.json.Encoder(decimal_format="number", enc_hook=_spelled, order="sorted")
# What is stored was bounded when it was read, so it is not bounded again.
_READ = msgspec.json.Decoder(float_hook=_number)

#: written by the store, so no difference of content
STAMPS = ("versionId", "lastUpdated")


def digest(body: Json) -> bytes:
    """Return what identifies the content, whatever its version and the order of its keys."""
    return hashlib.sha256(_SORTED.encode(unstamped(body))).digest()


def stamped(body: Json, *, id_: str, version: int, received: datetime) -> str:
    """Return the resource as it is stored: type, id and meta first, then as it came."""
    meta = {"versionId": str(version), "lastUpdated": instant(received), **_meta(body)}
    rest = {key: value for key, value in body.items() if key not in ("resourceType", "id", "meta")}
    return reading.write({"resourceType": body["resourceType"], "id": id_, "meta": meta, **rest}).decode()


def unstamped(body: Json) -> dict[str, Any]:
    """Return the resource without what the store wrote into it."""
    rest = {key: value for key, value in body.items() if key not in ("id", "meta")}
    meta = _meta(body)
    return {**rest, "meta": meta} if meta else rest


def write(value: Json) -> str:
    """Return the value as JSON text, its numbers as they were read."""
    return reading.write(value).decode()


def read(body: str) -> dict[str, Any]:
    """Return a stored resource with its numbers as decimals."""
    value: dict[str, Any] = _READ.decode(body)
    return value


@lru_cache(maxsize=64)  # all entries of a Bundle have the same
def instant(moment: datetime) -> str:
    """Return a FHIR instant in UTC, with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _meta(body: Json) -> dict[str, Any]:
    return {key: value for key, value in (body.get("meta") or {}).items() if key not in STAMPS}
