"""`/inbox/codes/mapping`: give a code a meaning, after a look at what would follow."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from time import monotonic
from urllib.parse import urlencode

from flask import redirect, request, url_for
from sqlalchemy import Connection
from werkzeug.wrappers import Response

from service import accessed, clock, preview
from service.fhir import knowledge, retranslation
from service.fhir.translation import Translations
from service.store import driver, horizon, previews, resources, site
from service.store.previews import Question
from service.store.resources import VersionConflict, Write
from service.web import asked as asked_about
from service.web import elements, inbox, mapping, tried, visit
from service.web.asked import Asked
from service.web.elements import Json
from service.web.mapping import Code, Mapped
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
    asked = asked_about.read(request.args)
    if asked is None:
        return problem("no_code", 404)
    with visit.begin() as (tx, seen):
        return _page(tx, seen, asked)


@pages.post("/inbox/codes/mapping")
def change_mapping() -> Answer:
    """Give a code a meaning, confirm or reject a proposed one, or withdraw it."""
    asked, change = asked_about.read(request.args), request.form.get("change", "")
    if asked is None or change not in CHANGES:
        return problem("no_code", 404)
    with visit.begin() as (tx, seen):
        if refused := refusal(seen):
            return refused
        mapped = mapping.map_of(tx, asked.code, tenant=TENANT)
    assert seen.acting is not None
    before, after = CHANGES[change]
    version = mapped.version if mapped else 0
    if (mapped.status if mapped else "") not in before or request.form.get("version") != str(version):
        return problem("mapping_changed", 409)
    if change == "save":
        meaning = asked_about.meaning(asked, request.form.get("meaning", ""))
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
    # What was tried of a proposal is there for the second person.
    proposed = Question(source=asked.code, target=target, gives=True) if after == "draft" else None
    if not _stored(seen, asked.code, body, version, proposed):
        return problem("mapping_changed", 409)
    _translate()
    return redirect(f"{url_for('web.show_mapping')}?{urlencode(asked.address)}#now", code=303)


def _stored(seen: Visit, code: Code, body: Json, version: int, proposed: Question | None) -> bool:
    """Store the next version of a map with who made it; False if it has another version by now.

    Args:
        version: of the map as it was read; 0: there was none.
        proposed: the question that waits for a second person; what else was asked is decided.
    """
    assert seen.acting is not None
    who = {"reference": seen.acting.reference, "display": seen.acting.name}
    try:
        with visit.database().transaction() as tx:
            mapping.hold(tx, code, tenant=TENANT)
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
            resources.save(tx, writes, tenant=TENANT, now=received, sender=who["reference"], seen=heads)
            previews.decided(tx, code, kept=proposed, tenant=TENANT)
    except VersionConflict:
        return False
    return True


def _translate() -> None:
    """Begin to translate what is stored, so that who changed a meaning sees what it does."""
    end = monotonic() + WAIT_S
    part = partial(retranslation.step, tenant=TENANT)
    while visit.database().run(part) and monotonic() < end:
        pass


def _page(tx: Connection, seen: Visit, asked: Asked) -> str:
    mapped = mapping.map_of(tx, asked.code, tenant=TENANT)
    known = knowledge.translations(tx, site.read(tx, tenant=TENANT).concept_maps, tenant=TENANT)
    uses = preview.uses(tx, asked.code, tenant=TENANT)
    chosen = asked_about.choice(asked, mapped, request.args)
    return visit.page(
        seen,
        "mapping.html",
        **tried.values(tx, seen, asked, mapped, chosen, uses),
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
    with driver.together(tx):
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
