"""`/inbox/codes/mapping`: give a code a meaning, after a look at what would follow."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Any
from urllib.parse import urlencode

from flask import redirect, request, url_for
from sqlalchemy import Connection
from werkzeug.wrappers import Response

from service import accessed, clock, preview
from service.fhir import knowledge, retranslation, translation
from service.fhir.translation import Translations
from service.store import horizon, previews, resources, site
from service.store.previews import Question
from service.store.resources import VersionConflict, Write
from service.web import elements, inbox, mapping, queries, tried, visit, worklist
from service.web.elements import Json
from service.web.mapping import Code, Element, Mapped, Meaning
from service.web.pages import pages, problem, refusal
from service.web.visit import TENANT, Visit

Answer = Response | tuple[str, int]

#: values and words seen with the code that are shown
SAMPLES = 10
LOOKED_AT = 200
#: characters of a comment
COMMENT = 2000
#: what is stored is translated while the person waits, for so long; the sweep does the rest
WAIT_S = 1.0

#: what each button asks for: the status of the map before, and the one it gets
CHANGES: dict[str, tuple[tuple[str, ...], mapping.Status]] = {
    "save": (("", "retired"), "active"),
    "confirm": (("draft",), "active"),
    "reject": (("draft",), "retired"),
    "withdraw": (("active",), "retired"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the address asks about."""

    type: str
    element: Element
    code: Code
    #: of an answer, the code it answers
    question: Code | None

    @property
    def address(self) -> dict[str, str]:
        """Return the parameters of the address."""
        return mapping.address(self.type, self.element, self.code, self.question)


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """How a code is used: whose it is, and what comes with it, each with how often."""

    entries: int
    people: tuple[str, ...]
    senders: tuple[tuple[str, int], ...]
    words: tuple[tuple[str, int], ...]
    values: tuple[tuple[str, int], ...]


@pages.get("/inbox/codes/mapping")
def show_mapping() -> Answer | str:
    """Show how a code is used, what it may mean, and what would follow."""
    asked = read_address()
    if asked is None:
        return problem("no_code", 404)
    with visit.begin() as (tx, seen):
        return _page(tx, seen, asked)


@pages.post("/inbox/codes/mapping")
def change_mapping() -> Answer:
    """Give a code a meaning, confirm or reject a proposed one, or withdraw it."""
    asked, change = read_address(), request.form.get("change", "")
    if asked is None or change not in CHANGES:
        return problem("no_code", 404)
    with visit.begin() as (tx, seen):
        if refused := refusal(seen):
            return refused
        mapped = made_here(tx, asked.code)
    assert seen.acting is not None
    before, after = CHANGES[change]
    version = mapped.version if mapped else 0
    if (mapped.status if mapped else "") not in before or request.form.get("version") != str(version):
        return problem("mapping_changed", 409)
    if change == "save":
        meaning = _meaning(asked, request.form.get("meaning", ""))
        if meaning is None:
            return problem("no_meaning", 422)
        target, display = meaning.code, meaning.display
        comment = request.form.get("comment", "").strip()[:COMMENT]
        after = "draft" if meaning.second else after
    else:
        assert mapped is not None
        target, display, comment = mapped.target, mapped.display, mapped.comment
        # Where nobody is named as the first person, nobody is the second.
        if change == "confirm" and mapped.by in ("", seen.acting.reference):
            return problem("same_person", 422)
    body = mapping.concept_map(asked.code, target, display, after, comment)
    if not _stored(seen, asked.code, body, version):
        return problem("mapping_changed", 409)
    _translate()
    return redirect(f"{url_for('web.show_mapping')}?{urlencode(asked.address)}#now", code=303)


def read_address() -> Asked | None:
    """Return what the address asks about; None for what names no code of a system in what is translated."""
    given = request.args
    element = next((known for known in mapping.ELEMENTS if known == given.get("element")), None)
    type, code = given.get("type", ""), (given.get("system", ""), given.get("code", ""))
    question = given.get("question", "").rpartition("|")
    if element is None or type not in translation.TRANSLATED or not all(code):
        return None
    return Asked(
        type=type,
        element=element,
        code=code,
        question=(question[0], question[2]) if element == "value" else None,
    )


def _meaning(asked: Asked, key: str) -> Meaning | None:
    """Return what was chosen, in the words of the definition: a map says the same in every language."""
    found = mapping.meanings(visit.installed(), asked.element, asked.type, asked.question)
    return next((meaning for meaning in found if meaning.key == key), None)


def made_here(tx: Connection, code: Code) -> Mapped | None:
    """Return the map of a code that was made here, whatever its status."""
    stored = resources.current(tx, "ConceptMap", mapping.map_id(code), tenant=TENANT)
    if stored is None or stored.deleted or not stored.owned:
        return None
    said = resources.current(tx, "Provenance", mapping.said_id(stored.id, stored.version), tenant=TENANT)
    return mapping.read(stored, said.resource if said else {})


