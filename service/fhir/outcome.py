"""OperationOutcome: every answer that is not the one asked for.

http://hl7.org/fhir/R4/operationoutcome.html
"""

from collections.abc import Iterable
from typing import Any

from service.fhir.refusals import Issue
from service.store.resources import Head

#: one Bundle can hold a fault per line; nobody reads more than this at once
MOST_ISSUES = 100


def of(issues: Iterable[Issue]) -> dict[str, Any]:
    """Return the OperationOutcome with one line per issue."""
    lines = [_line(issue) for issue in issues]
    left_out = len(lines) - MOST_ISSUES
    if left_out > 0:
        text = f"{left_out} more issues are not listed"
        lines = [
            *lines[:MOST_ISSUES],
            {"severity": "information", "code": "informational", "diagnostics": text},
        ]
    return {"resourceType": "OperationOutcome", "issue": lines}


def stored(head: Head, *, changed: bool) -> dict[str, Any]:
    """Return the OperationOutcome that a client asks for in place of what was stored."""
    what = "stored as" if changed else "nothing is different from"
    return information(f"{what} version {head.version} of {head.type}/{head.id}")


def removed(head: Head) -> dict[str, Any]:
    """Return the OperationOutcome that a client asks for when a resource was removed."""
    return information(f"{head.type}/{head.id} is removed, as its version {head.version}")


def information(text: str) -> dict[str, Any]:
    """Return the OperationOutcome that tells something about what went well."""
    line = {"severity": "information", "code": "informational", "diagnostics": text}
    return {"resourceType": "OperationOutcome", "issue": [line]}


def _line(issue: Issue) -> dict[str, Any]:
    line: dict[str, Any] = {"severity": "error", "code": issue.code, "diagnostics": issue.text}
    if issue.expression:
        line["expression"] = [issue.expression]
    return line
