"""The example library, and records for it."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from pathways import cql

HERE = Path(__file__).parent
EXAMPLE = "https://example.org/codes"


@pytest.fixture(scope="session")
def example_elm() -> dict[str, Any]:
    elm: dict[str, Any] = json.loads((HERE / "example.elm.json").read_text())
    return elm


@pytest.fixture(scope="session")
def example(example_elm: dict[str, Any]) -> cql.Library:
    return cql.load(example_elm)


@pytest.fixture
def moment() -> datetime:
    return datetime(2026, 3, 14, 10, 0, tzinfo=timezone(timedelta(hours=1)))


@pytest.fixture
def observation() -> Callable[..., dict[str, Any]]:
    def made(id_: str, code: str, when: str, **value: Any) -> dict[str, Any]:
        return {
            "resourceType": "Observation",
            "id": id_,
            "meta": {"versionId": "3"},
            "status": "final",
            "code": {"coding": [{"system": EXAMPLE, "code": code}]},
            "effectiveDateTime": when,
            **value,
        }

    return made
