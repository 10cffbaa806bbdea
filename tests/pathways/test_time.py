"""Days, weeks and look-backs in every zone and precision, in any order of arrival (SP-21, 22 and 23).

The calendar of these tests is their own: the number of a day is counted from the seconds since 1970 and the
offset of the zone, without any arithmetic on dates.
"""

import itertools
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from branching import LOCAL, STORIES, points
from playing import Play, moves, number, read, told

from pathways import catalogue, parameters
from pathways.inputs import Inputs
from pathways.judge import Judge
from pathways.memory import Memory
from pathways.record import Entry, Record

Json = dict[str, Any]

PATHWAY = catalogue.pathways()[0]
#: whole, half and quarter hours, both sides of the date line, clocks that change at midnight or by half hours
ZONES = (
    *("UTC", "Europe/Berlin", "America/New_York", "America/St_Johns", "America/Santiago", "Asia/Beirut"),
    *("Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Chatham", "Pacific/Kiritimati", "Pacific/Pago_Pago"),
    *("Africa/Casablanca", "America/Havana"),
)
YEAR = 2026
DAY_S = 86_400
EPOCH = date(1970, 1, 1).toordinal()


def day_number(moment: datetime, zone: str) -> int:
    """Return the number of the calendar day in the zone, counted from 1970-01-01."""
    offset = moment.astimezone(ZoneInfo(zone)).utcoffset()
    assert offset is not None
    return int((moment.timestamp() + offset.total_seconds()) // DAY_S)


def named(number: int) -> date:
    return date.fromordinal(EPOCH + number)


def test_a_plan_that_ends_where_it_is_the_day_before_it_began_ends_on_its_first_day():
    """The site has moved to another zone meanwhile; a period that ends before it starts is no FHIR."""
    opens, withdraws = read(Path(__file__).parents[1] / "stories" / "V81.json")["steps"][:2]
    at = datetime.fromisoformat(opens["advanceTo"])
    game = Play(chosen={"site.timeZone": "Pacific/Kiritimati"})
    game.receive(opens["bundle"], at)
    game.evaluate(at)
    game.chosen = {"site.timeZone": "Pacific/Pago_Pago"}
    game.receive(withdraws["bundle"], at + timedelta(minutes=1))
    _, written = game.evaluate(at + timedelta(minutes=1))
    plan = next(body for body in written if body["resourceType"] == "CarePlan")
    assert plan["period"] == {"start": "2026-01-05", "end": "2026-01-05"}


def changes(zone: str) -> Iterator[datetime]:
    """Yield the hours of the year in which the clocks of the zone change, or noon of a day without any."""
    hours = [datetime(YEAR, 1, 1, tzinfo=UTC) + timedelta(hours=h) for h in range(365 * 24)]
    offsets = [hour.astimezone(ZoneInfo(zone)).utcoffset() for hour in hours]
    found = [hour for hour, (a, b) in zip(hours[1:], itertools.pairwise(offsets), strict=False) if a != b]
    yield from found or [datetime(YEAR, 3, 29, 12, tzinfo=UTC)]


def midnights(number: int, zone: str) -> Iterator[datetime]:
    """Yield moments around the beginning of a day in the zone, in the order of time."""
    about = datetime.fromtimestamp(number * DAY_S, UTC)
    every_minute = (about + timedelta(minutes=m) for m in range(-16 * 60, 16 * 60))
    first = next(m for m in every_minute if day_number(m, zone) == number)
    for seconds in (-7200, -3600, -60, -1, 0, 1, 60, 3600, 7200):
        yield first + timedelta(seconds=seconds)


def judge(moment: datetime, zone: str, *facts: Json) -> tuple[Judge, Inputs]:
    """Return the rules over findings that were received long after they were made."""
    patient = {"resourceType": "Patient", "id": "p", "birthDate": "1968-03-02"}
    received = moment + timedelta(days=400)
    entries = [
        Entry(type=b["resourceType"], id=b["id"], version=1, seq=n, received=received, body=b)
        for n, b in enumerate((patient, *facts))
    ]
    record = Record(patient=entries[0], received=tuple(entries), own={}, people={})
    inputs = PATHWAY.gate.read(record, ZoneInfo(zone))
    known = inputs.of("right", until=moment)
    site = parameters.resolve(PATHWAY, {"site.timeZone": zone})
    local = moment.astimezone(ZoneInfo(zone))
    return Judge(PATHWAY, known, patient, moment=local, site=site, other_stage=None), inputs


def observation(code: str, effective: str, *, system: str = LOCAL, **value: Any) -> Json:
    return {
        "resourceType": "Observation",
        "id": f"{code}-{effective}",
        "status": "final",
        "code": {"coding": [{"system": system, "code": code}]},
        "bodySite": {"coding": [{"system": LOCAL, "code": "hip-right"}]},
        "effectiveDateTime": effective,
        **value,
    }


@pytest.mark.parametrize("zone", ZONES)
def test_weeks_of_therapy_are_whole_weeks_of_the_calendar_whatever_the_clocks_do(zone: str) -> None:
    for change, weeks, shift in itertools.product(changes(zone), (6, 12), (-1, 0, 1)):
        # Both the first day and the last are tried beside a change of the clocks.
        for start in (day_number(change, zone) + shift, day_number(change, zone) + shift - 7 * weeks):
            memory = Memory(stage="conservative-therapy", values={"Therapy Start": named(start).isoformat()})
            for moment in midnights(start + 7 * weeks, zone):
                asked, _ = judge(moment, zone)
                run = asked.ask(memory)
                days = day_number(moment, zone) - start

                assert run["Weeks of therapy"] == days // 7, (start, moment)
                enough = "Enough weeks for weakness with pain" if weeks == 6 else "Enough weeks for failure"
                assert run[enough] is (days >= 7 * weeks), (start, moment)


@pytest.mark.parametrize("zone", ZONES)
def test_a_finding_is_of_its_day_at_the_site_however_it_is_written(zone: str) -> None:
    for change, hours in itertools.product(changes(zone), (-25, -1, 0, 1, 25)):
        moment = change + timedelta(hours=hours, seconds=17)
        local = moment.astimezone(ZoneInfo(zone))
        number = day_number(moment, zone)
        written = {
            moment.isoformat().replace("+00:00", "Z"): number,
            local.isoformat(): number,
            local.isoformat(timespec="milliseconds"): number,
            moment.astimezone(ZoneInfo("Pacific/Kiritimati")).isoformat(): number,
            moment.astimezone(ZoneInfo("America/St_Johns")).isoformat(): number,
            named(number).isoformat(): number,
            f"{named(number):%Y-%m}": None,
            f"{named(number):%Y}": None,
        }
        for text, day in written.items():
            _, inputs = judge(moment, zone, observation("hip-lag-sign", text, valueBoolean=True))
            if day is None:
                assert [problem.issue for problem in inputs.set_aside] == ["missing-effective-time"], text
            else:
                assert [day_number(fact.at, zone) for fact in inputs.facts] == [day], text


@pytest.mark.parametrize("zone", ZONES)
def test_a_look_back_ends_with_the_day_and_not_with_the_hour(zone: str) -> None:
    days = int(parameters.resolve(PATHWAY, {})["lookback.nrs"])
    for change in changes(zone):
        for found in midnights(day_number(change, zone), zone):
            for moment in midnights(day_number(found, zone) + days + 1, zone):
                pain = observation("72514-3", found.isoformat(), system="http://loinc.org", valueInteger=6)
                asked, _ = judge(moment, zone, pain)
                inside = day_number(moment, zone) - day_number(found, zone) <= days

                assert asked.ask(Memory(stage="assessment"))["Pain now"] == (6 if inside else None)


@pytest.mark.parametrize(
    ("written", "acute"),
    [
        *(("2026-05-10", True), ("2026-03-29", True), ("2026-03-28", False), ("2026-05-11", False)),
        # Less than a day is not enough to say when an injury was, although it might be a recent one.
        *(("2026-05", None), ("2026", None), (None, None)),
    ],
)
def test_an_injury_is_acute_only_on_a_day_that_is_known(written: str | None, acute: bool | None) -> None:
    moment = datetime(2026, 5, 10, 9, tzinfo=UTC)
    code = {"coding": [{"system": LOCAL, "code": "onset-traumatic"}]}
    dated = {"valueDateTime": written} if written else {}
    (onset,) = [d for d in json.loads(TABLE.read_text())["inputs"] if d["id"] == "onset"]
    part = {"code": {"coding": [onset["value"]["components"][0]["code"]]}, **dated}
    finding = observation(
        onset["codes"][0]["code"], "2026-05-10", system=onset["codes"][0]["system"], valueCodeableConcept=code
    )
    asked, inputs = judge(moment, "UTC", finding | ({"component": [part]} if written else {}))
    run = asked.ask(Memory(stage="assessment"))

    assert len(inputs.facts) == 1
    assert run["Onset was traumatic"] is True
    assert run["Acute by trauma"] is acute


TABLE = Path(__file__).parents[2] / "pathways" / "gluteus_medius_tear" / "inputs.json"


def test_seven_findings_arrive_in_each_of_their_5040_orders() -> None:
    """Two of them have an earlier one of their kind, so that the last to arrive is not the latest."""
    loinc = "http://loinc.org"
    seven = [
        observation("72514-3", "2026-01-05T08:10:00Z", system=loinc, valueInteger=6),
        observation("72514-3", "2026-01-02T08:10:00Z", system=loinc, valueInteger=1),
        observation("hip-abduction-strength-mmt", "2026-01-05T08:20:00Z", valueInteger=3),
        observation("hip-abduction-strength-mmt", "2025-12-20T08:20:00Z", valueInteger=5),
        observation("pain-on-single-leg-stance", "2026-01-05T08:30:00Z", valueBoolean=True),
        observation("lateral-thigh-pain", "2026-01-05T08:40:00Z", valueBoolean=True),
        observation("trendelenburg-gait", "2026-01-05T08:50:00Z", valueBoolean=False),
    ]
    patient = {"resourceType": "Patient", "id": "p", "gender": "male", "birthDate": "1968-03-02"}
    found = set()
    for order in itertools.permutations(seven):
        game = Play()
        arrived = datetime(2026, 1, 5, 9, tzinfo=UTC)
        for place, each in enumerate((patient, *order)):
            game.receive({"entry": [{"resource": each}]}, arrived + timedelta(seconds=place))
        outcome, _ = game.evaluate(arrived + timedelta(minutes=10))
        (stage,) = [memory.stage for side, memory in game.memories.items() if side]
        found.add((stage, tuple(moves(outcome)), tuple(sorted(told(outcome).items()))))

    ((stage, moved, outputs),) = found
    assert stage == "imaging"
    # The strength that counts is the latest, two grades below the one before: an acute loss.
    assert moved == ("R:T04",)
    assert dict(outputs)["R:SR:MRI(urgent)"] == 1


@pytest.mark.parametrize("path", STORIES[::4], ids=lambda path: path.stem)
def test_what_is_a_hundred_years_old_moves_nobody_forward(path: Path) -> None:
    game = Play()
    for point in points(path):
        game.chosen = point.after.chosen
        if point.bundle:
            observed = [e for e in point.bundle["entry"] if e["resource"]["resourceType"] != "Task"]
            game.receive({"entry": [{"resource": aged(e["resource"])} for e in observed]}, point.at)
        outcome, _ = game.evaluate(point.evaluated)

        # A replaced joint is replaced for good, and a death is a death: both end or divert.
        assert {step.after.stage for step in outcome.steps if step.instance} <= {
            "assessment",
            "diverted",
            "discharged",
        }
        assert not any("SR:" in output for output in told(outcome))


def aged(resource: Json) -> Json:
    """Return the resource with its time a hundred years earlier."""
    times = ("effectiveDateTime", "effectiveInstant", "performedDateTime", "valueDateTime")
    moved = json.loads(json.dumps(resource, default=number), object_hook=lambda part: _earlier(part, times))
    return dict(moved)


def _earlier(part: Json, times: tuple[str, ...]) -> Json:
    return {
        k: f"{int(v[:4]) - 100:04}{v[4:]}" if k in (*times, "start", "end") else v for k, v in part.items()
    }
