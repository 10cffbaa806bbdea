"""Whether a resource would do: the gate, its model, our profiles, and what a write would be refused for.

http://hl7.org/fhir/R4/resource-operation-validate.html
"""

from collections.abc import Iterator, Mapping
from typing import Any

from fhir.resources.R4B import get_fhir_model_class
from pydantic import ValidationError

from fhir_profiles import gate, profiles
from fhir_profiles.faults import Fault
from service.fhir.refusals import Issue, NotExchanged

Json = Mapping[str, Any]

OF_R4 = "http://hl7.org/fhir/StructureDefinition/"


def wanted(url: str | None, type_: str) -> Json | None:
    """Return the profile that is named; None for none, and for what R4 itself says of the type.

    Raises:
        NotExchanged: this service has no such profile.
    """
    if url is None or url == f"{OF_R4}{type_}":
        return None
    found = profiles.known(url)
    if found is None or found["type"] == "Extension":
        text = "this service validates against its own profiles, and against R4; see metadata"
        raise NotExchanged(Issue(code="not-supported", text=text))
    return found


def errors(resource: dict[str, Any], type_: str, profile: Json | None) -> list[Issue]:
    """Return what is wrong with the resource.

    Args:
        type_: of which it was said to be.
        profile: as returned by `wanted`; by default those that the resource claims are looked at.
    """
    faults = gate.check(resource)
    if faults:
        # What is not of the right shape cannot be held against a profile.
        return [_issue(fault) for fault in faults]
    if resource["resourceType"] != type_:
        return [Issue(code="invalid", text=f"the resource is no {type_}", expression="Resource.resourceType")]
    claimed = (profiles.known(str(url)) for url in resource.get("meta", {}).get("profile", ()))
    asked = [profile] if profile is not None else [each for each in claimed if each is not None]
    found = [fault for each in asked for fault in profiles.check(resource, each)]
    return [_issue(fault) for fault in dict.fromkeys([*found, *profiles.extensions(resource)])]


def doubts(resource: dict[str, Any]) -> Iterator[Issue]:
    """Yield what the R4B model of the type says of a resource that the gate lets pass.

    It is a second opinion: a write is not refused for it. Its own words may repeat values and are not used.
    """
    try:
        get_fhir_model_class(resource["resourceType"]).model_validate(resource)
    except ValidationError as error:
        for fault in error.errors(include_input=False, include_url=False, include_context=False):
            path = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in fault["loc"])
            yield Issue(
                code="invalid",
                text=f"the R4B model of the type does not take this ({fault['type']})",
                expression=f"{resource['resourceType']}{path}",
            )
    except (KeyError, TypeError, ValueError, AttributeError):
        yield Issue(
            code="invalid",
            text="the R4B model of the type does not take this",
            expression=resource["resourceType"],
        )


def outcome(wrong: list[Issue], doubtful: list[Issue], *, text: str) -> dict[str, Any]:
    """Return the answer: errors, then warnings, or that all is well."""
    lines = [_line("error", issue) for issue in wrong] + [_line("warning", issue) for issue in doubtful]
    well = {"severity": "information", "code": "informational", "diagnostics": text}
    return {"resourceType": "OperationOutcome", "issue": lines if wrong else [*lines, well]}


def _line(severity: str, issue: Issue) -> dict[str, Any]:
    line = {"severity": severity, "code": issue.code, "diagnostics": issue.text}
    return line | ({"expression": [issue.expression]} if issue.expression else {})


def _issue(fault: Fault) -> Issue:
    return Issue(code=fault.code, text=fault.text, expression=fault.expression)
