"""Plays a story against the machine alone: no server, no database, the same rules."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from pathways import catalogue, narrative, parameters
from pathways.corrections import Past
from pathways.decide import Case, decide
from pathways.definition import Pathway
from pathways.memory import Memory
from pathways.record import Entry, Record
from pathways.render import render
from pathways.sheet import Sheet
from pathways.steps import PERSON, Outcome, Step

Json = dict[str, Any]


@dataclass
class Play:
    """One patient's record as it grows, and what is remembered."""

    chosen: dict[str, Any] = field(default_factory=dict)
    pathway: Pathway = field(default_factory=lambda: catalogue.pathways()[0])
    entries: dict[str, Entry] = field(default_factory=dict)
    own: dict[str, Entry] = field(default_factory=dict)
    memories: dict[str, Memory] = field(default_factory=dict)
    seq: int = 0
    steps: list[Step] = field(default_factory=list)
    at: dict[tuple[str, int], datetime] = field(default_factory=dict)

    @property
    def patient(self) -> Entry:
        """Return whom it is about."""
        return next(entry for entry in self.entries.values() if entry.type == "Patient")

    def branch(self) -> "Play":
        """Return the same patient, whose further life changes nothing here."""
        return replace(
            self,
            entries=dict(self.entries),
            own=dict(self.own),
            memories=dict(self.memories),
            steps=list(self.steps),
            at=dict(self.at),
        )

    def receive(self, bundle: dict[str, Any], at: datetime) -> None:
        """Store every entry; unchanged content makes no version."""
        for item in bundle["entry"]:
            self.seq += 1
            body = json.loads(self._placed(json.dumps(item["resource"], default=number)), parse_float=Decimal)
            reference = f"{body['resourceType']}/{body['id']}"
            before = self.entries.get(reference)
            if before is not None and before.body == body:
                continue
            self.entries[reference] = Entry(
                type=body["resourceType"],
                id=body["id"],
                version=before.version + 1 if before else 1,
                seq=self.seq,
                received=at,
                body=body,
            )

    def evaluate(self, at: datetime) -> tuple[Outcome, list[dict[str, Any]]]:
        """Decide and render; what was written is part of the record afterwards."""
        pathway, case = self.pathway, self.case(at)
        site, patient = case.site, case.record.patient
        outcome = decide(pathway, case)
        self.steps += outcome.steps
        self.at.update({(s.instance, s.number): at for s in outcome.steps})
        sheet = Sheet(
            pathway=pathway,
            tenant=0,
            patient=patient.id,
            profile=str(self.chosen.get("profile", pathway.default_profile)),
            changed=parameters.changed(pathway, site),
            stored={reference: entry.body for reference, entry in self.own.items()},
            engine="test",
            language=narrative.language(pathway, patient.body),
        )
        written = render(sheet, outcome)
        self.memories = {k: Memory.from_json(m.to_json()) for k, m in outcome.memories.items()}
        for body in written:
            reference = f"{body['resourceType']}/{body['id']}"
            self.own[reference] = Entry(
                type=body["resourceType"], id=body["id"], version=1, seq=0, received=at, body=body
            )
        return outcome, written

    def case(self, at: datetime) -> Case:
        """Return what is to be decided at this moment."""
        pathway = self.pathway
        site = parameters.resolve(pathway, self.chosen)
        record = Record(
            patient=self.patient,
            received=tuple(self.entries.values()),
            own=dict(self.own),
            people=self._people(),
        )
        return Case(
            tenant=0,
            record=record,
            memories=self.memories,
            moment=at,
            history={side: self._history(side, site) for side in pathway.sides},
            site=site,
        )

    def _people(self) -> dict[str, str]:
        known = (e for e in self.entries.values() if e.type == "Practitioner")
        return {e.reference: e.body.get("name", [{}])[0].get("family", "") for e in known}

    def _history(self, side: str, site: dict[str, Any]) -> tuple[Past, ...]:
        path = self.memories.get(side, Memory()).path
        steps = {s.number: s for s in self.steps if s.instance == side}
        return tuple(
            Past(
                number=number,
                action=steps[number].action or "",
                at=self.at[side, number],
                before=steps[number].before,
                after=steps[number].after,
                inputs=tuple(f.entry.versioned for f in steps[number].facts),
                site=site,
                quiet_before=next(
                    (
                        s.before
                        for n, s in sorted(steps.items())
                        if self.at[side, n] == self.at[side, number] and s.silent and n < number
                    ),
                    None,
                ),
            )
            for number in reversed(path)
        )

    def _placed(self, text: str) -> str:
        """Replace `ServiceRequest/vignette.R.SR.MRI` by the newest such resource of the patient."""
        while (start := text.find("/vignette.")) >= 0:
            end = text.index('"', start)
            text = text[:start] + "/" + self._find(text[start + len("/vignette.") : end]) + text[end:]
        return text

    def _find(self, name: str) -> str:
        *where, what = (
            name.split(".") if name.endswith("CarePlan") else (*name.split(".")[:-2], name.split(".")[-1])
        )
        side = {"L": "left", "R": "right"}.get(where[0] if where else "", PERSON)
        memory = self.memories.get(side, Memory())
        if what == "CarePlan":
            plan = (
                e.id for r, e in self.own.items() if r.startswith("CarePlan/") and f".{side}" in str(e.body)
            )
            return next(plan, "unknown")
        orders = [o for o in memory.orders if o.kind == what]
        tasks = [t for t in memory.tasks if t.code == what]
        if orders:
            newest = max(o.made for o in orders)
            drafts = [o for o in orders if o.made == newest and o.state == "draft"]
            return (drafts or [o for o in orders if o.made == newest])[-1].id
        return tasks[-1].id if tasks else "unknown"


