"""Ids derived from what a resource is, so that writing it twice makes one.

A version 5 UUID of tenant, patient, pathway, side, kind, code and running key
(fhir-contract 6.1).
"""

from uuid import NAMESPACE_URL, uuid5

NAMESPACE = uuid5(NAMESPACE_URL, "https://w3id.org/hipway/derived")


def derive(*parts: object) -> str:
    """Return the id for these parts. The order of the parts matters, and no part may contain a line break."""
    return str(uuid5(NAMESPACE, "\n".join(str(part) for part in parts)))
