"""The worklist as a table of a spreadsheet: the same rows and columns as the page, all of them.

RFC 4180, UTF-8 with a byte order mark, because spreadsheets take a file without one for another encoding.
"""

import csv
import io
from collections.abc import Iterator, Mapping

from service.web.moments import Moments
from service.web.patients import Person
from service.web.tasks import Work
from service.web.words import Words
from service.web.worklist import Place, PlanRow, Worklist

COLUMNS = (
    "band",
    "patient",
    "birth_date",
    "record_number",
    "side",
    "stage",
    "in_stage",
    "need",
    "why",
    "due",
    "due_exact",
    "owner",
    "role",
    "plan",
    "as_of",
)

#: A cell that begins so is run as a formula by spreadsheets; a name comes from outside.
#: https://owasp.org/www-community/attacks/CSV_Injection
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def table(
    worklist: Worklist,
    people: Mapping[str, Person],
    places: Mapping[str, Place],
    since: Mapping[str, str],
    ended: Mapping[str, str],
    when: Moments,
    words: Words,
) -> str:
    """Return the rows of a worklist as text. What is not recorded is said, as on the page.

    Args:
        since: for how long each plan has been in its stage, in words.
        ended: which stage of a Task is over, in words, by its id.
    """
    text = io.StringIO()
    text.write("\ufeff")
    writer = csv.writer(text)
    writer.writerow(words(f"csv.{column}") for column in COLUMNS)
    as_of = when.exact(when.now)
    for band in worklist.bands:
        for work in band.rows:
            row = _work(work, words, ended) | _place(places.get(work.plan), since)
            writer.writerow(_cells({**row, "as_of": as_of} | _person(people, work.patient, words)))
    for plan in worklist.plans:
        row = _plan(plan, words, ended) | _place(plan.place, since)
        writer.writerow(_cells({**row, "as_of": as_of} | _person(people, plan.place.patient, words)))
    return text.getvalue()


def _cells(row: Mapping[str, str]) -> Iterator[str]:
    for column in COLUMNS:
        cell = row.get(column, "")
        yield f"'{cell}" if cell.startswith(FORMULA) else cell


def _person(people: Mapping[str, Person], id: str, words: Words) -> dict[str, str]:
    person = people.get(id)
    if person is None:
        return {"patient": words("not_recorded")}
    return {"patient": person.name, "birth_date": person.born, "record_number": person.identifier}


def _work(work: Work, words: Words, ended: Mapping[str, str]) -> dict[str, str]:
    return {
        "band": words(f"band.{work.band}"),
        "side": work.side.text if work.side else words("person"),
        "need": " · ".join((work.title, *work.qualifiers)),
        "why": " ".join(part for part in (work.reason, ended.get(work.id, "")) if part),
        "due": "" if work.band == "ended" else work.due.distance,
        "due_exact": work.due.exact,
        "owner": work.owner_name if work.owner else words("owner.nobody"),
        "role": work.role_words,
    }


def _plan(row: PlanRow, words: Words, ended: Mapping[str, str]) -> dict[str, str]:
    first = _work(row.next, words, ended) if row.next else {"need": words("plans.quiet")}
    return {**first, "side": row.place.side.text}


def _place(place: Place | None, since: Mapping[str, str]) -> dict[str, str]:
    if place is None:
        return {}
    return {"stage": place.stage.text, "in_stage": since.get(place.plan, ""), "plan": place.plan}
