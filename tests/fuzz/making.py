"""What every request is made of: who is asked about, bodies that are now and then spoilt, addresses."""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from fuzz import searches, spoiling
from fuzz.grammar import Grammar

FHIR = "application/fhir+json"
PATCH = "application/json-patch+json"
FORM = "application/x-www-form-urlencoded"
JSON = "application/json"

#: few, so that what is sent about one meets
PATIENTS = 8

_PREFERRED = ("minimal", "OperationOutcome", "representation")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request, as it is sent."""

    method: str
    #: with its query, quoted
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None

    def __str__(self) -> str:
        """Return it as a person would send it again."""
        headers = "".join(f"\n    {name}: {value!a}" for name, value in self.headers.items())
        return f"{self.method} {self.url}{headers}" + (
            f"\n    {self.body!r}" if self.body is not None else ""
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """The chance by which one request is made, and what is there to be asked about."""

    chance: random.Random
    it: Grammar
    #: ids that are there from the beginning, by type; under `page` addresses
    known: Mapping[str, list[str]]

    def patient(self) -> str:
        """Return the id of a patient: now and then of one who was evaluated."""
        evaluated = self.known.get("Patient")
        if evaluated and self.chance.random() < 0.1:
            return self.chance.choice(evaluated)
        return f"f-{self.chance.randrange(PATIENTS)}"

    def some(self, type_: str) -> str:
        """Return the id of some resource of the type."""
        there = self.known.get(type_)
        if there and self.chance.random() < 0.3:
            return self.chance.choice(there)
        return self.patient() if type_ == "Patient" else self.it.id()

    def maybe_spoilt(self, value: Any) -> Any:
        """Return the value, or the same spoilt."""
        return spoiling.spoil(value, self.chance) if self.chance.random() < 0.45 else value

    def written(self, value: Any) -> bytes:
        """Return the value as JSON, now and then broken."""
        return spoiling.text(value, self.chance) if self.chance.random() < 0.3 else json.dumps(value).encode()

    def sent(
        self,
        method: str,
        path: str,
        value: Any,
        headers: Mapping[str, str] | None = None,
        *,
        media: str = FHIR,
    ) -> Asked:
        """Return a request beneath the FHIR base with a body."""
        more = {}
        if self.chance.random() < 0.2:
            more["Prefer"] = f"return={self.chance.choice(_PREFERRED)}"
        return Asked(
            method=method,
            url=f"/fhir{path}" if path in ("", "/") else f"/fhir/{path}",
            headers={"Content-Type": media, **more, **(headers or {})},
            body=self.written(value),
        )


def fhir(
    method: str, path: str, query: searches.Query | None = None, headers: Mapping[str, str] | None = None
) -> Asked:
    """Return a request beneath the FHIR base without a body."""
    return Asked(method=method, url=url(f"/fhir/{path}", query or []), headers=headers or {})


def url(path: str, query: searches.Query) -> str:
    """Return an address with its query."""
    return f"{path}?{quoted(query)}" if query else path


def quoted(query: searches.Query) -> str:
    """Return a query as it stands in an address or a form."""
    return urlencode(query, errors="surrogatepass")
