"""Feedback on cards as it is sent: read and checked. A comment in free text is not kept.

https://cds-hooks.hl7.org/2.0/#feedback
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from service.cds.services import Service
from service.fhir.refusals import Issue, NotExchanged
from service.store.feedback import Feedback

Json = Mapping[str, Any]

MOST = 100
OUTCOMES = ("accepted", "overridden")
#: what a code system and a code may look like: names, not sentences
SYSTEM = re.compile(r"(https?://|urn:)[!-~]{1,200}")
CODE = re.compile(r"[!-~]{1,64}")


def read(service: Service, body: Json) -> list[Feedback]:
    """Return what was sent about cards of the service.

    Raises:
        NotExchanged: it is no feedback; nothing of it is kept.
    """
    given = body.get("feedback")
    if not isinstance(given, list) or not given:
        raise _malformed("feedback", "feedback is a list of what became of cards")
    if len(given) > MOST:
        raise _malformed("feedback", f"at most {MOST} are taken at once")
    return [_one(service, each, f"feedback[{number}]") for number, each in enumerate(given)]


def _one(service: Service, given: object, at: str) -> Feedback:
    if not isinstance(given, dict):
        raise _malformed(at, "feedback is an object")
    outcome = given.get("outcome")
    if outcome not in OUTCOMES:
        raise _malformed(f"{at}.outcome", f"outcome is one of {', '.join(OUTCOMES)}")
    accepted = given.get("acceptedSuggestions", [])
    if not isinstance(accepted, list) or len(accepted) > MOST or (outcome == "accepted" and not accepted):
        raise _malformed(f"{at}.acceptedSuggestions", "an accepted card names the suggestions that were")
    system, code = _reason(given.get("overrideReason"), at)
    return Feedback(
        service=service.id,
        card=_uuid(given.get("card"), f"{at}.card"),
        outcome=outcome,
        at=_instant(given.get("outcomeTimestamp"), f"{at}.outcomeTimestamp"),
        suggestions=tuple(
            _uuid(
                each.get("id") if isinstance(each, dict) else None, f"{at}.acceptedSuggestions[{number}].id"
            )
            for number, each in enumerate(accepted)
        ),
        reason_system=system,
        reason_code=code,
    )


def _reason(given: object, at: str) -> tuple[str | None, str | None]:
    where = f"{at}.overrideReason"
    if given is None:
        return None, None
    if not isinstance(given, dict):
        raise _malformed(where, "overrideReason is an object")
    reason = given.get("reason")
    if reason is None:
        return None, None
    system, code = (reason.get("system"), reason.get("code")) if isinstance(reason, dict) else (None, None)
    if not isinstance(code, str) or not CODE.fullmatch(code):
        raise _malformed(f"{where}.reason", "a reason is a coding with system and code")
    if not isinstance(system, str) or not SYSTEM.fullmatch(system):
        raise _malformed(f"{where}.reason", "a reason is a coding with system and code")
    return system, code


def _uuid(value: object, at: str) -> str:
    try:
        if isinstance(value, str):
            return str(UUID(value))
    except ValueError:
        pass
    raise _malformed(at, "this is the uuid that came with the card")


def _instant(value: object, at: str) -> datetime:
    try:
        stated = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        stated = None
    if stated is None or stated.tzinfo is None:
        raise _malformed(at, "outcomeTimestamp is an instant with a time zone")
    return stated


def _malformed(at: str, text: str) -> NotExchanged:
    return NotExchanged(Issue(code="invalid", text=text, expression=at))
