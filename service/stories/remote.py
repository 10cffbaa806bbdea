"""A service over HTTP: its FHIR interface and, in a sandbox, its clock.

Nothing here looks behind the interface: the same stories can be played against any service
that keeps the same promises.
"""

from collections.abc import Mapping
from types import TracebackType
from typing import Any

import httpx

from fhir_profiles import reading

JSON = "application/json"
FHIR_JSON = "application/fhir+json"

#: an evaluation answers after its commit; a machine under load may take a while
TIMEOUT_S = 60

PAGE = "200"


class Refused(Exception):
    """The service did not do what it was asked for."""

    def __init__(self, status: int, lines: tuple[str, ...]) -> None:
        super().__init__("\n".join((f"the service answered {status}", *lines)))
        self.status = status
        self.lines = lines


class Unreachable(Exception):
    """No service answers at the URL."""


class Remote:
    """One running service."""

    def __init__(self, url: str, token: str = "") -> None:
        """Prepare to talk to the service at `http://host:port`, with or without `/fhir`.

        Args:
            token: what a service in production asks for.
        """
        self.url = url.rstrip("/").removesuffix("/fhir")
        # Without the environment: a proxy has no business with a service on this machine.
        self._client = httpx.Client(
            base_url=self.url, timeout=TIMEOUT_S, trust_env=False, headers=bearer(token)
        )

    def __enter__(self) -> "Remote":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def post(self, bundle: Any) -> dict[str, Any]:
        """Post a Bundle as `fhir_profiles.reading` reads it, and return the transaction-response.

        Raises:
            Refused: with one line per issue; nothing is stored.
        """
        return self._ask("POST", "/fhir", bundle, kind=FHIR_JSON)

    def read(self, reference: str) -> dict[str, Any]:
        """Return the resource at `Type/id`."""
        return self._ask("GET", f"/fhir/{reference}")

    def search(self, type_: str, parameters: Mapping[str, str]) -> list[dict[str, Any]]:
        """Return every matching resource, over all pages."""
        page = self._ask("GET", f"/fhir/{type_}", params={**parameters, "_count": PAGE})
        found: list[dict[str, Any]] = []
        while True:
            # Paging may add what it includes; only matches were asked for.
            found += [
                entry["resource"]
                for entry in page.get("entry", ())
                if entry.get("search", {}).get("mode", "match") == "match"
            ]
            following = [link["url"] for link in page.get("link", ()) if link["relation"] == "next"]
            if not following:
                return found
            page = self._ask("GET", following[0])

    def clock(self) -> dict[str, Any] | None:
        """Return the state of the clock; None: this is no sandbox."""
        try:
            return self._ask("GET", "/sandbox/clock")
        except Refused as refused:
            if refused.status == 404:
                return None
            raise

    def set_clock(self, now: str, *, held: bool = True) -> None:
        """Stop the clock at an instant; `held`: nothing is evaluated by itself."""
        self._ask("PUT", "/sandbox/clock", {"now": now, "evaluation": "held" if held else "automatic"})

    def free_clock(self) -> None:
        """Go back to the machine's clock."""
        self._ask("DELETE", "/sandbox/clock")

    def parameters(self) -> dict[str, Any]:
        """Return the site's parameters."""
        return self._ask("GET", "/sandbox/parameters")

    def set_parameters(self, values: Mapping[str, object]) -> None:
        """Set the site's parameters."""
        self._ask("PUT", "/sandbox/parameters", dict(values))

    def evaluate(self, patient: str) -> dict[str, Any]:
        """Evaluate `Patient/id` once at the clock's time, and return what it led to."""
        return self._ask("POST", "/sandbox/evaluate", {"patient": patient})

    def clear(self) -> None:
        """Remove all patient data; the parameters are at their defaults afterwards."""
        self._ask("DELETE", "/sandbox/data")

    def _ask(
        self,
        method: str,
        url: str,
        body: object = None,
        *,
        kind: str = JSON,
        params: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        content = None if body is None else reading.write(body)
        headers = {} if body is None else {"Content-Type": kind}
        try:
            response = self._client.request(method, url, content=content, headers=headers, params=params)
        except httpx.TransportError as error:
            raise Unreachable(f"{self.url} does not answer: {type(error).__name__}") from error
        if not response.is_success:
            raise Refused(response.status_code, _lines(response))
        answer: dict[str, Any] = response.json() if response.content else {}
        return answer


def bearer(token: str) -> dict[str, str]:
    """Return the header that shows a token; none without one."""
    return {"Authorization": f"Bearer {token}"} if token else {}


def _lines(response: httpx.Response) -> tuple[str, ...]:
    """Return what an OperationOutcome or an error says, one line per issue."""
    try:
        said = response.json()
    except ValueError:
        return ()
    if not isinstance(said, dict):
        return ()
    if said.get("resourceType") != "OperationOutcome":
        return (str(said["error"]),) if "error" in said else ()
    return tuple(
        " ".join(
            part
            for part in (
                f"{issue.get('severity', 'error')}:",
                ", ".join(issue.get("expression", ())),
                f"({issue.get('code', 'unknown')})",
                issue.get("diagnostics") or issue.get("details", {}).get("text", ""),
            )
            if part
        )
        for issue in said.get("issue", ())
    )
