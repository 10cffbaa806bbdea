"""Checks how a person's file becomes a Bundle, and how its patient is found."""

from collections.abc import Mapping
from typing import Any

import pytest

from service.stories import posting


def test_a_bare_resource_is_put_under_its_id() -> None:
    bundle = posting.bundle({"resourceType": "ConceptMap", "id": "codes"})

    assert bundle["type"] == "transaction"
    assert bundle["entry"][0]["request"] == {"method": "PUT", "url": "ConceptMap/codes"}


def test_a_bare_resource_without_id_is_put_by_its_identifier() -> None:
    bundle = posting.bundle({"resourceType": "Patient", "identifier": [{"system": "urn:a", "value": "7"}]})

    assert bundle["entry"][0]["request"] == {"method": "PUT", "url": "Patient?identifier=urn:a|7"}


def test_a_bundle_is_posted_as_it_is() -> None:
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": []}

    assert posting.bundle(bundle) is bundle


def test_what_has_no_type_cannot_be_posted() -> None:
    with pytest.raises(posting.CannotBePosted):
        posting.bundle({"id": "x"})


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({"method": "PUT", "url": "Patient/p1"}, "p1"),
        ({"method": "POST", "url": "Patient", "ifNoneExist": "identifier=urn:a|7"}, "found-urn:a|7"),
        ({"method": "PUT", "url": "Patient?identifier=urn:a|7"}, "found-urn:a|7"),
    ],
)
def test_the_patient_is_the_one_that_the_service_would_take(request_: dict[str, str], expected: str) -> None:
    bundle = {"entry": [{"resource": {"resourceType": "Patient"}, "request": request_}]}

    assert posting.patient(bundle, _known) == expected


def test_a_bundle_that_only_mentions_its_patient_is_about_that_patient() -> None:
    task = {"resourceType": "Task", "for": {"reference": "Patient/p1"}}
    bundle = {"entry": [{"resource": task, "request": {"method": "POST", "url": "Task"}}]}

    assert posting.patient(bundle, _known) == "p1"


def _known(type_: str, parameters: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"resourceType": type_, "id": f"found-{parameters['identifier']}"}]
