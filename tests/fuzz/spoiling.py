"""Spoils what is valid: other values, elements nobody knows, texts no parser expects, broken JSON."""

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

from fhir_visits import UNSAID

from fuzz.grammar import NAME, NUMBER, TEXT

#: in place of a value
ODD: tuple[Any, ...] = (
    None, True, 0, -1, 1.5, 2**31, 2**63, 10**70, "", " ", "x", [], {}, [None], [[]], [{}], {"a": 1}, "#",
    "#c", {"resourceType": "Patient"}, "Patient/f-0", "Patient/", "/", "?", "Patient?identifier=",
    "urn:uuid:1", "2026-13-45", f"{TEXT}\u0000", f"{TEXT}\ud800", f"{TEXT}\x07", f"{TEXT} " * 400,
    f"{TEXT}-1", f"{TEXT}/{TEXT}", float(NUMBER), f"Patient?identifier={TEXT}|{TEXT}",
    f"https://{TEXT}.example.org/Patient/f-1", "W/\"1\"", "GET", "PUT", "DELETE", "PATCH", "HEAD",
    "transaction", "batch", "9999-12-31T23:59:59+14:00", "0001-01-01T00:00:00-12:00", "-0", "1e400", "%s",
    "%00", "';--", "\\", "<div>", "_history", "$why", "Observation/f-1/_history/1", {"reference": "#"},
    {"extension": []}, {"extension": [{"url": "urn:x"}]}, {"system": TEXT}, {"coding": [{}]},
    {"value": 1e300},
)  # fmt: skip

#: in place of the name of an element
NAMES = (
    NAME,
    f"_{NAME}",
    f"value{NAME}",
    f"{TEXT} 1",
    f"{TEXT}-1",
    "resourceType",
    "id",
    "_id",
    "contained",
    "extension",
    "",
    "$ref",
    "a b",
    "reference",
)

#: in place of a part of a query, a header or a path
TEXTS = (
    "", " ", TEXT, f"{TEXT},{TEXT}", f"{TEXT}|{TEXT}", f"{TEXT}$", "|", "||", ",", ",,", "$", "$$", "\\",
    "\\,", "'", '"', "%", "%25", "_", "*", "a" * 3000, TEXT * 700, "\u0000", "\ud7ff", "😀" * 50, "İ", "ß",
    "-1", "0", "1", "00", "1e9", "1e400", "1e-400", "9" * 40, "99999999999999999999.9", "NaN", "Infinity",
    "٣", "2026", "2026-13", "0000", "9999", "9999-12-31", "0001-01-01", "2026-02-30",
    "2026-01-01T00:00:00", "2026-01-01T24:00:00Z", "gt", "ap2026", "ne9999", "sa0001", "eb", "ap0",
    "ap9999-12-31", "lt-99999999999999999999", "Patient/", "Patient/f-1/", "#f-1", "urn:uuid:1",
    "http://", "http://[", "http://127.0.0.1:8000/fhir/", "true", "True", ":missing", ":iterate", "*:*",
    "Patient:*", "Observation:subject:Patient:x", "../..", "%2e%2e", "W/\"1\"", "W/\"99999999999\"",
    "\"1\"", "*", "W/1", "return=", "return=minimal; handling=lenient", "handling=lenient", ";;==",
    "Fri, 01 Jan 2100 00:00:00 GMT", "Fri, 99 Jan 99999 00:00:00 GMT", "bytes=0-1",
    "application/fhir+xml", "application/json;charset=utf-16", "application/fhir+json; fhirVersion=3.0",
    "text/html", "*/*;q=0", ";", "gzip", "br", "Basic Og==", "Basic \xff", "Bearer", f"Bearer {TEXT}",
    "a=b; a=b", f"identifier={TEXT}", "identifier=|", "identifier=a|b&identifier=c|d",
    f"identifier=https://{TEXT.lower()}.example.org/1|{TEXT}1", "name=x", "&&", "=", "?", "5e-324",
    "1" * 19, "-",
)  # fmt: skip


def spoil(value: Any, chance: random.Random) -> Any:
    """Return the value with one to three of its parts spoilt."""
    value = copy.deepcopy(value)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        found = list(_places(value))
        if not found:
            return copy.deepcopy(chance.choice(ODD))
        _at(value, chance.choice(found), chance)
    return value


def text(value: Any, chance: random.Random) -> bytes:
    """Return the value as JSON, now and then broken or written in a way that few write."""
    written = json.dumps(value, ensure_ascii=chance.random() < 0.5)
    body = written.encode("utf-8", "surrogatepass")
    match chance.randrange(24):
        case 0:
            return body[: chance.randrange(len(body) + 1)]
        case 1:
            at = chance.randrange(len(body) + 1)
            return (
                body[:at]
                + chance.choice((b"\xff", b"\x00", b"{", b"]", b",", b'"', b"\\", b"\xc3"))
                + body[at:]
            )
        case 2:
            return body.replace(
                f"{NUMBER}.".encode(),
                chance.choice((b"1e400,", b"1e5", b"-0", b"NaN", b"0x1", b"1." + b"0" * 80)),
            )
        case 3:
            return body.replace(b'"resourceType"', b'"resourceType": "Patient", "resourceType"', 1)
        case 4:
            return chance.choice(
                (b"", b" ", b"null", b"[]", b"{}", b'""', b"7", b"[" * 300, b'{"a":' * 99, b"<Patient/>")
            )
        case 5:
            return b"\xef\xbb\xbf" + body
        case _:
            return body


def word(chance: random.Random) -> str:
    """Return what a query, a header or a path does not expect."""
    return chance.choice(TEXTS)


def _places(node: Any, steps: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inside = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for step, value in inside:
        yield (*steps, step)
        yield from _places(value, (*steps, step))


def _at(value: Any, steps: tuple[Any, ...], chance: random.Random) -> None:
    *way, last = steps
    node = value
    for step in way:
        node = node[step]
    match chance.randrange(9):
        case 0:
            del node[last]
        case 1 if isinstance(node, dict):
            node[chance.choice(NAMES)] = node.pop(last)
        case 2 if isinstance(node, dict):
            node[chance.choice(NAMES)] = copy.deepcopy(chance.choice(ODD))
        case 3:
            node[last] = [node[last], copy.deepcopy(node[last])]
        case 4 if isinstance(node, list):
            node.append(copy.deepcopy(node[last]))
        case 5:
            node[last] = {NAME: node[last]}
        case 6 if isinstance(node, dict) and isinstance(node[last], str | int | float):
            # Still valid R4, wherever it is done: a value may be an extension alone, required or not.
            del node[last]
            node[f"_{last}"] = copy.deepcopy(UNSAID)
        case _:
            node[last] = copy.deepcopy(chance.choice(ODD))
