"""The hospital's FHIR server as the rest of the service asks it: read, search, transaction.

Nothing here raises for what the other side does: each question has one `Answer`.

http://hl7.org/fhir/R4/http.html
"""

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any
from urllib.parse import urlencode

from fhir_profiles import reading
from service.hospital import answers, authentication
from service.hospital.answers import Answer, Kind
from service.hospital.authentication import NotAuthenticated, Time
from service.hospital.settings import Hospital
from service.hospital.transport import Failed, Transport

Json = Mapping[str, Any]

FHIR = "application/fhir+json"
#: what is read before something is decided must not be an old answer
FRESH = {"Cache-Control": "no-cache"}
#: HAPI alone understands it: two writers at once are put one behind the other instead of refused
IN_TURN = {"X-Retry-On-Version-Conflict": "retry; max-retries=10"}


def _now() -> datetime:
    return datetime.now(UTC)


def _nothing() -> None:
    """Do nothing."""


class Connection:
    """One FHIR server, asked one question at a time."""

    def __init__(
        self,
        hospital: Hospital,
        *,
        transport: Transport | None = None,
        now: Time = _now,
        before: Callable[[], None] = _nothing,
    ) -> None:
        """Prepare; nothing is connected yet.

        Args:
            now: the machine's own clock, by which tokens end and the server's clock is judged. Nothing
                clinical follows it.
            before: done before each question, such as to say that whoever asks lives.

        Raises:
            InvalidSettings: a certificate or a key cannot be used.
        """
        self._hospital = hospital
        self._now = now
        self._before = before
        self._transport = transport or Transport(hospital)
        self._authentication = authentication.of(hospital, self._transport, now)

    @property
    def base(self) -> str:
        """Return the base of the server, without a slash at the end."""
        return self._hospital.url

    @property
    def longest_s(self) -> float:
        """Return the longest that one question may take."""
        return self._hospital.longest_s

    @property
    def settle_s(self) -> float:
        """Return how long the server may be at work on what it was sent."""
        return float(self._hospital.settle_s)

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection."""
        self._transport.close()

    def capabilities(self) -> Answer:
        """Return what the server says that it can do."""
        return self._ask("GET", "/metadata", headers=FRESH, expected="CapabilityStatement")

    def read(self, type_: str, id: str) -> Answer:
        """Return the current version of one resource; another one than asked for is `MIXED_UP`."""
        answer = self._ask("GET", f"/{type_}/{id}", headers=FRESH, expected=type_)
        if answer.taken and answer.body.get("id") != id:
            return Answer(kind=Kind.MIXED_UP, status=answer.status, said=f"{type_}/{id}")
        return answer

    def search(self, type_: str, parameters: Mapping[str, str]) -> Answer:
        """Return one page of a searchset. What is looked for stands in the body, not in an address."""
        headers = {**FRESH, "Content-Type": "application/x-www-form-urlencoded"}
        content = urlencode(parameters).encode()
        return self._ask("POST", f"/{type_}/_search", content=content, headers=headers, expected="Bundle")

    def follow(self, url: str) -> Answer:
        """Return the page of a searchset to which another one leads; a link to elsewhere is not followed."""
        path = url.removeprefix(self.base)
        # Patients' data, and what we show to be let in, go to nobody but the server that was named.
        if path == url or not path.startswith(("/", "?")):
            return Answer(kind=Kind.ELSEWHERE)
        return self._ask("GET", path, headers=FRESH, expected="Bundle")

    def create(self, resource: Json) -> Answer:
        """Return what the server made of a resource that it gives an id."""
        return self._write("POST", f"/{resource['resourceType']}", resource)

    def update(self, resource: Json) -> Answer:
        """Return what the server made of a resource that it has, by its id."""
        return self._write("PUT", f"/{resource['resourceType']}/{resource['id']}", resource)

    def _write(self, method: str, path: str, resource: Json) -> Answer:
        headers = {"Content-Type": FHIR, "Prefer": "return=representation", **IN_TURN}
        content = reading.write(resource)
        return self._ask(method, path, content=content, headers=headers, expected=resource["resourceType"])

    def transact(self, bundle: Json, *, sent: Collection[str]) -> Answer:
        """Return the answer to a transaction, one entry for each of its requests.

        Args:
            sent: the references in it, which may be named when it is refused.
        """
        answer = self._ask(
            "POST",
            "",
            content=reading.write(bundle),
            headers={"Content-Type": FHIR, **IN_TURN},
            expected="Bundle",
            sent=sent,
        )
        if answer.taken and not _all_done(answer.body, len(bundle["entry"])):
            return Answer(kind=Kind.FAILED_INSIDE, status=answer.status, skew_s=answer.skew_s)
        return answer

    def _ask(
        self,
        method: str,
        path: str,
        *,
        content: bytes | None = None,
        headers: Mapping[str, str],
        expected: str,
        sent: Collection[str] = (),
    ) -> Answer:
        """Return the answer; a token that is refused is renewed once, for nothing was done with it."""
        self._before()
        answer = self._exchange(method, path, content, headers, expected, sent)
        if answer.kind is Kind.UNAUTHENTICATED and self._authentication.renew():
            return self._exchange(method, path, content, headers, expected, sent)
        return answer

    def _exchange(
        self,
        method: str,
        path: str,
        content: bytes | None,
        headers: Mapping[str, str],
        expected: str,
        sent: Collection[str],
    ) -> Answer:
        try:
            who = self._authentication.header()
            named = {"Accept": FHIR, **headers, **({"Authorization": who} if who else {})}
            raw = self._transport.exchange(method, self._hospital.url + path, content=content, headers=named)
        except NotAuthenticated as refused:
            return refused.answer
        except Failed as failed:
            return Answer(kind=failed.kind, status=failed.status)
        return answers.read(raw.status, raw.headers, raw.body, expected=expected, sent=sent, now=self._now())


def _all_done(response: Json, requests: int) -> bool:
    """Return whether each request of a transaction has an answer that says it was done."""
    if response.get("type") != "transaction-response":
        return False
    entries = response.get("entry")
    return (
        isinstance(entries, list)
        and len(entries) == requests
        and all(_status(entry).startswith("2") for entry in entries)
    )


def _status(entry: Any) -> str:
    response = entry.get("response") if isinstance(entry, dict) else None
    status = response.get("status") if isinstance(response, dict) else None
    return status if isinstance(status, str) else ""
