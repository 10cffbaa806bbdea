"""Date, DateTime and Time that know how precise they are.

A value holds only the fields that were given: `@2024-03` has a year and a month, and whether it
is before `@2024-03-15` is unknown, not false. A DateTime always has an offset: its own, or the one
of the evaluation when it was written without.

Comparing DateTimes with different offsets happens in the offset of the evaluation (HOME), so that
"same day" means the clinic's day.

https://cql.hl7.org/09-b-cqlreference.html#datetime-operators-2
"""

import calendar
import re
from contextvars import ContextVar
from datetime import date as _date
from datetime import datetime as _datetime
from datetime import timedelta, timezone
from typing import Any, Self, TypeVar

PRECISIONS = ("year", "month", "day", "hour", "minute", "second", "millisecond")

_PLACES = {precision: place for place, precision in enumerate(PRECISIONS)}

# Minutes east of UTC; set for each evaluation by the run.
HOME: ContextVar[int] = ContextVar("home_offset", default=0)

_LEAST = (1, 1, 1, 0, 0, 0, 0)
_MOST = (9999, 12, 31, 23, 59, 59, 999)
# The units a precision counts in, for turning a finer amount into a coarser one.
_MS = {"hour": 3_600_000, "minute": 60_000, "second": 1000, "millisecond": 1}
_DAY_MS = 86_400_000


Known = TypeVar("Known", bound="Temporal")


class OutOfRange(ValueError):
    """A field is outside the calendar, or the year outside 1 to 9999."""


class Temporal:
    """A point in time known to some precision; `fields` runs from the coarsest to the finest known."""

    __slots__ = ("fields",)
    first = 0
    finest = 7
    #: minutes east of UTC; of days and times of day, which have none, the same for all
    offset = 0
    fields: tuple[int, ...]

    def __init__(self, *fields: int) -> None:
        if not 0 < len(fields) <= self.finest - self.first:
            raise OutOfRange(type(self).__name__)
        for at, field in enumerate(fields, self.first):
            if not _LEAST[at] <= field <= _MOST[at]:
                raise OutOfRange(PRECISIONS[at])
        # Most days are in every month, and asking for the month's length is slow.
        late = self.first == 0 and len(fields) > 2 and fields[2] > 28
        if late and fields[2] > calendar.monthrange(fields[0], fields[1])[1]:
            raise OutOfRange("day")
        self.fields = fields

    @property
    def precision(self) -> str:
        """Return the name of the finest field that is known."""
        return PRECISIONS[self.first + len(self.fields) - 1]

    def with_fields(self, fields: tuple[int, ...]) -> Self:
        """Return the same kind of value, in the same offset, with these fields."""
        return type(self)(*fields)

    def _of_known(self, fields: tuple[int, ...]) -> Self:
        """Return `with_fields` of fields that come from a value that was checked, without a check."""
        return _unchecked(type(self), fields)

    def known(self, precision: str) -> int | None:
        """Return one field, or None when the value is not that precise."""
        at = PRECISIONS.index(precision) - self.first
        return self.fields[at] if 0 <= at < len(self.fields) else None

    def lowest(self) -> Self:
        """Return the earliest fully known value this one may be."""
        if len(self.fields) == self.finest - self.first:
            return self
        return self._of_known(self.fields + _LEAST[self.first + len(self.fields) : self.finest])

    def highest(self) -> Self:
        """Return the latest fully known value this one may be."""
        fields = self.fields + _MOST[self.first + len(self.fields) : self.finest]
        if self.first == 0 and len(self.fields) < 3:
            fields = (*fields[:2], calendar.monthrange(fields[0], fields[1])[1], *fields[3:])
        return self._of_known(fields)

    def at_home(self) -> tuple[int, ...]:
        """Return the fields as read in the offset of the evaluation."""
        return self.fields

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[Any, ...]:
        return (self.fields,)

    def __repr__(self) -> str:
        return f"@{self}"


