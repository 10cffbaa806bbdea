"""Patients in conservative therapy whose next Observation leads to an urgent order.

The first and third step of a story (weakness that stays mild) in one Bundle bring a patient there; the fourth
is one Observation, two grades weaker: an MRI and an X-ray are proposed. Dates are shifted to the present,
because the service keeps the machine's time.
"""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

STORY = Path(__file__).parents[1] / "stories" / "V72.json"
#: the patient of the story, and what replaces it
_PATIENT = "gmt-v72"
_OTHERS = ("v72-s", "GMT-1072")

_INSTANT = re.compile(r'"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)"')


def prepared(number: int, now: datetime) -> bytes:
    """Return the Bundle that brings a patient into therapy."""
    return _own(_steps((0, 2), now), number)


def weaker(number: int, now: datetime) -> bytes:
    """Return the Bundle with the one Observation."""
    return _own(_steps((3,), now), number)


def patient(number: int) -> str:
    """Return the id of a patient."""
    return f"therapy-{number:06}"


def _steps(places: tuple[int, ...], now: datetime) -> str:
    steps = json.loads(STORY.read_text())["steps"]
    entries: dict[str, Any] = {}
    for place in places:
        entries |= {entry["fullUrl"]: entry for entry in steps[place]["bundle"]["entry"]}
    last = datetime.fromisoformat(steps[3]["at"])
    # An hour ago, so that nothing is of the future whatever the time of a run.
    shift = now - timedelta(hours=1) - last
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": list(entries.values())}
    return _INSTANT.sub(
        lambda found: f'"{(datetime.fromisoformat(found[1]) + shift).astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"',
        json.dumps(bundle, separators=(",", ":")),
    )


def _own(text: str, number: int) -> bytes:
    text = text.replace(_PATIENT, patient(number))
    for other in _OTHERS:
        text = text.replace(other, f"n{number:06}" + ("-s" if other.endswith("-s") else ""))
    return text.encode()