def told(outcome: Outcome) -> Counter[str]:
    """Return every output of an evaluation in shorthand."""
    found: Counter[str] = Counter()
    for step in outcome.steps:
        prefix = f"{step.instance[0].upper()}:" if step.instance else ""
        for one in step.raised:
            where = "" if one.activity.focus == "issue" and not step.instance else prefix
            found[where + one.shorthand] += 1
        if step.event:
            found[f"{prefix}AU:{step.event}"] += 1
        before = {o.id for o in step.before.orders if o.unsigned}
        if any(o.state == "revoked" and o.id in before for o in step.after.orders):
            found[f"{prefix}PV:revoke-drafts"] += 1
        if step.rule == "upgrade-urgent":
            found[f"{prefix}PV:upgrade-urgent"] += 1
    return found


def moves(outcome: Outcome) -> list[str]:
    """Return the steps that changed a stage, in shorthand."""
    return sorted(
        f"{s.instance[0].upper()}:{s.rule}"
        for s in outcome.steps
        if not s.silent and s.rule[0] == "T" and s.rule[1:].isdigit() and s.rule != "T12"
    )


def lived(
    story: dict[str, Any], game: Play
) -> Iterator[tuple[dict[str, Any], Outcome, list[dict[str, Any]]]]:
    """Yield each step of a story with what was decided and written at its end."""
    game.chosen = dict(story.get("parameters") or {})
    for step in story["steps"]:
        if step["bundle"]:
            game.receive(step["bundle"], datetime.fromisoformat(step["at"]))
        yield step, *game.evaluate(datetime.fromisoformat(step["advanceTo"]))


def play(story: dict[str, Any], game: Play | None = None) -> list[str]:
    """Return the differences between a story and what the machine does, a sentence each."""
    return list(differences(story, game or Play()))


def differences(story: dict[str, Any], game: Play) -> Iterator[str]:
    """Yield the differences between a story and what the machine does, step by step."""
    for number, (step, outcome, _) in enumerate(lived(story, game), 1):
        expected = step["expect"]
        stages = {s: m.stage for s, m in game.memories.items() if s and m.stage}
        holds = {
            s: sorted(":".join(filter(None, (h.code, h.input))) for h in m.holds)
            for s, m in game.memories.items()
            if m.holds
        }
        pairs = [
            ("stages", expected["stages"], stages),
            ("holds", expected.get("holds", {}), holds),
            ("transitions", sorted(expected["transitions"]), moves(outcome)),
            ("outputs", Counter(expected["outputs"]), told(outcome)),
        ]
        for name, wanted, got in pairs:
            if wanted != got:
                yield f"{story['id']} step {number}: {name} expected {wanted}, got {got}"


def read(path: Path) -> dict[str, Any]:
    """Return a story with its numbers as decimals."""
    story: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    return story


def renamed(value: Any, words: Mapping[str, str]) -> Any:
    """Return the value with each of these words, one after the other, replaced in every text."""
    if isinstance(value, dict):
        return {key: renamed(part, words) for key, part in value.items()}
    if isinstance(value, list):
        return [renamed(part, words) for part in value]
    if isinstance(value, str):
        for word, other in words.items():
            value = value.replace(word, other)
    return value


def number(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else str(value)