def _stored(seen: Visit, code: Code, body: Json, version: int) -> bool:
    """Store the next version of a map with who made it; False if it has another version by now.

    Args:
        version: of the map as it was read; 0: there was none.
    """
    assert seen.acting is not None
    who = {"reference": seen.acting.reference, "display": seen.acting.name}
    with visit.database().transaction() as tx:
        horizon.announce(tx)
        now = clock.now(tx)
        said = mapping.provenance(body["id"], version + 1, who, now)
        kept = Write(type="ConceptMap", id=body["id"], body=body, owned=True, if_version=version or None)
        writes = [kept, Write(type="Provenance", id=said["id"], body=said, owned=True)]
        heads = resources.look_up_or_lock(tx, writes, tenant=TENANT)
        # Of two who create it one finds it here; of two who change it the row's lock tells, below.
        if (kept.identity in heads) != bool(version):
            return False
        # A FHIR instant has milliseconds; the stored moment is the one that is shown.
        received = now.replace(microsecond=now.microsecond // 1000 * 1000)
        try:
            resources.save(tx, writes, tenant=TENANT, now=received, sender=who["reference"], seen=heads)
        except VersionConflict:
            tx.rollback()
            return False
        if body["status"] != "draft":
            # What was tried of a proposal is there for the second person.
            previews.decided(tx, code, tenant=TENANT)
    return True


def _translate() -> None:
    """Begin to translate what is stored, so that who changed a meaning sees what it does."""
    end = monotonic() + WAIT_S
    part = partial(retranslation.step, tenant=TENANT)
    while visit.database().run(part) and monotonic() < end:
        pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What an address or a form names to be decided about a code, and what has to be tried for it."""

    meaning: Meaning | None
    withdraw: bool
    question: Question | None

    @property
    def address(self) -> dict[str, str]:
        """Return the parameters by which an address names it."""
        if self.withdraw:
            return {"withdraw": "1"}
        return {"meaning": self.meaning.key} if self.meaning else {}


def choice(asked: Asked, mapped: Mapped | None, given: Mapping[str, Any]) -> Choice:
    """Return what is to be decided.

    Args:
        given: the parameters of an address, or the fields of a form.
    """
    status = mapped.status if mapped else ""
    meaning = _meaning(asked, given.get("meaning", "")) if status in ("", "retired") else None
    withdraw = status == "active" and "withdraw" in given
    target = meaning.code if meaning else None
    if mapped and (withdraw or status == "draft"):
        target = mapped.target
    question = Question(source=asked.code, target=target, gives=not withdraw) if target else None
    return Choice(meaning=meaning, withdraw=withdraw, question=question)


def preview_values(
    tx: Connection,
    seen: Visit,
    asked: Asked,
    mapped: Mapped | None,
    chosen: Choice,
    uses: Sequence[preview.Use] = (),
) -> dict[str, Any]:
    """Return what `_preview.html` shows.

    Args:
        uses: of the code, as far as it is wanted who has had it since.
    """
    found = None
    if chosen.question:
        maps = retranslation.state(site.read(tx, tenant=TENANT))
        found = tried.read(tx, chosen.question, visit.installed(), maps=maps, uses=uses, tenant=TENANT)
    moved = found.moved if found else ()
    return {
        "asked": asked,
        "mapped": mapped,
        "chosen": chosen,
        "address": {**asked.address, **chosen.address},
        "tried": found,
        "moved": moved,
        "rows": tried.ROWS,
        "people": visit.people_of(tx, seen, {each.patient for each in moved}),
        "plan_of": worklist.first_plans(
            worklist.place(plan, seen.words)
            for plan in queries.plans_of(tx, {each.patient for each in moved}, tenant=TENANT)
        ),
        "token": seen.forms.token,
    }


def _page(tx: Connection, seen: Visit, asked: Asked) -> str:
    mapped = made_here(tx, asked.code)
    known = knowledge.translations(tx, site.read(tx, tenant=TENANT).concept_maps, tenant=TENANT)
    uses = preview.uses(tx, asked.code, tenant=TENANT)
    chosen = choice(asked, mapped, request.args)
    return visit.page(
        seen,
        "mapping.html",
        **preview_values(tx, seen, asked, mapped, chosen, uses),
        use=_use(tx, uses),
        elsewhere=_elsewhere(known, asked.code, mapped),
        meanings=mapping.meanings(visit.installed(), asked.element, asked.type, asked.question),
        progress=retranslation.progress(tx, tenant=TENANT),
    )


def _elsewhere(known: Translations, code: Code, mapped: Mapped | None) -> tuple[Json, ...]:
    """Return what ConceptMaps that were not made here translate the code to."""
    own = mapped.target if mapped and mapped.status == "active" else None
    return tuple(target for target in known.get(code, ()) if (target["system"], target["code"]) != own)


def _use(tx: Connection, uses: Sequence[preview.Use]) -> Use:
    """Return how the code is used, as far as the newest entries tell."""
    newest = {(use.type, use.id) for use in uses[:LOOKED_AT]}
    with resources.together(tx):
        answer = resources.ask_all(tx, newest, tenant=TENANT)
    bodies = [found.resource for found in answer().values()]
    accessed.note(use.patient for use in uses[:LOOKED_AT])
    named = (elements.say(body.get("code")) for body in bodies)
    values = (inbox.said(v) for body in bodies for name, v in body.items() if name.startswith("value"))
    return Use(
        entries=len(uses),
        people=tuple(dict.fromkeys(use.patient for use in uses)),
        senders=tuple(Counter(use.sender for use in uses).most_common(SAMPLES)),
        words=tuple(Counter(named).most_common(SAMPLES)),
        values=tuple(Counter(values).most_common(SAMPLES)),
    )
