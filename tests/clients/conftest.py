"""One running service for the clients of others, with a patient whose plan has begun.

The service is what a hospital starts: `hipway web`, `worker` and `sweep` as processes of their own.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from nodes import Node, one_node

from fhir_profiles import reading

FIRST_VISIT = Path(__file__).parents[1] / "examples" / "01-new-referral-visit.json"


@pytest.fixture(scope="package")
def node(scratch: Path, new_database_url: Callable[[], str]) -> Iterator[Node]:
    """The running service."""
    with one_node(scratch / "clients", new_database_url()) as running:
        # Before any data, because it does not go back; the visit below belongs to this day.
        running.remote.set_clock("2026-03-02T10:45:00+01:00")
        yield running


@pytest.fixture(scope="package")
def base(node: Node) -> str:
    """The base of its FHIR interface."""
    return f"{node.remote.url}/fhir"


@pytest.fixture(scope="package")
def plan_id(node: Node) -> str:
    """The id of the CarePlan to which a first visit has led."""
    visit = reading.read(FIRST_VISIT.read_bytes())
    stored = [entry["response"]["location"] for entry in node.remote.post(visit)["entry"]]
    patient = next("/".join(each.split("/")[-4:-2]) for each in stored if "/Patient/" in f"/{each}")
    node.remote.evaluate(patient)
    (plan,) = node.remote.search("CarePlan", {"patient": patient})
    return str(plan["id"])
