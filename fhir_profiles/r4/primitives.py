"""The primitive types of R4 as JSON Schemas, with the words for what each expects.

Stricter than the published expressions where those let impossible values pass (30 February, base64 of a
wrong length), and without leap seconds, which Python's `datetime` cannot hold and nobody plans any more.

https://hl7.org/fhir/R4/datatypes.html#primitive
"""

from typing import Any

Schema = dict[str, Any]

_YEAR = "(?:[0-9](?:[0-9](?:[0-9][1-9]|[1-9]0)|[1-9]00)|[1-9]000)"
_LEAP_YEAR = "(?:[0-9][0-9](?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)"
_DAY = (
    f"(?:{_YEAR}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    "|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
    f"|{_LEAP_YEAR}-02-29)"
)
_MONTH = f"{_YEAR}(?:-(?:0[1-9]|1[0-2]))?"
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,9})?"
_ZONE = "(?:Z|[+-](?:(?:0[0-9]|1[0-3]):[0-5][0-9]|14:00))"
# Everything but the control characters that no text needs; PostgreSQL cannot hold the first of them.
_TEXT = r"[^\x00-\x08\x0b\x0c\x0e-\x1f]"
# The same without what separates words: a NUL is no white space to a regular expression.
_DARK = r"[^\s\x00-\x1f]"
_BASE64 = r"[0-9A-Za-z+/]\s*"

_ACTIVE = (
    r"(?i:<[/\s]*(?:script|iframe|object|embed|form|base|link)[\s/>]|<!(?:DOCTYPE|ENTITY)"
    r"|<[^>]*\s(?:on[a-z]+\s*=|(?:href|src)\s*=\s*[\"']?\s*javascript:))"
)
_LARGEST = 2**31 - 1


def _text(pattern: str, expected: str) -> Schema:
    return {"type": "string", "pattern": f"^(?:{pattern})$", "title": expected}


def _whole(least: int, expected: str) -> Schema:
    # `1.0` is an integer to JSON Schema and not to FHIR, hence a keyword of our own.
    return {"type": "integer", "whole": True, "minimum": least, "maximum": _LARGEST, "title": expected}


PRIMITIVES: dict[str, Schema] = {
    # The last four characters are there in any case: a value that is present has content.
    "base64Binary": _text(
        rf"\s*(?:(?:{_BASE64}){{4}})*(?:(?:{_BASE64}){{2}}=\s*=\s*|(?:{_BASE64}){{3}}=\s*|(?:{_BASE64}){{4}})",
        "base64 that is not empty",
    ),
    "boolean": {"type": "boolean", "title": "true or false"},
    "canonical": _text(f"{_DARK}+", "a canonical URL without spaces"),
    "code": _text(f"{_DARK}+(?: {_DARK}+)*", "a code without leading, trailing or double spaces"),
    "date": _text(f"{_MONTH}|{_DAY}", "an existing date as YYYY, YYYY-MM or YYYY-MM-DD"),
    "dateTime": _text(
        f"{_MONTH}|{_DAY}(?:T{_TIME}{_ZONE})?",
        "an existing date as YYYY, YYYY-MM, YYYY-MM-DD, or with a time as YYYY-MM-DDThh:mm:ss and a zone",
    ),
    "decimal": {"type": "number", "title": "a number"},
    "id": _text(r"[A-Za-z0-9\-.]{1,64}", "1 to 64 letters, digits, hyphens and dots"),
    "instant": _text(f"{_DAY}T{_TIME}{_ZONE}", "an existing instant as YYYY-MM-DDThh:mm:ss with a zone"),
    "integer": _whole(-_LARGEST - 1, "a whole number of 32 bits"),
    "markdown": _text(f"{_TEXT}+", "text that is not empty, without control characters"),
    "oid": _text(r"urn:oid:[0-2](?:\.(?:0|[1-9][0-9]*))+", "an OID as urn:oid:1.2.3"),
    "positiveInt": _whole(1, "a whole number from 1 on"),
    "string": _text(f"{_TEXT}+", "text that is not empty, without control characters"),
    "time": _text(_TIME, "a time of day as hh:mm:ss"),
    "unsignedInt": _whole(0, "a whole number from 0 on"),
    "uri": _text(f"{_DARK}+", "a URI without spaces"),
    "url": _text(f"{_DARK}+", "a URL without spaces"),
    "uuid": _text(
        "urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "a UUID as urn:uuid:..."
    ),
    "xhtml": {
        "type": "string",
        "pattern": rf"^\s*<div[\s>]{_TEXT}*</div>\s*$",
        "not": {"pattern": _ACTIVE},
        "title": "one XHTML div without active content",
    },
}
