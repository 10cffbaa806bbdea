"""FHIR dates as the time that they may mean.

http://hl7.org/fhir/R4/search.html#date
"""

import re
from datetime import UTC, datetime, timedelta

DATE = re.compile(
    r"(?P<year>\d{4})(-(?P<month>\d\d)(-(?P<day>\d\d)"
    r"(T(?P<clock>\d\d:\d\d(?P<seconds>:\d\d(\.\d{1,6})?)?)\d*(?P<zone>Z|[+-]\d\d:\d\d))?)?)?"
)


def instants(text: str) -> tuple[datetime, datetime] | None:
    """Return the first instant a FHIR date may mean and the first it no longer means.

    A date without a time is read as a day of UTC. None: not a FHIR date.
    """
    match = DATE.fullmatch(text)
    try:
        return _interval(match) if match else None
    except (ValueError, OverflowError):
        return None


def first(text: str) -> datetime | None:
    """Return the first instant a FHIR date may mean; None: not a FHIR date."""
    match = DATE.fullmatch(text)
    try:
        return _first(match) if match else None
    except (ValueError, OverflowError):
        return None


def _interval(match: re.Match[str]) -> tuple[datetime, datetime]:
    low = _first(match)
    if match["clock"]:
        if not match["seconds"]:
            return low, low + timedelta(minutes=1)
        whole = "." not in match["clock"]
        return low, low + (timedelta(seconds=1) if whole else timedelta(milliseconds=1))
    month, day = match["month"], match["day"]
    if (low.year, month or "12", day or "31") == (9999, "12", "31"):
        # Written for "never ends": there is no day after it.
        return low, datetime.max.replace(tzinfo=UTC)
    if day:
        return low, low + timedelta(days=1)
    if month:
        return low, datetime(low.year + low.month // 12, low.month % 12 + 1, 1, tzinfo=UTC)
    return low, datetime(low.year + 1, 1, 1, tzinfo=UTC)


def _first(match: re.Match[str]) -> datetime:
    year, month, day = match["year"], match["month"] or "01", match["day"] or "01"
    if match["clock"]:
        text = f"{year}-{month}-{day}T{match['clock']}{match['zone']}"
        return datetime.fromisoformat(text).astimezone(UTC)
    return datetime(int(year), int(month), int(day), tzinfo=UTC)
