"""An open Task as the pages say it: what is needed, why, until when, and who has it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from service.web import elements, moments
from service.web.elements import PRESSING, Json, Word
from service.web.ended import Ended
from service.web.moments import Due, Moments
from service.web.once import once
from service.web.words import Words

#: the bands of the worklist, most urgent first
BANDS = ("now", "overdue", "week", "later", "ended")

WEEK_DAYS = 7


@dataclass(frozen=True, kw_only=True, eq=False)
class Work:
    """One open Task. Read when it is asked for: a list sorts hundreds and shows fifty."""

    task: Json
    when: Moments
    words: Words
    #: that its stage is over; None: it is not, or nobody can tell
    ended: Ended | None = None

    @property
    def id(self) -> str:
        """Return the id of the Task."""
        return str(self.task["id"])

    @once
    def title(self) -> str:
        """Return what is needed."""
        return elements.say(self.words.reworded(self.task.get("code"))) or self.words("task.unnamed")

    @once
    def reason(self) -> str:
        """Return why."""
        title, side = elements.say(self.task.get("code")), elements.side(self.task)
        return self.words.said(_reason(str(self.task.get("description", "")), title, side))

    @once
    def plan(self) -> str:
        """Return the plan it is about; empty for work about the person."""
        based_on = elements.references(self.task.get("basedOn", ()))
        return next((r for r in based_on if r.startswith("CarePlan/")), "")

    @once
    def patient(self) -> str:
        """Return whom it is about."""
        return elements.reference(self.task.get("for")).partition("/")[2]

    @once
    def side(self) -> Word | None:
        """Return the side it is about; None: the whole person."""
        return elements.side({"extension": self.words.reworded(self.task.get("extension", []))})

    @once
    def band(self) -> str:
        """Return where it stands in the worklist, one of `BANDS`."""
        if self.priority in PRESSING:
            return "now"
        if self._set_apart:
            return "ended"
        if self.overdue:
            return "overdue"
        end = self._end
        if end is not None and -self.when.days_since(end) <= WEEK_DAYS:
            return "week"
        return "later"

    @property
    def overdue(self) -> bool:
        """Return whether it was due before now; work of an ended stage does not nag."""
        return not self._set_apart and self._end is not None and self._end < self.when.now

    @once
    def due(self) -> Due:
        """Return when it is due, in words."""
        return self.when.due(self._end)

    @once
    def due_at(self) -> str:
        """Return when it is due, as FHIR writes it."""
        return elements.due(self.task)

    @property
    def priority(self) -> str:
        """Return the priority of the Task."""
        return str(self.task.get("priority", "routine"))

    @once
    def owner(self) -> str:
        """Return who has it; empty: nobody."""
        return elements.reference(self.task.get("owner"))

    @property
    def owner_name(self) -> str:
        """Return the name of who has it."""
        return str(self.task.get("owner", {}).get("display") or self.owner)

    @once
    def roles(self) -> tuple[Word, ...]:
        """Return for whom it is."""
        return elements.roles({"performerType": self.words.reworded(self.task.get("performerType", []))})

    @property
    def role_words(self) -> str:
        """Return for whom it is, in words."""
        return ", ".join(role.text for role in self.roles)

    @once
    def orders(self) -> tuple[str, ...]:
        """Return the proposals it asks to sign."""
        return elements.orders_to_sign(self.task)

    @property
    def qualifiers(self) -> tuple[str, ...]:
        """Return what is said beside the title."""
        return tuple(w.text for w in elements.words(self.words.reworded(self.task.get("reasonCode"))))

    @property
    def focus(self) -> str:
        """Return what it is about, as a reference."""
        return elements.reference(self.task.get("focus"))

    @property
    def code(self) -> str:
        """Return the code of the Task."""
        found = elements.word(self.task.get("code"))
        return found.code if found else ""

    @property
    def version(self) -> str:
        """Return the version of the Task."""
        return elements.version(self.task)

    @property
    def _set_apart(self) -> bool:
        """Return whether it stands apart. What is pressing, or waits for a signature, never does."""
        return self.ended is not None and self.priority not in PRESSING and not self.orders

    @once
    def _end(self) -> datetime | None:
        return moments.read(self.due_at)


def read(task: Json, when: Moments, words: Words) -> Work:
    """Return the Task in words."""
    return Work(task=task, when=when, words=words)


def mark(work: Iterable[Work], ended: Mapping[str, Ended]) -> list[Work]:
    """Return the work with what is known of ended stages, by the id of the Task."""
    return [replace(w, ended=ended[w.id]) if w.id in ended else w for w in work]


def by_urgency(work: Work) -> tuple[int, str, str]:
    """Return the place in a list: band, then due time, then id."""
    return BANDS.index(work.band), work.due_at or "9999", work.id


def _reason(description: str, title: str, side: Word | None) -> str:
    """Return why, without what stands beside it already: the title and the side."""
    words = f"{title}, {side.text[:1].lower()}{side.text[1:]}" if side else title
    for known in (words, title):
        if known and description.startswith(known):
            return description.removeprefix(known).lstrip(" .,")
    return description
