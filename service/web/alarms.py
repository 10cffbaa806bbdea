"""What stands above a plan and cannot be dismissed: what is wrong, since when, and what still runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from service.store.standings import Standing
from service.web import elements, moments
from service.web.elements import Json
from service.web.moments import Moments
from service.web.offers import Offer, Offers
from service.web.tasks import Work
from service.web.words import Words


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """One bar. `tone`: danger, late, wait or closed."""

    tone: str
    title: str
    text: str
    offers: tuple[Offer, ...] = ()
    #: the section of the inbox that says more; empty: there is none
    inbox: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What the alarms are read from."""

    plan: Json
    memory: Mapping[str, Any]
    flags: Sequence[Json]
    messages: Sequence[Json]
    work: Sequence[Work]
    offers: Offers
    standing: Standing | None
    since: datetime | None


def raise_(watched: Watched, when: Moments, words: Words) -> tuple[Alarm, ...]:
    """Return the alarms of one plan, the worst first."""
    found = [
        *_not_evaluated(watched.standing, when, words),
        *_away(watched, when, words),
        *_holds(watched, when, words),
        *_closed(watched, when, words),
    ]
    return tuple(found)


def waiting(standing: Standing | None, when: Moments, words: Words) -> str:
    """Return that data of this person have not been read yet, and until when; empty if all have."""
    if standing is None or not standing.arrivals or standing.parked_at is not None:
        return ""
    if standing.due_at is not None and standing.due_at > when.now:
        return words("unread.until", n=standing.arrivals, time=when.exact(standing.due_at))
    return words("unread", n=standing.arrivals)


def _not_evaluated(standing: Standing | None, when: Moments, words: Words) -> list[Alarm]:
    if standing is None or (standing.parked_at is None and not standing.failed_reason):
        return []
    since = when.exact(standing.done_at) if standing.done_at else words("alarm.never")
    return [
        Alarm(
            tone="danger",
            title=words("alarm.not_evaluated", since=since),
            text=words("alarm.not_evaluated.text", reason=standing.failed_reason or words("not_recorded")),
        )
    ]


def _away(watched: Watched, when: Moments, words: Words) -> list[Alarm]:
    """A plan on hold was handed to another service: by what, to whom, and whether anyone answered."""
    if watched.plan.get("status") != "on-hold":
        return []
    causes = [
        word.text
        for flag in watched.flags
        if flag.get("status") == "active"
        for word in elements.words(flag.get("code"))[1:]
    ]
    answered = {t["id"] for t in watched.memory.get("tasks") or () if t.get("acknowledged")}
    handed = [w for w in watched.work if watched.offers.of(f"Task/{w.id}") or w.id in answered]
    handed = [w for w in handed if w.id in answered or _acknowledgeable(watched.offers, w)]
    said = [". ".join(w.qualifiers) for w in handed if w.qualifiers] or causes
    parts = [
        f"{'. '.join(dict.fromkeys(said))}." if said else "",
        *(
            words("alarm.acknowledged")
            if work.id in answered
            else words("alarm.not_acknowledged", due=work.due.distance, who=work.role_words)
            for work in handed
        ),
        _told(watched.messages, watched.since, when, words),
        words("alarm.away.held"),
    ]
    since = when.exact(watched.since) if watched.since else ""
    return [
        Alarm(
            tone="danger",
            title=words(
                "alarm.away",
                side=_side(watched.plan, words),
                stage=elements.stage(watched.plan).text,
                since=since,
            ),
            text=" ".join(part for part in parts if part),
            offers=tuple(
                offer
                for work in handed
                for offer in watched.offers.of(f"Task/{work.id}")
                if not offer.reason_required and offer.decision == "acknowledge"
            ),
        )
    ]


def _acknowledgeable(offers: Offers, work: Work) -> bool:
    return offers.find(f"Task/{work.id}", "acknowledge") is not None


def _told(messages: Sequence[Json], since: datetime | None, when: Moments, words: Words) -> str:
    """Return when the patient was told, since the plan is where it is."""
    times = [
        when.time(sent)
        for message in messages
        if any(r.startswith("Patient/") for r in elements.references(message.get("recipient", ())))
        and (sent := moments.read(message.get("authoredOn"))) is not None
        and (since is None or sent >= since)
    ]
    return words("alarm.told", times=", ".join(times)) if times else words("alarm.not_told")


def _holds(watched: Watched, when: Moments, words: Words) -> list[Alarm]:
    found: list[Alarm] = []
    plan = elements.identity(watched.plan)
    offers = tuple(o for o in watched.offers.of(plan) if o.decision == "resolve-hold")
    for hold in elements.extensions(watched.plan, "pathway-hold"):
        parts = {part["url"]: part for part in hold.get("extension", ())}
        kind = parts.get("type", {}).get("valueCoding", {})
        about = parts.get("input", {}).get("valueCoding", {})
        since = moments.read(parts.get("since", {}).get("valueDateTime"))
        what = [str(kind.get("display") or kind.get("code", "")), str(about.get("display", ""))]
        found.append(
            Alarm(
                tone="late",
                title=words(
                    "alarm.hold",
                    side=_side(watched.plan, words),
                    since=when.exact(since) if since else words("not_recorded"),
                ),
                text=f"{': '.join(part for part in what if part)}. {words('alarm.hold.text')}",
                offers=offers if not found else (),
            )
        )
    return found


def _closed(watched: Watched, when: Moments, words: Words) -> list[Alarm]:
    status = watched.plan.get("status")
    if status not in ("completed", "revoked"):
        return []
    since = when.exact(watched.since) if watched.since else ""
    return [
        Alarm(
            tone="closed",
            title=words(
                "alarm.closed",
                side=_side(watched.plan, words),
                stage=elements.stage(watched.plan).text,
                since=since,
            ),
            text=words(f"alarm.closed.{status}"),
        )
    ]


def _side(plan: Json, words: Words) -> str:
    side = elements.side(plan)
    return side.text if side else words("person")