class Date(Temporal):
    """A calendar day, month or year."""

    __slots__ = ()
    finest = 3

    def __str__(self) -> str:
        return "-".join((f"{self.fields[0]:04}", *(f"{field:02}" for field in self.fields[1:])))


class Time(Temporal):
    """A time of day."""

    __slots__ = ()
    first = 3

    def __str__(self) -> str:
        return _time_text(self.fields)


class DateTime(Temporal):
    """A moment, or the day, month or year it is in; `offset` is minutes east of UTC."""

    __slots__ = ("_home", "implied", "offset")

    def __init__(self, *fields: int, offset: int | None = None) -> None:
        super().__init__(*fields)
        # Written without an offset, it is at home, and its text has none either.
        self.implied = offset is None
        self.offset = HOME.get() if offset is None else offset
        self._home: tuple[int, tuple[int, ...]] | None = None

    @classmethod
    def of(cls, moment: _datetime) -> "DateTime":
        """Return the aware Python datetime as a DateTime in its own offset."""
        offset = moment.utcoffset()
        if offset is None:
            raise OutOfRange("a moment needs an offset")
        return cls(
            moment.year,
            moment.month,
            moment.day,
            moment.hour,
            moment.minute,
            moment.second,
            moment.microsecond // 1000,
            offset=int(offset.total_seconds() // 60),
        )

    def with_fields(self, fields: tuple[int, ...]) -> "DateTime":
        """Return the DateTime with these fields in the same offset."""
        return DateTime(*fields, offset=None if self.implied else self.offset)

    def _of_known(self, fields: tuple[int, ...]) -> "DateTime":
        made = super()._of_known(fields)
        made.implied = self.implied
        # Written without an offset, it is at home, wherever that is now.
        made.offset = HOME.get() if self.implied else self.offset
        made._home = None  # noqa: SLF001 - made here, without the constructor
        return made

    def at_home(self) -> tuple[int, ...]:
        """Return the fields in the offset of the evaluation; a day without a time stays that day."""
        home = HOME.get()
        if self.offset == home or len(self.fields) < 4:
            return self.fields
        if self._home is None or self._home[0] != home:
            self._home = (home, _shifted(self.fields, home - self.offset))
        return self._home[1]

    def date(self) -> Date:
        """Return the day in the value's own offset."""
        return _unchecked(Date, self.fields[:3])

    def read_at_home(self) -> "DateTime":
        """Return the value as it reads in the offset of the evaluation."""
        made = self._of_known(self.at_home())
        made.implied, made.offset = True, HOME.get()
        return made

    def python(self) -> _datetime:
        """Return the earliest instant this may be, as an aware Python datetime."""
        year, month, day, hour, minute, second, ms = self.lowest().fields
        zone = timezone(timedelta(minutes=self.offset))
        return _datetime(year, month, day, hour, minute, second, ms * 1000, zone)

    def _key(self) -> tuple[Any, ...]:
        if len(self.fields) < 4:
            return (self.fields, self.offset)
        return (_shifted(self.fields, -self.offset),)

    def __str__(self) -> str:
        day = "-".join((f"{self.fields[0]:04}", *(f"{field:02}" for field in self.fields[1:3])))
        if len(self.fields) < 4:
            return f"{day}T"
        sign = "-" if self.offset < 0 else "+"
        zone = "Z" if self.offset == 0 else f"{sign}{abs(self.offset) // 60:02}:{abs(self.offset) % 60:02}"
        return f"{day}T{_time_text(self.fields[3:])}{zone}"


def _unchecked(kind: type[Known], fields: tuple[int, ...]) -> Known:
    made = object.__new__(kind)
    made.fields = fields
    return made


def compare(left: Temporal, right: Temporal, precision: str | None = None) -> int | None:
    """Return -1, 0 or 1, or None where the known fields do not decide.

    Without a precision every field counts; with one, the fields down to it.
    """
    if precision is None and len(left.fields) == len(right.fields) and left.offset == right.offset:
        return (left.fields > right.fields) - (left.fields < right.fields)
    ours, theirs = left.at_home(), right.at_home()
    if precision is None and len(ours) == len(theirs):
        return (ours > theirs) - (ours < theirs)
    depth = left.finest - left.first
    if precision is not None:
        depth = _PLACES[precision] - left.first + 1
    known = min(len(ours), len(theirs), depth)
    if ours[:known] != theirs[:known]:
        return -1 if ours[:known] < theirs[:known] else 1
    return 0 if known == depth else None


def truncated(value: Any, precision: str) -> Any:
    """Return the value without the fields finer than the precision."""
    return value.with_fields(value.fields[: PRECISIONS.index(precision) - value.first + 1])


def milliseconds(value: Temporal) -> int:
    """Return a fully known value as milliseconds, comparable with others of its kind."""
    fields = value.fields
    if value.first == 3:
        return _time_ms(fields)
    days = _date(*fields[:3]).toordinal()
    if value.finest == 3:
        return days * _DAY_MS
    return days * _DAY_MS + _time_ms(fields[3:])


def parse_date(text: str) -> Date:
    """Return the ISO text as a Date."""
    match = re.fullmatch(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?", text, re.ASCII)
    if not match:
        raise OutOfRange("not a date")
    return Date(*(int(part) for part in match.groups() if part is not None))


def parse_time(text: str) -> Time:
    """Return the ISO text, with or without a leading T, as a Time."""
    match = re.fullmatch(r"T?(\d{2})(?::(\d{2})(?::(\d{2})(?:\.(\d+))?)?)?", text, re.ASCII)
    if not match:
        raise OutOfRange("not a time")
    return Time(*_time_fields(match.groups()))


_DATETIME = re.compile(
    r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?"
    r"(?:T(?:(\d{2})(?::(\d{2})(?::(\d{2})(?:\.(\d+))?)?)?)?)?(Z|[+-]\d{2}:?\d{2})?",
    re.ASCII,
)


def parse_datetime(text: str) -> DateTime:
    """Return the ISO text as a DateTime, in the offset of the evaluation when it names none."""
    match = _DATETIME.fullmatch(text)
    if not match:
        raise OutOfRange("not a date and time")
    groups = match.groups()
    date_fields = [int(part) for part in groups[:3] if part is not None]
    time_fields = _time_fields(groups[3:7])
    if time_fields and len(date_fields) < 3:
        raise OutOfRange("a time needs its day")
    zone = groups[7]
    offset = None
    if zone == "Z":
        offset = 0
    elif zone:
        offset = (int(zone[1:3]) * 60 + int(zone[-2:])) * (-1 if zone[0] == "-" else 1)
        if abs(offset) > 14 * 60:
            raise OutOfRange("offset")
    return DateTime(*date_fields, *time_fields, offset=offset)


def _time_fields(parts: tuple[str | None, ...]) -> list[int]:
    hour, minute, second, fraction = parts
    fields = [int(part) for part in (hour, minute, second) if part is not None]
    if fraction is not None:
        fields.append(int(fraction[:3].ljust(3, "0")))
    return fields


def _time_text(fields: tuple[int, ...]) -> str:
    text = ":".join(f"{field:02}" for field in fields[:3])
    return text if len(fields) < 4 else f"{text}.{fields[3]:03}"


def _time_ms(fields: tuple[int, ...]) -> int:
    hour, minute, second, ms = fields
    return ((hour * 60 + minute) * 60 + second) * 1000 + ms


def _shifted(fields: tuple[int, ...], minutes: int) -> tuple[int, ...]:
    year, month, day, hour, minute, second, ms = fields + _LEAST[len(fields) :]
    try:
        moved = _datetime(year, month, day, hour, minute, second) + timedelta(minutes=minutes)  # noqa: DTZ001
    except OverflowError:
        # The last moment of all is what an interval without an end reaches to, in every offset.
        return (_MOST if minutes > 0 else _LEAST)[: len(fields)]
    moved_fields = (moved.year, moved.month, moved.day, moved.hour, moved.minute, moved.second, ms)
    # What was known to the hour stays so, also where an offset moves it by half of one.
    return moved_fields[: len(fields)]
