"""What one evaluation led to, in the shorthand of the patient stories."""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection

from service.store import resources
from service.stories import collecting, orders
from service.stories.answer import Answer
from service.stories.collecting import Record

TENANT = 0


def record(tx: Connection, patient: str) -> Record:
    """Return what the service has made for the patient so far."""
    return collecting.record(_search(tx, patient), patient)


def answer(before: Record, after: Record) -> Answer:
    """Return what is new, and where the patient stands."""
    return collecting.answer(after, before.identities, orders.names())


def _search(tx: Connection, patient: str) -> Callable[[str, Mapping[str, str]], list[dict[str, Any]]]:
    """Return the searches of the FHIR interface that the shorthand needs, within one transaction."""

    def search(type_: str, parameters: Mapping[str, str]) -> list[dict[str, Any]]:
        stored = resources.of_patient(tx, patient, tenant=TENANT, types=[type_], owned=True)
        return [one.resource for one in stored if _matches(one.resource, parameters)]

    return search


def _matches(resource: Mapping[str, Any], parameters: Mapping[str, str]) -> bool:
    if "intent" in parameters and resource.get("intent") != parameters["intent"]:
        return False
    targets = [target.get("reference") for target in resource.get("target", ())]
    return "target" not in parameters or parameters["target"] in targets
