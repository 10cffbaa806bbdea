"""An open Task as the pages say it: what is needed, why, until when, and who has it."""

from dataclasses import dataclass

from service.web import elements, moments
from service.web.elements import PRESSING, Json, Word
from service.web.moments import Due, Moments
from service.web.words import Words

#: the bands of the worklist, most urgent first
BANDS = ("now", "overdue", "week", "later")

WEEK_DAYS = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One open Task."""

    id: str
    title: str
    reason: str
    #: the plan it is about; empty for work about the person
    plan: str
    patient: str
    side: Word | None
    band: str
    due: Due
    due_at: str
    priority: str
    owner: str
    owner_name: str
    roles: tuple[Word, ...]
    orders: tuple[str, ...]
    qualifiers: tuple[str, ...]
    focus: str
    code: str
    version: str

    @property
    def role_words(self) -> str:
        """Return for whom it is, in words."""
        return ", ".join(role.text for role in self.roles)


def read(task: Json, when: Moments, words: Words) -> Work:
    """Return the Task in words."""
    code = elements.word(task.get("code"))
    title = elements.say(task.get("code")) or words("task.unnamed")
    side = elements.side(task)
    due = when.due(moments.read(elements.due(task)))
    owner = task.get("owner", {})
    return Work(
        id=task["id"],
        title=title,
        reason=_reason(str(task.get("description", "")), title, side),
        plan=next((r for r in elements.references(task.get("basedOn", ())) if r.startswith("CarePlan/")), ""),
        patient=elements.reference(task.get("for")).partition("/")[2],
        side=side,
        band=_band(task, due, when),
        due=due,
        due_at=elements.due(task),
        priority=str(task.get("priority", "routine")),
        owner=elements.reference(owner),
        owner_name=str(owner.get("display") or elements.reference(owner)),
        roles=elements.roles(task),
        orders=elements.orders_to_sign(task),
        qualifiers=tuple(w.text for w in elements.words(task.get("reasonCode"))),
        focus=elements.reference(task.get("focus")),
        code=code.code if code else "",
        version=elements.version(task),
    )


def by_urgency(work: Work) -> tuple[int, str, str]:
    """Return the place in a list: band, then due time, then id."""
    return BANDS.index(work.band), work.due_at or "9999", work.id


def _reason(description: str, title: str, side: Word | None) -> str:
    """Return why, without what stands beside it already: the title and the side."""
    words = f"{title}, {elements.inline(side.text)}" if side else title
    for known in (words, title):
        if description.startswith(known):
            return description.removeprefix(known).lstrip(" .,")
    return description


def _band(task: Json, due: Due, when: Moments) -> str:
    if task.get("priority") in PRESSING:
        return "now"
    if due.state == "late":
        return "overdue"
    end = moments.read(elements.due(task))
    if end is not None and -when.days_since(end) <= WEEK_DAYS:
        return "week"
    return "later"
