"""Asks a server's `$validate` about a resource, against profiles of ours.

https://hl7.org/fhir/R4/resource-operation-validate.html
"""

from collections.abc import Iterator

import httpx
from playing import Json

from fhir_profiles import reading

SEVERE = frozenset({"fatal", "error"})


def issues(hapi: httpx.Client, resource: Json, profile: str | None = None) -> Iterator[str]:
    """Yield what the server finds wrong with a resource, a sentence each; warnings are not wrong."""
    # The resource itself is sent, as text: in a Parameters resource the server reads it first, and drops what
    # it does not know before it looks.
    answer = hapi.post(
        f"/{resource['resourceType']}/$validate",
        params={"profile": profile} if profile else {},
        content=reading.write(resource),
    )
    for issue in answer.json()["issue"]:
        if issue["severity"] in SEVERE:
            where = ", ".join(issue.get("location", ())[:1])
            yield f"{resource['resourceType']}/{resource.get('id', '')} {where}: {issue['diagnostics']}"
