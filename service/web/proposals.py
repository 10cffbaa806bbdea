"""What waits for a signature, and the receipts of what was signed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from service.store.decisions import Row
from service.web import basis, elements, moments
from service.web.basis import Basis
from service.web.elements import PRESSING, Json, Word
from service.web.moments import Due, Moments
from service.web.tasks import Work
from service.web.words import Words


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """One order that nobody has signed."""

    id: str
    name: str
    #: draft or on-hold
    status: str
    pressing: bool
    made: str
    flags: tuple[str, ...]
    #: each with its language, where it is not the page's
    notes: tuple[tuple[str, str], ...]
    #: what a signature was found to lack, in words
    lacking: tuple[str, ...]

    @property
    def reference(self) -> str:
        """Return the literal reference to it."""
        return f"ServiceRequest/{self.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """The proposals that are signed together, and why they were made."""

    task: str
    title: str
    due: Due
    due_at: str
    role_words: str
    proposals: tuple[Proposal, ...]
    basis: Basis | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """A signed order."""

    id: str
    name: str
    status: str
    signed: str
    by: str
    priority: str
    proposal: str


def cards(
    requests: Sequence[Json],
    work: Sequence[Work],
    rows: Sequence[Row],
    when: Moments,
    words: Words,
    lacking: Mapping[str, tuple[str, ...]],
) -> tuple[Card, ...]:
    """Return one card for each open signing Task; an unsigned proposal without one has its own.

    Args:
        lacking: what a signature would lack now, by proposal.
    """
    unsigned = {
        elements.identity(r): _proposal(r, work, when, words, lacking.get(elements.identity(r), ()))
        for r in requests
        if r.get("intent") == "proposal" and r.get("status") in ("draft", "on-hold")
    }
    made_by = _made_by(rows, when, words)
    found: list[Card] = []
    for task in work:
        shown = tuple(unsigned.pop(order) for order in task.orders if order in unsigned)
        if shown:
            found.append(_card(shown, task, made_by, words))
    found += [_card((proposal,), None, made_by, words) for proposal in unsigned.values()]
    return tuple(found)


def receipts(
    requests: Sequence[Json], when: Moments, words: Words, names: Mapping[str, str]
) -> tuple[Receipt, ...]:
    """Return the signed orders, the newest first.

    Args:
        names: what those who signed are called, by reference.
    """
    signed = [r for r in requests if r.get("intent") == "order"]
    signed.sort(key=lambda r: str(r.get("authoredOn", "")), reverse=True)
    return tuple(
        Receipt(
            id=order["id"],
            name=elements.named(elements.say(order.get("code")), elements.side(order), words),
            status=str(order.get("status", "")),
            signed=when.said(order.get("authoredOn")),
            by=_called(order.get("requester", {}), names),
            priority=str(order.get("priority", "")),
            proposal=next(
                (r for r in elements.references(order.get("basedOn", ())) if r.startswith("ServiceRequest/")),
                "",
            ),
        )
        for order in signed
    )


def _called(who: Json, names: Mapping[str, str]) -> str:
    reference = elements.reference(who)
    return str(who.get("display") or names.get(reference) or reference)


def _who(person: Json, names: Mapping[str, str]) -> str:
    reference = elements.reference(person)
    return str(person.get("display") or names.get(reference) or reference)


def _proposal(
    request: Json, work: Sequence[Work], when: Moments, words: Words, lacking: tuple[str, ...]
) -> Proposal:
    side: Word | None = elements.side(request)
    reference = elements.identity(request)
    told = [q for task in work if task.focus == reference and not task.orders for q in task.qualifiers]
    made = moments.read(request.get("authoredOn"))
    return Proposal(
        id=request["id"],
        name=elements.named(elements.say(request.get("code")), side, words),
        status=str(request["status"]),
        pressing=request.get("priority") in PRESSING,
        made=f"{when.short(made)}, {when.time(made)}" if made else "",
        flags=tuple(elements.say(detail) for detail in request.get("orderDetail", ())),
        notes=tuple(words.told(str(note["text"])) for note in request.get("note", ()) if note.get("text")),
        lacking=lacking or tuple(dict.fromkeys(told)),
    )


def _card(shown: tuple[Proposal, ...], task: Work | None, made_by: Mapping[str, Basis], words: Words) -> Card:
    return Card(
        task=task.id if task else "",
        title=shown[0].name if len(shown) == 1 else words("proposal.several", n=len(shown)),
        due=task.due if task else Due(state="none", distance=words("due.none"), exact=""),
        due_at=task.due_at if task else "",
        role_words=task.role_words if task else "",
        proposals=shown,
        basis=next((made_by[p.reference] for p in shown if p.reference in made_by), None),
    )


def _made_by(rows: Sequence[Row], when: Moments, words: Words) -> dict[str, Basis]:
    """Return, for each output, the basis of the first row that made it."""
    found: dict[str, Basis] = {}
    for row in sorted(rows, key=lambda r: r.number):
        outputs = [str(o.get("reference", "")) for o in row.basis.get("outputs") or ()]
        if any(o.startswith("ServiceRequest/") and o not in found for o in outputs):
            read = basis.read(row, when, words)
            for output in outputs:
                found.setdefault(output, read)
    return found
