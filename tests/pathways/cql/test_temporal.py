"""Dates that know how precise they are, and the steps between them."""

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pathways.cql import Date, DateTime, Interval, Time, Uncertainty, intervals
from pathways.cql.calendar_steps import difference, duration, moved
from pathways.cql.temporal import HOME, OutOfRange, compare, parse_date, parse_datetime, parse_time

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
    "text", ["2024-13", "2024-02-30", "24-01-01", "2024-1-1", "2024-01-01T25:00Z", "0000", ""]
)
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(OutOfRange):
        parse_datetime(text)


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
