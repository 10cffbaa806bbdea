"""The working state of one evaluation: memories as they change, and the steps taken so far."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

from pathways import cql, effects, identity
from pathways.definition import Pathway, Rule
from pathways.effects import Context
from pathways.inputs import Fact, Inputs
from pathways.judge import Item, Judge, explained, of_site
from pathways.memory import Memory
from pathways.raising import Origin, raise_outputs
from pathways.record import Json
from pathways.steps import PERSON, Decision, Outcome, Raised, Step

if TYPE_CHECKING:
    from pathways.decide import Case


_NOTHING = Memory()


class Turn:
    """Everything an evaluation changes, in one place. Made for one call of `decide`."""

    def __init__(self, *, pathway: Pathway, case: "Case", now: datetime, inputs: Inputs) -> None:
        self.pathway = pathway
        self.case = case
        self.now = now
        self.inputs = inputs
        self.memories = dict(case.memories)
        self.steps: list[Step] = []
        self.next_due: datetime | None = None
        self._judges: dict[tuple[str, str | None, bool], Judge] = {}
        # By instance, as long as no memory changes.
        self._judging: dict[str, Judge] = {}
        self.signing = frozenset(
            a.signing_task for a in pathway.activities.values() if a.signing_task is not None
        )

    def memory(self, instance: str) -> Memory:
        """Return what is remembered of the instance now; an empty memory where nothing is."""
        return self.memories.get(instance, _NOTHING)

    def known(self, instance: str) -> bool:
        """Return whether the instance has been opened."""
        return self.memory(instance).stage is not None

    def running(self, instance: str) -> bool:
        """Return whether rules apply to the instance: it is known and was not closed for good."""
        return self.known(instance) and not self.memory(instance).closed

    def facts(self, instance: str) -> tuple[Fact, ...]:
        """Return the facts that count for the instance."""
        return self.inputs.of(instance, until=self.now)

    def other_stage(self, instance: str) -> str | None:
        """Return the stage of the instance beside this one; None where there is none."""
        other = next((s for s in self.pathway.instances if s != instance), PERSON)
        return self.memory(other).stage

    def judge(self, instance: str) -> Judge:
        """Return the rules over the facts of the instance."""
        judge = self._judging.get(instance)
        if judge is None:
            judge = self._judging[instance] = self._judge(instance)
        return judge

    def _judge(self, instance: str) -> Judge:
        other_stage = self.other_stage(instance)
        any_known = any(self.known(side) for side in self.pathway.instances)
        key = (instance, other_stage, any_known)
        if key not in self._judges:
            asked = next((judge for (of, *_), judge in self._judges.items() if of == instance), None)
            self._judges[key] = (
                asked.beside(other_stage, any_known=any_known)
                if asked
                else Judge(
                    self.pathway,
                    self.facts(instance),
                    self.case.record.patient.body,
                    moment=self.now,
                    site=self.case.site,
                    other_stage=other_stage,
                    any_known=any_known,
                    of_site=self._of_site,
                )
            )
        return self._judges[key]

    @cached_property
    def _of_site(self) -> cql.Run:
        return of_site(self.pathway, self.now, self.case.site)

    def ask(self, instance: str, item: Item | None = None, stage: str | None = None) -> cql.Run:
        """Return the rules, asked about the instance as it is now."""
        return self.judge(instance).ask(self.memory(instance), item, stage)

    def plan_id(self, instance: str) -> str:
        """Return the id of the instance's CarePlan."""
        return identity.derive(
            self.case.tenant, self.case.record.patient.id, self.pathway.name, instance, "CarePlan"
        )

    def origin(self, instance: str, item: str | None = None) -> Origin:
        """Return where the outputs of the next step of the instance come from."""
        return Origin(
            pathway=self.pathway,
            tenant=self.case.tenant,
            patient=self.case.record.patient.id,
            instance=instance,
            step=self.memory(instance).steps + 1,
            now=self.now,
            plan=f"CarePlan/{self.plan_id(instance)}" if instance != PERSON else None,
            item=item,
        )

    def fire(
        self,
        rule: Rule,
        instance: str,
        run: cql.Run,
        *,
        item: str | None = None,
        decision: Decision | None = None,
        event: str | None = None,
        spoken: Sequence[str] = (),
        silent: bool = False,
    ) -> Step | None:
        """Apply a rule to an instance: target, effects, outputs. Returns None when it changes nothing.

        `spoken` are the keys under which standing work is remembered as raised.
        """
        before = self.memory(instance)
        known = tuple(sorted({f.entry.id for f in self.inputs.facts}))
        context = Context(now=self.now, decision=decision, known=known)
        after = replace(before, steps=before.steps + 1)
        for effect in rule.effects:
            after = effects.apply(effect, after, run, context)
        target = rule.target or (str(run[rule.target_expression]) if rule.target_expression else None)
        if target is not None and not (rule.kind == "transition" and target == before.stage):
            after = effects.enter(after, target, pathway=self.pathway, now=self.now)
        if target is not None and rule.kind != "opening":
            after = replace(after, path=(*after.path, after.steps))
        origin = self.origin(instance, item)
        later = self.judge(instance).ask(after)
        after, raised = raise_outputs(rule.outputs, after, origin, before=run, after=later)
        if not raised and decision is None and replace(after, steps=before.steps) == before:
            return None
        after = replace(after, raised=(*after.raised, *spoken))
        return self.take(
            instance,
            rule.code,
            rule.title,
            after,
            action=rule.id,
            conditions=explained(self.judge(instance), run, rule.conditions),
            raised=raised,
            goals=rule.goals,
            decision=decision,
            event=event,
            silent=silent,
        )

    def take(
        self,
        instance: str,
        rule: str,
        title: str,
        after: Memory,
        *,
        action: str | None = None,
        conditions: Sequence[Json] = (),
        raised: tuple[Raised, ...] = (),
        goals: tuple[str, ...] = (),
        facts: tuple[Fact, ...] | None = None,
        decision: Decision | None = None,
        event: str | None = None,
        silent: bool = False,
    ) -> Step:
        """Record a step: the memory after it becomes the memory of the instance."""
        before = self.memory(instance)
        after = effects.settle_tasks(replace(after, steps=before.steps + 1), signing=self.signing)
        step = Step(
            instance=instance,
            number=after.steps,
            rule=rule,
            action=action,
            title=title,
            before=before,
            after=after,
            facts=self.facts(instance) if facts is None else facts,
            conditions=tuple(conditions),
            raised=raised,
            goals=goals,
            event=event,
            decision=decision,
            silent=silent,
        )
        self.memories[instance] = after
        self._judging.clear()
        self.steps.append(step)
        return step

    def category(self, name: str) -> str | None:
        """Return the class that the input table gives an input."""
        return next((i.get("class") for i in self.pathway.inputs["inputs"] if i["id"] == name), None)

    def finding(self, id: str, category: str | None) -> Item:
        """Return a finding as something a rule may be asked about."""
        now = self.now.isoformat()
        return Item(id=id, made=now, since=now, category=category)

    def look_again(self, moment: datetime) -> None:
        """Remember that the patient must be looked at again at this moment, if it is still to come."""
        if moment > self.now and (self.next_due is None or moment < self.next_due):
            self.next_due = moment

    def outcome(self) -> Outcome:
        """Return what was decided."""
        return Outcome(
            at=self.now,
            steps=tuple(self.steps),
            memories=self.memories,
            next_due=self.next_due,
        )
