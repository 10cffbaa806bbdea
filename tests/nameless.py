"""Examples made free of names: what is left of a visit when nobody can be recognised by it."""

from typing import Any

Json = dict[str, Any]

#: who is meant, and by what a person is known
PERSONAL = ("identifier", "name", "birthDate", "address", "telecom", "performer", "encounter", "note", "text")


def visit(bundle: Json, types: tuple[str, ...], most: int) -> Json:
    """Return the first entries of these types as a transaction of PUTs about a patient named example."""
    kept: list[Json] = []
    for entry in bundle["entry"]:
        resource = entry["resource"]
        if resource["resourceType"] in types and len(kept) < most:
            number = "example" if resource["resourceType"] == "Patient" else f"example-{len(kept)}"
            kept.append({"resourceType": resource["resourceType"], "id": number, **_without(resource)})
    entries = [
        {"resource": each, "request": {"method": "PUT", "url": f"{each['resourceType']}/{each['id']}"}}
        for each in kept
    ]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def _without(resource: Json) -> Json:
    found = {name: value for name, value in resource.items() if name not in (*PERSONAL, "resourceType", "id")}
    if "subject" in found:
        found["subject"] = {"reference": "Patient/example"}
    return found
