"""Say when: exact dates with the weekday, and how far away they are.

https://hl7.org/fhir/R4/datatypes.html#dateTime
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo

from service.web.words import Words


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """When something is due, as the worklist says it."""

    #: late: past; soon: within a day; open: later than that; none: nobody said
    state: str
    distance: str
    exact: str


def read(text: str | None) -> datetime | None:
    """Return the instant a FHIR dateTime names, midnight UTC of a whole day, None if it names none."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class Moments:
    """Dates as one page says them: from its `now`, in the site's zone, in one language."""

    def __init__(self, now: datetime, zone: tzinfo, words: Words) -> None:
        self.now = now.astimezone(zone)
        self.zone = zone
        self._words = words

    def local(self, moment: datetime) -> datetime:
        """Return the instant in the site's zone."""
        return moment.astimezone(self.zone)

    def day(self, moment: date) -> str:
        """Return `Mon 29 Jun 2026`; an instant is first brought into the site's zone."""
        return self._written(moment, "day")

    def short(self, moment: date) -> str:
        """Return `29 Jun`, with the year only when it is another one than now."""
        return self._written(
            moment, "day.short" if self._date(moment).year == self.now.year else "day.short.year"
        )

    def plain(self, moment: date) -> str:
        """Return `29 Jun 2026`."""
        return self._written(moment, "day.short.year")

    def time(self, moment: datetime) -> str:
        """Return `09:15`."""
        return self._words.formats.time(self.local(moment))

    def exact(self, moment: datetime) -> str:
        """Return `Mon 29 Jun 2026, 09:15`."""
        return f"{self.day(moment)}, {self.time(moment)}"

    def said(self, text: str | None) -> str:
        """Return a FHIR date or dateTime in words, as precise as it was written."""
        moment = read(text)
        if not text or moment is None:
            return text or ""
        if "T" in text:
            return self.exact(moment)
        return self.day(date(moment.year, moment.month, moment.day))

    def days_since(self, moment: date) -> int:
        """Return the whole calendar days from then until now."""
        return (self.now.date() - self._date(moment)).days

    def distance(self, moment: datetime) -> str:
        """Return `in 7 days`, `today`, `2 days ago`."""
        days = -self.days_since(moment)
        if days == 0:
            return self._words("today")
        return self._words.count("in_days" if days > 0 else "days_ago", abs(days))

    def due(self, moment: datetime | None) -> Due:
        """Return how a due time is said: minutes and hours within a day, days beyond."""
        if moment is None:
            return Due(state="none", distance=self._words("due.none"), exact="")
        left = moment - self.now
        past = left < timedelta(0)
        if abs(left) < timedelta(hours=1):
            distance = self._words.count("due.min", int(abs(left).total_seconds() // 60))
        elif abs(left) < timedelta(days=1):
            distance = self._words.count("due.h", int(abs(left).total_seconds() // 3600))
        elif past:
            distance = self._words.count("due.days", max(1, self.days_since(moment)))
        else:
            return Due(state="open", distance=self.distance(moment), exact=self.day(moment))
        key = "due.over" if past else "due.left"
        exact = self.exact(moment) if abs(left) < timedelta(days=1) else self.day(moment)
        return Due(state="late" if past else "soon", distance=self._words(key, span=distance), exact=exact)

    def span(self, seconds: float) -> str:
        """Return `40 s`, `12 min`, `3 h` or `2 days`: whole units, rounded down."""
        for key, unit_s in (("due.days", 86400), ("due.h", 3600), ("due.min", 60)):
            if seconds >= 2 * unit_s or (key == "due.min" and seconds > 60):
                return self._words.count(key, int(seconds // unit_s))
        return self._words("due.s", n=int(seconds))

    def age(self, born: date) -> int:
        """Return the age in whole years."""
        today = self.now.date()
        return today.year - born.year - ((today.month, today.day) < (born.month, born.day))

    def _written(self, moment: date, pattern: str) -> str:
        return self._words.formats.date(self._date(moment), self._words(pattern))

    def _date(self, moment: date) -> date:
        return self.local(moment).date() if isinstance(moment, datetime) else moment
