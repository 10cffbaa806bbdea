"""The stories in other places and at other times of the year: days are days of the site's calendar.

Each story is moved to a zone of another offset, or whose clocks change while it goes on, and its days are
lived in turn soon after midnight and shortly before it, by the clock on the wall.
A rule that counted 24 hours for a day, or took the day of Greenwich, would decide otherwise.
"""

import json
import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from playing import Json, play, read

from pathways import catalogue

STORIES = sorted((Path(__file__).parents[1] / "stories").glob("V*.json"))
HOME = ZoneInfo(str(catalogue.pathways()[0].parameters["site.timeZone"].default))
MOMENT = re.compile(r'"\d{4}-\d\d-\d\dT[^"]*"')
DAY = re.compile(r'"\d{4}-\d\d-\d\d"')

#: zone; the days by which the stories, which begin on 5 January, are moved; which of two days is lived late
PLACES = (
    ("Europe/Berlin", 70, 0),  # 16 March: forward on the 29th
    ("Europe/Berlin", 280, 1),  # 12 October: back on the 25th
    ("America/New_York", 56, 0),  # 2 March: forward on the 8th
    ("Australia/Lord_Howe", 85, 1),  # 31 March: back by half an hour on 5 April
    ("Pacific/Auckland", -100, 0),  # 27 September: forward that day, 13 hours before Greenwich
    ("Pacific/Kiritimati", 0, 1),  # the first zone to begin a day
    ("America/St_Johns", 0, 0),
    ("Pacific/Pago_Pago", 0, 1),  # the last zone to end one
)

#: a pair of findings within 24 hours, an urgent signature within 24, and the 30 minutes of an emergency
BY_THE_CLOCK = ("V36", "V66", "V70")

#: a day of the stories takes its time divided by this, so that all of it is close to midnight
SQUEEZED = 30


def moved(story: Json, zone: str, days: int, late: int) -> Json:
    """Return the story in another zone, so many days later.

    Every other day is lived soon after midnight, and the days between shortly before it.
    """
    there, later = ZoneInfo(zone), timedelta(days=days)

    def moment(found: re.Match[str]) -> str:
        here = datetime.fromisoformat(found.group().strip('"')).astimezone(HOME).replace(tzinfo=None)
        of_day = here - here.replace(hour=0, minute=0)
        hour = 23 if here.toordinal() % 2 == late else 0
        there_then = here.replace(hour=hour, minute=0) + of_day / SQUEEZED + later
        return f'"{there_then.replace(tzinfo=there).isoformat()}"'

    def day(found: re.Match[str]) -> str:
        return f'"{(date.fromisoformat(found.group().strip(chr(34))) + later).isoformat()}"'

    text = DAY.sub(day, MOMENT.sub(moment, json.dumps(story, default=float)))
    again: Json = json.loads(text)
    return {**again, "parameters": {**(story.get("parameters") or {}), "site.timeZone": zone}}


def at_home() -> Iterator[Path]:
    """Yield the stories that do not choose a zone of their own, and are not about minutes or hours."""
    for path in STORIES:
        if path.stem not in BY_THE_CLOCK and "site.timeZone" not in (read(path).get("parameters") or {}):
            yield path


@pytest.mark.parametrize(("zone", "days", "late"), PLACES)
def test_the_stories_are_exact_wherever_and_whenever_they_happen(zone: str, days: int, late: int) -> None:
    told = [d for path in at_home() for d in play(moved(read(path), zone, days, late))]

    assert told == []


def test_the_clocks_do_change_while_the_stories_go_on() -> None:
    """Otherwise the test above would say little."""
    for zone, days, late in PLACES[:5]:
        offsets = {
            datetime.fromisoformat(step["advanceTo"]).utcoffset()
            for path in at_home()
            for step in moved(read(path), zone, days, late)["steps"]
        }
        assert len(offsets) > 1
