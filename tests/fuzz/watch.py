"""What no answer may be, and nothing that is written may hold."""

import contextlib
import gzip
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fuzz.grammar import MARKS, NAME
from fuzz.making import Asked

#: no answer takes longer
SLOW_S = 2.0
SLOW = "slow"

#: parts that are away in a test: no worker, no sweep, nobody who signs in
_AWAY = ("/health/ready", "/sandbox/evaluate")
#: and what waits for one of them before it says so
_WAITS = "/sandbox/evaluate"

_MARKED = re.compile("|".join(re.escape(mark) for mark in MARKS), re.IGNORECASE)
_NAMED = re.compile(f"{_MARKED.pattern}|{NAME}", re.IGNORECASE)

#: of a longer URL the HTTP server tells nothing to the service, and answers 414 with nothing more
LONGEST_URL = 65_534

#: what answers with OperationOutcomes
_OF_FHIR = re.compile(r"/fhir(?:[/?]|$)|/cds-services/hipway-[a-z-]+(?:/feedback)?(?:\?|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """One answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    took_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was wrong, in words that stay the same while the request gets smaller, and where it is seen."""

    what: str
    detail: str = ""


def findings(asked: Asked, answer: Answered) -> Iterator[Finding]:
    """Yield what is wrong with an answer by itself."""
    if answer.status >= 500 and not (answer.status == 503 and asked.url.startswith(_AWAY)):
        yield Finding(what=f"answered {answer.status}", detail=_said(answer.body))
    if answer.took_s > SLOW_S and not (answer.status == 503 and asked.url.startswith(_WAITS)):
        yield Finding(what=SLOW, detail=f"{answer.took_s:.1f} s")
    if not _OF_FHIR.match(asked.url) or is_too_long(asked, answer):
        return
    if answer.status >= 400 and asked.method != "HEAD":
        if answer.headers.get("content-type") != "application/fhir+json" or not _is_outcome(answer.body):
            yield Finding(what="refused without an OperationOutcome", detail=_said(answer.body))
        if found := marked(answer.body.decode(errors="replace")):
            yield Finding(what="a value in what is refused", detail=found)
    if answer.status >= 400 and (found := marked(str(dict(answer.headers)))):
        yield Finding(what="a value in the headers of what is refused", detail=found)
    if answer.status < 300 and b'"OperationOutcome"' in answer.body:
        for outcome in _outcomes(answer.body):
            if found := marked(json.dumps(outcome, ensure_ascii=False)):
                yield Finding(what="a value in an OperationOutcome", detail=found)


def is_too_long(asked: Asked, answer: Answered) -> bool:
    """Return whether the HTTP server refused the URL, before the service saw it."""
    return answer.status == 414 and len(asked.url) > LONGEST_URL


def marked(text: str, *, named: bool = False) -> str:
    """Return some text around a value of the data; empty: there is none.

    Args:
        named: the name of an element that nobody knows is looked for, too.
    """
    found = (_NAMED if named else _MARKED).search(text)
    return text[max(0, found.start() - 120) : found.end() + 120] if found else ""


def joins(asked: Asked) -> bool:
    """Return whether a request may join two records or part them: its answer does not name all it stores."""
    body = asked.body or b""
    if asked.headers.get("Content-Encoding") == "gzip":
        with contextlib.suppress(OSError, EOFError, zlib.error):
            body = gzip.decompress(body)
    return asked.url.partition("?")[0].endswith(("/$merge", "/$unmerge")) or b"replaced-by" in body


def stored(asked: Asked, answer: Answered) -> Iterator[tuple[str, str, int]]:
    """Yield what an answer says to have stored or removed: type, id and version; `*` where it says none."""
    if answer.status >= 300:
        return
    location, etag = answer.headers.get("location", ""), answer.headers.get("etag", "")
    if found := _VERSION.search(location):
        yield found[1], found[2], int(found[3])
    elif etag and (asked.method == "DELETE" or "/$meta-" in asked.url):
        path = asked.url.partition("?")[0].split("/")
        yield path[2], path[3] if len(path) > 3 else "*", int(re.findall(r"\d+", etag)[0])
    if asked.method == "POST" and asked.url.rstrip("/") == "/fhir" and answer.status == 200:
        yield from _of_bundle(json.loads(answer.body))


_VERSION = re.compile(r"([A-Za-z]+)/([A-Za-z0-9\-.]+)/_history/(\d+)$")


def _of_bundle(bundle: Mapping[str, Any]) -> Iterator[tuple[str, str, int]]:
    for entry in bundle.get("entry", ()):
        response = entry["response"]
        if found := _VERSION.search(response.get("location", "")):
            yield found[1], found[2], int(found[3])
        elif response["status"].startswith("204") and "etag" in response:
            yield "*", "*", int(re.findall(r"\d+", response["etag"])[0])


def _is_outcome(body: bytes) -> bool:
    try:
        return bool(json.loads(body)["resourceType"] == "OperationOutcome")
    except (ValueError, KeyError, TypeError):
        return False


def _outcomes(body: bytes) -> Iterator[Any]:
    try:
        answer = json.loads(body)
    except ValueError:
        return
    if answer.get("resourceType") == "OperationOutcome":
        yield answer
    if answer.get("resourceType") == "Bundle":
        for entry in answer.get("entry", ()):
            if outcome := entry.get("response", {}).get("outcome"):
                yield outcome


def _said(body: bytes) -> str:
    return body[:300].decode(errors="replace")
