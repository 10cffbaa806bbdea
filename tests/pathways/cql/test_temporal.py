"""Dates that know how precise they are, and the steps between them."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pathways.cql import Date, DateTime, Interval, Time, Uncertainty, intervals
from pathways.cql.calendar_steps import difference, duration, moved
from pathways.cql.parameters import Parameter
from pathways.cql.run import Home
from pathways.cql.temporal import (
    HOME,
    OutOfRange,
    compare,
    milliseconds,
    parse_date,
    parse_datetime,
    parse_time,
    truncated,
)

days = st.dates(date(1900, 1, 1), date(2100, 12, 31))


@pytest.fixture
def in_vienna() -> Iterator[None]:
    token = HOME.set(60)
    yield
    HOME.reset(token)


@pytest.mark.parametrize(
    ("left", "right", "precision", "answer"),
    [
        ("2024-03-01", "2024-03-02", None, -1),
        ("2024-03", "2024-03-15", None, None),
        ("2024-03", "2024-04-15", None, -1),
        ("2024-03", "2024-03-15", "month", 0),
        ("2024-03", "2024-03", None, 0),
        ("2024-03", "2024-03", "day", None),
    ],
)
def test_what_is_not_known_does_not_decide(
    left: str, right: str, precision: str | None, answer: int | None
) -> None:
    assert compare(parse_date(left), parse_date(right), precision) == answer


def test_one_instant_in_two_offsets_is_the_same(in_vienna: None) -> None:
    left, right = parse_datetime("2024-03-01T12:00:00.000+05:00"), parse_datetime("2024-03-01T07:00:00.000Z")

    assert compare(left, right) == 0
    assert left == right


def test_the_same_day_is_asked_at_home(in_vienna: None) -> None:
    late, early = parse_datetime("2024-03-01T23:30:00Z"), parse_datetime("2024-03-02T08:00:00+01:00")

    assert compare(late, early, "day") == 0
    assert difference(late, early, "day") == 0
    assert late.date() == Date(2024, 3, 1)


@pytest.mark.parametrize(
    ("start", "amount", "unit", "end"),
    [
        ("2024-01-31", 1, "month", "2024-02-29"),
        ("2023-01-31", 1, "month", "2023-02-28"),
        ("2024-02-29", -1, "year", "2023-02-28"),
        ("2024-03-01", -1, "day", "2024-02-29"),
        ("2024-03-01", 2, "week", "2024-03-15"),
        ("2024", 25, "month", "2026"),
        ("2024-03", 65, "day", "2024-05"),
        ("2024-03-01", 47, "hour", "2024-03-02"),
    ],
)
def test_a_date_moves_as_far_as_it_is_precise(start: str, amount: int, unit: str, end: str) -> None:
    assert moved(parse_date(start), Decimal(amount), unit) == parse_date(end)


@pytest.mark.parametrize(
    ("start", "amount", "unit"),
    [
        ("9999-12-31", 1, "day"),
        ("0001-01-01", -1, "day"),
        ("9999-12-31", 1, "month"),
        ("0001-01-01", -1, "month"),
        ("9999-12", 1, "month"),
        ("0001-01", -1, "month"),
        ("9999", 1, "year"),
        ("0001", -1, "year"),
        ("2024-01-01", 10**12, "day"),
    ],
)
def test_a_date_moves_within_the_calendar(start: str, amount: int, unit: str) -> None:
    with pytest.raises(OutOfRange) as refused:
        moved(parse_date(start), Decimal(amount), unit)

    assert str(refused.value) == "year"


def test_a_time_of_day_goes_round_the_clock() -> None:
    assert moved(Time(23, 30), Decimal(45), "minute") == Time(0, 15)


@pytest.mark.parametrize(
    ("left", "right", "precision", "boundaries", "periods"),
    [
        ("2023-12-31", "2024-01-01", "year", 1, 0),
        ("2024-01-31", "2024-02-29", "month", 1, 1),
        ("2024-01-31", "2024-02-28", "month", 1, 0),
        ("2024-03-02", "2024-03-03", "week", 1, 0),
        ("2024-03-10", "2024-03-01", "day", -9, -9),
        ("2024", "2024-03-10", "day", Uncertainty(-296, 69), Uncertainty(-296, 69)),
    ],
)
def test_boundaries_and_whole_periods_are_two_counts(
    left: str, right: str, precision: str, boundaries: Any, periods: Any
) -> None:
    assert difference(parse_date(left), parse_date(right), precision) == boundaries
    assert duration(parse_date(left), parse_date(right), precision) == periods


@given(days, st.integers(-5000, 5000))
def test_days_between_are_the_days_moved(day: date, count: int) -> None:
    start = Date(day.year, day.month, day.day)
    end = moved(start, Decimal(count), "day")

    assert difference(start, end, "day") == count
    assert end == Date(*(day + timedelta(days=count)).timetuple()[:3])


@given(days, days)
def test_a_difference_is_the_opposite_of_the_other_way_round(one: date, other: date) -> None:
    left, right = Date(*one.timetuple()[:3]), Date(*other.timetuple()[:3])

    for precision in ("year", "month", "week", "day"):
        assert difference(left, right, precision) == -difference(right, left, precision)  # type: ignore[operator]
        assert duration(left, right, precision) == -duration(right, left, precision)  # type: ignore[operator]


@given(days, st.integers(0, 600))
def test_months_moved_are_at_least_the_months_between(day: date, months: int) -> None:
    start = Date(*day.timetuple()[:3])

    assert duration(start, moved(start, Decimal(months), "month"), "month") == months


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("2024-13", "month"),
        ("2024-02-30", "day"),
        ("2024-01-01T25:00Z", "hour"),
        ("0000", "year"),
        ("24-01-01", "not a date and time"),
        ("2024-1-1", "not a date and time"),
        ("", "not a date and time"),
        ("２０２４", "not a date and time"),
        ("2024-01T10:00", "a time needs its day"),
        ("2024-01-01T10:00+14:01", "offset"),
        ("2024-01-01T10:00-15:00", "offset"),
    ],
)
def test_what_is_no_date_is_refused_and_why(text: str, why: str) -> None:
    with pytest.raises(OutOfRange) as refused:
        parse_datetime(text)

    assert str(refused.value) == why


@pytest.mark.parametrize("text", ["2024-13-01", "2024-03-01T", "２０２４", "2024-01-01T10:00", "now"])
def test_a_day_is_a_day_alone(text: str) -> None:
    with pytest.raises(OutOfRange) as refused:
        parse_date(text)

    assert str(refused.value) in ("not a date", "month")


@pytest.mark.parametrize("text", ["1", "１０:２０", "10:20:30.", "noon"])
def test_a_time_of_day_has_two_digits_a_part(text: str) -> None:
    with pytest.raises(OutOfRange) as refused:
        parse_time(text)

    assert str(refused.value) == "not a time"


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("2024-03-01T10:20+14:00", 840),
        ("2024-03-01T10:20-14:00", -840),
        ("2024-03-01T10:20+05:45", 345),
        ("2024-03-01T10:20-0330", -210),
        ("2024-03-01T10:20Z", 0),
        ("2024-03-01T10:20", 60),
        ("2024-03-01", 60),
    ],
)
def test_a_moment_has_its_offset_or_that_of_the_evaluation(text: str, offset: int, in_vienna: None) -> None:
    read = parse_datetime(text)

    assert read.offset == offset
    assert read.implied is ("Z" not in text and len(text) < 17)


@pytest.mark.parametrize(
    ("fraction", "milliseconds"),
    [("5", 500), ("05", 50), ("1234", 123), ("9999999", 999), ("001", 1), ("0", 0)],
)
def test_a_fraction_of_a_second_is_cut_to_milliseconds(fraction: str, milliseconds: int) -> None:
    assert parse_time(f"10:20:30.{fraction}").fields[3] == milliseconds
    assert str(Time(10, 20, 30, milliseconds)) == f"10:20:30.{milliseconds:03}"


@pytest.mark.parametrize(
    ("zone", "offset"),
    [
        (UTC, 0),
        (timezone(timedelta(hours=5, minutes=45)), 345),
        (timezone(timedelta(hours=-3, minutes=-30)), -210),
        # Local mean time, as zones had it before there was a standard.
        (timezone(timedelta(minutes=65, seconds=20)), 65),
        (timezone(timedelta(minutes=-65, seconds=-20)), -66),
    ],
)
def test_a_moment_of_python_keeps_its_offset_and_its_milliseconds(zone: timezone, offset: int) -> None:
    read = DateTime.of(datetime(2024, 3, 1, 10, 20, 30, 500_000, zone))

    assert (read.fields, read.offset, read.implied) == ((2024, 3, 1, 10, 20, 30, 500), offset, False)


def test_a_moment_of_python_without_an_offset_is_refused() -> None:
    with pytest.raises(OutOfRange) as refused:
        DateTime.of(datetime(2024, 3, 1))  # noqa: DTZ001

    assert str(refused.value) == "a moment needs an offset"


@pytest.mark.parametrize("offset", [-840, -210, -1, 1, 59, 61, 345, 840])
def test_a_moment_is_its_instant_in_python(offset: int) -> None:
    read = DateTime(2024, 3, 1, 0, 20, 30, 5, offset=offset)

    assert read.python() == datetime(2024, 3, 1, 0, 20, 30, 5000, timezone(timedelta(minutes=offset)))
    assert parse_datetime(str(read)).python() == read.python()
    assert parse_datetime(str(read)).offset == offset


def test_a_moment_moved_keeps_its_offset_and_whether_it_was_written(in_vienna: None) -> None:
    written, implied = parse_datetime("2024-03-01T10:20-05:00"), parse_datetime("2024-03-01T10:20")

    for earlier in (written.with_fields((2024, 2)), written.lowest(), written.highest()):
        assert (earlier.offset, earlier.implied) == (-300, False)
    for earlier in (implied.with_fields((2024, 2)), implied.lowest(), implied.highest()):
        assert (earlier.offset, earlier.implied) == (60, True)


def test_a_moment_without_an_offset_is_at_home_wherever_that_is(in_vienna: None) -> None:
    read = parse_datetime("2024-03-01T10:20")
    token = HOME.set(-300)
    try:
        assert read.lowest().offset == -300
        assert read.read_at_home().offset == -300
        assert read.with_fields((2024, 3, 1, 11)).offset == -300
    finally:
        HOME.reset(token)


def test_reading_at_home_turns_the_fields(in_vienna: None) -> None:
    read = parse_datetime("2024-03-01T23:30Z")
    token = HOME.set(-300)
    try:
        assert read.at_home() == (2024, 3, 1, 18, 30)
    finally:
        HOME.reset(token)

    assert read.at_home() == (2024, 3, 2, 0, 30)
    home = read.read_at_home()
    assert (home.fields, home.offset, home.implied) == ((2024, 3, 2, 0, 30), 60, True)
    assert read.lowest().at_home() == (2024, 3, 2, 0, 30, 0, 0)
    # An hour is turned as a minute is; a day is no instant, and stays.
    assert parse_datetime("2024-03-01T23Z").at_home() == (2024, 3, 2, 0)
    assert parse_datetime("2024-03-01").at_home() == (2024, 3, 1)
    assert parse_datetime("2024-03-01T23:30:15.250Z").at_home() == (2024, 3, 2, 0, 30, 15, 250)


@pytest.mark.parametrize("minutes", [-1, 1, 840])
def test_the_ends_of_the_calendar_stay_where_they_are_in_every_offset(minutes: int) -> None:
    token = HOME.set(minutes)
    try:
        last = DateTime(9999, 12, 31, 23, 59, 59, 999, offset=0)
        first = DateTime(1, 1, 1, 0, 0, 0, 0, offset=0)
        assert last.at_home()[0] == 9999
        assert first.at_home()[0] == 1
    finally:
        HOME.reset(token)


def test_a_moment_known_to_the_hour_is_written_with_its_offset() -> None:
    assert str(DateTime(2024, 3, 1, 10, offset=0)) == "2024-03-01T10Z"
    assert str(DateTime(2024, 3, 1, 10, offset=-90)) == "2024-03-01T10-01:30"
    assert str(DateTime(2024, 3, 1, 10, offset=1)) == "2024-03-01T10+00:01"


def test_a_day_of_another_offset_stays_that_day(in_vienna: None) -> None:
    token = HOME.set(-300)
    try:
        assert DateTime(2024, 3, 1, offset=0).at_home() == (2024, 3, 1)
    finally:
        HOME.reset(token)


def test_moments_are_one_in_a_set_when_they_are_one_instant() -> None:
    instants = {parse_datetime(text) for text in ("2024-03-01T12:00+05:00", "2024-03-01T07:00Z")}
    hours = {parse_datetime(text) for text in ("2024-03-01T12+05:00", "2024-03-01T07Z", "2024-03-01T08Z")}

    assert (len(instants), len(hours)) == (1, 2)
    assert DateTime(2024, 3, 1, offset=0) != DateTime(2024, 3, 1, offset=60)
    assert Date(2024, 3, 1) != DateTime(2024, 3, 1)


@pytest.mark.parametrize("kind", [Date, Time, DateTime])
def test_a_value_has_as_many_parts_as_its_kind(kind: type) -> None:
    most = {Date: 3, Time: 4, DateTime: 7}[kind]

    for count in (0, most + 1):
        with pytest.raises(OutOfRange, match=kind.__name__):
            kind(*[1] * count)
    assert len(kind(*[1] * most).fields) == most


def test_times_of_day_are_compared_part_by_part() -> None:
    assert compare(Time(10, 30), Time(10, 30), "minute") == 0
    assert compare(Time(10, 30), Time(10, 45), "hour") == 0
    assert compare(Time(10), Time(10, 45), "minute") is None
    assert compare(Time(10, 30, 0, 0), Time(10, 30, 0, 1), "millisecond") == -1
    assert compare(Time(10, 30), Time(11), None) == -1
    assert compare(Time(10, 30), Time(10), None) is None


@pytest.mark.parametrize(
    ("value", "precision", "cut"),
    [
        (Time(10, 20, 30, 5), "hour", Time(10)),
        (Time(10, 20, 30, 5), "second", Time(10, 20, 30)),
        (Date(2024, 3, 1), "month", Date(2024, 3)),
        (DateTime(2024, 3, 1, 10, 20, offset=0), "day", DateTime(2024, 3, 1, offset=0)),
        (Time(10), "minute", Time(10)),
    ],
)
def test_a_value_is_cut_to_a_precision(value: Any, precision: str, cut: Any) -> None:
    assert truncated(value, precision) == cut


@pytest.mark.parametrize(
    ("value", "count"),
    [
        (Time(0, 0, 0, 0), 0),
        (Time(1, 1, 1, 1), 3_661_001),
        (Date(1, 1, 1), 86_400_000),
        (Date(1, 1, 2), 172_800_000),
        (DateTime(1, 1, 2, 0, 0, 1, 5, offset=0), 172_801_005),
    ],
)
def test_a_value_as_milliseconds(value: Any, count: int) -> None:
    assert milliseconds(value) == count


@pytest.mark.parametrize(
    ("value", "known"),
    [
        (Date(2024, 2), {"year": 2024, "month": 2, "day": None}),
        (Time(10), {"hour": 10, "minute": None, "day": None, "year": None}),
    ],
)
def test_a_part_is_known_or_not(value: Any, known: dict[str, int | None]) -> None:
    assert {part: value.known(part) for part in known} == known
    assert value.precision == {Date: "month", Time: "hour"}[type(value)]


@pytest.mark.parametrize(
    ("value", "lowest", "highest"),
    [
        (Date(2024), Date(2024, 1, 1), Date(2024, 12, 31)),
        (Date(2024, 2), Date(2024, 2, 1), Date(2024, 2, 29)),
        (Date(2023, 2), Date(2023, 2, 1), Date(2023, 2, 28)),
        (Date(2024, 2, 3), Date(2024, 2, 3), Date(2024, 2, 3)),
        (Time(10), Time(10, 0, 0, 0), Time(10, 59, 59, 999)),
        (
            DateTime(2024, 4, offset=0),
            DateTime(2024, 4, 1, 0, 0, 0, 0, offset=0),
            DateTime(2024, 4, 30, 23, 59, 59, 999, offset=0),
        ),
    ],
)
def test_what_a_value_may_be_at_least_and_at_most(value: Any, lowest: Any, highest: Any) -> None:
    assert (value.lowest(), value.highest()) == (lowest, highest)


@pytest.mark.parametrize(
    "text", ["2024", "2024-03", "2024-03-01", "2024-03-01T10:20:30.123Z", "2024-03-01T10:20-05:30"]
)
def test_a_datetime_is_written_as_it_was_read(text: str) -> None:
    assert str(parse_datetime(text)).removesuffix("T") == text


def test_a_time_is_read_with_or_without_its_letter() -> None:
    assert parse_time("T10:20") == parse_time("10:20") == Time(10, 20)
    assert DateTime(2024, 1, 1, 10, 20, offset=0) != DateTime(2024, 1, 1, 10, 20, offset=60)


@pytest.mark.parametrize("hours", [-12, -1, 0, 1, 14])
def test_a_period_without_an_end_or_a_beginning_reaches_as_far_in_every_offset(hours: int) -> None:
    token = HOME.set(hours * 60)
    try:
        since = Interval(parse_datetime("2026-03-30T08:00:00.000Z"), None, True, True, "DateTime")
        until = Interval(None, parse_datetime("2026-03-30T08:00:00.000Z"), True, True, "DateTime")
        later, earlier = (
            parse_datetime("9999-12-31T23:00:00.000Z"),
            parse_datetime("0001-01-01T01:00:00.000Z"),
        )

        assert intervals.contains(since, later) is True
        assert intervals.contains(until, earlier) is True
        assert intervals.contains(since, earlier) is intervals.contains(until, later) is False
        assert intervals.overlaps(since, until) is True
    finally:
        HOME.reset(token)


@pytest.mark.parametrize(("year", "there"), [(2023, False), (2024, True), (1900, False), (2000, True)])
def test_the_last_day_of_february_is_one_of_leap_years(year: int, there: bool) -> None:
    if there:
        assert str(Date(year, 2, 29)) == f"{year}-02-29"
        return
    with pytest.raises(OutOfRange):
        Date(year, 2, 29)


def test_a_moment_given_without_an_offset_is_at_the_home_of_each_run():
    since = Parameter("Since", "{urn:hl7-org:elm-types:r1}DateTime", None)
    offsets = []
    for minutes in (60, -300, 60):
        with Home(DateTime(2026, 1, 5, offset=minutes)):
            offsets.append(since.given("2026-01-05T09:00:00").offset)
    assert offsets == [60, -300, 60]
