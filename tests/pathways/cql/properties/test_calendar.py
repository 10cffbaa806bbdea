"""Date arithmetic against Python's calendar, and against every day that a vague date may be."""

import calendar
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pathways.cql import Date, DateTime, Time, Uncertainty
from pathways.cql.calendar_steps import difference, duration, moved
from pathways.cql.temporal import HOME, Temporal, compare

days = st.dates(date(1950, 1, 1), date(2080, 12, 31))
moments = st.datetimes(datetime(1950, 1, 1), datetime(2080, 12, 31))  # noqa: DTZ001 - hypothesis adds none
offsets = st.sampled_from([-720, -300, 0, 60, 330, 840])

steadily = settings(max_examples=250, deadline=None, derandomize=True)


def of(day: date) -> Date:
    return Date(day.year, day.month, day.day)


def at(moment: datetime, offset: int) -> DateTime:
    return DateTime.of(
        moment.replace(
            microsecond=moment.microsecond // 1000 * 1000, tzinfo=timezone(timedelta(minutes=offset))
        )
    )


@steadily
@given(days, st.integers(-20_000, 20_000))
def test_days_and_weeks_move_as_pythons(day: date, count: int) -> None:
    assert moved(of(day), Decimal(count), "day") == of(day + timedelta(days=count))
    assert moved(of(day), Decimal(count // 7), "week") == of(day + timedelta(weeks=count // 7))


@steadily
@given(days, st.integers(-600, 600))
def test_months_and_years_move_to_the_same_day_or_the_last_of_its_month(day: date, count: int) -> None:
    months = day.year * 12 + day.month - 1 + count
    year, month = divmod(months, 12)
    last = calendar.monthrange(year, month + 1)[1]

    assert moved(of(day), Decimal(count), "month") == Date(year, month + 1, min(day.day, last))
    assert moved(of(day), Decimal(count), "year") == moved(of(day), Decimal(12 * count), "month")


@steadily
@given(
    moments,
    offsets,
    st.sampled_from(["hour", "minute", "second", "millisecond"]),
    st.integers(-(10**6), 10**6),
)
def test_times_move_as_pythons(moment: datetime, offset: int, unit: str, count: int) -> None:
    start = at(moment, offset)
    step = {"hour": timedelta(hours=1), "minute": timedelta(minutes=1), "second": timedelta(seconds=1)}

    end = start.python() + count * step.get(unit, timedelta(milliseconds=1))

    assert moved(start, Decimal(count), unit).python() == end


@steadily
@given(days, days)
def test_durations_are_the_largest_that_fit(left: date, right: date) -> None:
    earlier, later = sorted((left, right))
    for unit in ("year", "month", "week", "day"):
        count = duration(of(earlier), of(later), unit)
        assert isinstance(count, int)
        assert compare(moved(of(earlier), Decimal(count), unit), of(later)) in (-1, 0)
        assert compare(moved(of(earlier), Decimal(count + 1), unit), of(later)) == 1
        assert duration(of(later), of(earlier), unit) == -count


@steadily
@given(days, days)
def test_differences_count_the_boundaries_between(left: date, right: date) -> None:
    earlier, later = sorted((left, right))
    passed = [earlier + timedelta(days=number) for number in range(1, min((later - earlier).days, 800) + 1)]
    if len(passed) == (later - earlier).days:
        assert difference(of(earlier), of(later), "day") == len(passed)
        assert difference(of(earlier), of(later), "week") == sum(day.weekday() == 6 for day in passed)
        assert difference(of(earlier), of(later), "month") == sum(day.day == 1 for day in passed)
        assert difference(of(earlier), of(later), "year") == sum(
            (day.month, day.day) == (1, 1) for day in passed
        )


@steadily
@given(moments, moments, offsets, offsets)
def test_moments_compare_as_instants_whatever_their_offsets(
    left: datetime, right: datetime, one: int, other: int
) -> None:
    ours, theirs = at(left, one), at(right, other)
    instants = ours.python().astimezone(UTC), theirs.python().astimezone(UTC)

    assert compare(ours, theirs) == (instants[0] > instants[1]) - (instants[0] < instants[1])
    assert (ours == theirs) is (instants[0] == instants[1])


@pytest.mark.parametrize("home", [-300, 0, 60])
@steadily
@given(left=moments, right=moments, offset=offsets)
def test_a_day_is_the_clinics_day(home: int, left: datetime, right: datetime, offset: int) -> None:
    token = HOME.set(home)
    try:
        ours, theirs = at(left, offset), at(right, 0)
        zone = timezone(timedelta(minutes=home))
        dates = [moment.python().astimezone(zone).date() for moment in (ours, theirs)]

        assert compare(ours, theirs, "day") == (dates[0] > dates[1]) - (dates[0] < dates[1])
        assert difference(ours, theirs, "day") == (dates[1] - dates[0]).days
    finally:
        HOME.reset(token)


def days_of(value: Temporal) -> list[date]:
    """Return every day that a date may be."""
    year, *rest = value.fields
    months = rest[:1] or range(1, 13)
    return [
        date(year, month, day)
        for month in months
        for day in (rest[1:] or range(1, calendar.monthrange(year, month)[1] + 1))
    ]


@st.composite
def vague(draw: st.DrawFn) -> Date:
    """Draw a date of a few years that is known to the year, the month or the day."""
    day = draw(st.dates(date(2023, 1, 1), date(2025, 12, 31)))
    return Date(*(day.year, day.month, day.day)[: draw(st.integers(1, 3))])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(vague(), vague())
def test_vague_dates_are_as_every_day_they_may_be_agrees(left: Date, right: Date) -> None:
    pairs = [(one, other) for one in days_of(left) for other in days_of(right)]
    orders = {(one > other) - (one < other) for one, other in pairs}
    found = compare(left, right)

    # Two dates that are known alike and no further are the same value.
    assert found == (0 if left.fields == right.fields else orders.pop() if len(orders) == 1 else None)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(vague(), vague(), st.sampled_from(["year", "month", "day"]))
def test_a_count_between_vague_dates_holds_every_count_it_may_be(left: Date, right: Date, unit: str) -> None:
    counts = {difference(of(one), of(other), unit) for one in days_of(left) for other in days_of(right)}
    found = difference(left, right, unit)
    low, high = (found.low, found.high) if isinstance(found, Uncertainty) else (found, found)

    assert (low, high) == (min(counts), max(counts))


@steadily
@given(st.times(), st.integers(-100_000, 100_000))
def test_a_time_of_day_goes_round_the_clock(time: object, seconds: int) -> None:
    assert hasattr(time, "hour")
    start = Time(time.hour, time.minute, time.second, time.microsecond // 1000)
    day = datetime(2024, 1, 1, time.hour, time.minute, time.second, tzinfo=UTC) + timedelta(seconds=seconds)

    found = moved(start, Decimal(seconds), "second")

    assert found.fields == (day.hour, day.minute, day.second, time.microsecond // 1000)
