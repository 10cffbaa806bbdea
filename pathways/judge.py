"""Asking the rules: the CQL library, bound to one side of one record at one moment.

The facts are indexed once; each state of an instance is one run with other parameters.
"""

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from pathways import cql
from pathways.definition import Pathway, Rule
from pathways.inputs import Fact
from pathways.memory import Memory, Order
from pathways.reasons import reasons
from pathways.record import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """The order, Task or finding that a rule is asked about; a finding has no kind, state and priority."""

    id: str
    kind: str | None = None
    state: str | None = None
    priority: str | None = None
    made: str
    since: str
    signed: str | None = None
    acknowledged: bool = False
    category: str | None = None

    @classmethod
    def of(cls, order: Order) -> "Item":
        """Return an order as what a rule is asked about."""
        return cls(
            id=order.id,
            kind=order.kind,
            state=order.state,
            priority=order.priority,
            made=order.made,
            since=order.since,
            signed=order.signed,
            acknowledged=order.acknowledged,
        )

    def parameters(self) -> dict[str, Any]:
        """Return the item as the rules' parameters."""
        return {
            "Item Kind": self.kind,
            "Item State": self.state,
            "Item Priority": self.priority,
            "Item Made": self.made,
            "Item Since": self.since,
            "Item Signed": self.signed,
            "Item Acknowledged": self.acknowledged,
            "Item Class": self.category,
        }


def of_site(pathway: Pathway, moment: datetime, site: Mapping[str, Any]) -> cql.Run:
    """Return the run of what is the same for every side, over no records: moment and parameters."""
    known = pathway.library.parameters
    given = {name: value for name, value in site.items() if value is not None and name in known}
    if "Evaluation Instant" in known:
        given["Evaluation Instant"] = moment.isoformat(timespec="milliseconds")
    return pathway.library.at(moment, cql.Records(()), given)


class Judge:
    """The rules over the facts of one side. Times are in the zone of the site."""

    def __init__(
        self,
        pathway: Pathway,
        facts: Sequence[Fact],
        patient: Json,
        *,
        moment: datetime,
        site: Mapping[str, Any],
        other_stage: str | None,
        any_known: bool = True,
        of_site: cql.Run | None = None,
    ) -> None:
        """Bind the rules; `of_site` is what the function of this name returns, to convert it once."""
        self.pathway = pathway
        self.facts = tuple(facts)
        self._moment = moment
        self._patient = patient
        self._site = site
        self._of_site = of_site
        self.others = {"Other Side Stage": other_stage, "Any Side Known": any_known}
        self._runs: dict[str, cql.Run] = {}
        self.asked: dict[tuple[int, Item | None, str | None], tuple[Memory, cql.Run]] = {}

    def beside(self, other_stage: str | None, *, any_known: bool) -> "Judge":
        """Return the same rules over the same facts, with the other side in this stage."""
        judge = copy(self)
        judge.others = {"Other Side Stage": other_stage, "Any Side Known": any_known}
        judge.asked = {}
        return judge

    @cached_property
    def by_version(self) -> dict[str, Fact]:
        """Return the facts by the references to their versions."""
        return {fact.entry.versioned: fact for fact in self.facts}

    @cached_property
    def _fixed(self) -> cql.Run:
        """The run with what is the same whatever is asked; the others only differ from it."""
        records = cql.Records([self._patient, *(fact.canonical for fact in self.facts)])
        return (self._of_site or of_site(self.pathway, self._moment, self._site)).over(records)

    def ask(self, memory: Memory, item: Item | None = None, stage: str | None = None) -> cql.Run:
        """Return a run of the library for what is remembered, and for one item or chosen stage.

        The same question has the same run, which remembers what it has already evaluated.
        """
        question = (id(memory), item, stage)
        if question not in self.asked:
            # The memory is kept with its run, so that no other gets its identity.
            self.asked[question] = memory, self._run(memory, item, stage)
        return self.asked[question][1]

    def _run(self, memory: Memory, item: Item | None, stage: str | None) -> cql.Run:
        given = {
            **self.others,
            "Stage": memory.stage,
            "Stage Before": memory.stage_before,
            "Stage Entered": memory.stage_since,
            "Stay": memory.stay,
            "Opened": memory.opened,
            **memory.values,
            **(item.parameters() if item else {}),
            "Decision Stage": stage,
        }
        known = self.pathway.library.parameters
        present = {name: value for name, value in given.items() if value is not None and name in known}
        # As text, which keeps apart what is equal and yet not the same: 7 and 7.0, or 1 and true.
        values = repr(present)
        if values not in self._runs:
            self._runs[values] = self._fixed.but(present)
        return self._runs[values]


def met(run: cql.Run, rule: Rule) -> bool:
    """Return whether all conditions of the rule are true. Unknown is not true.

    Raises:
        cql.EvaluationFailed: a condition erred; it never reads as "not met".
    """
    return all(run[name] is True for name in rule.conditions)


def explained(judge: Judge, run: cql.Run, names: Sequence[str], *, deepest: int | None = None) -> list[Json]:
    """Return each condition with its result and the tree of why, in words.

    Args:
        deepest: see `reasons`.
    """
    return [
        {
            **reasons(judge.pathway, run.explain(name), judge.by_version, deepest=deepest),
            "name": name,
            "result": _answer(run[name]),
        }
        for name in names
    ]


def _answer(result: object) -> object:
    """Return the answer as the log keeps it; what is not a truth value counts as whether there is any."""
    return result if result is None or isinstance(result, bool) else bool(result)
