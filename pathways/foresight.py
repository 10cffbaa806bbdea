"""What would follow if the record or a value of the site were another: one evaluation made twice.

Nothing is stored. Both are made at the same moment with the same memories, so that what differs comes from
the record or the value and not from time that has passed.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from pathways import cql
from pathways.decide import Case, decide
from pathways.definition import Pathway
from pathways.steps import Outcome, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What would be different for one instance."""

    pathway: Pathway
    #: a side, or empty for the person
    instance: str
    #: stage codes; None: the instance is not open
    now: str | None
    then: str | None
    #: titles of the steps that would be taken besides, and of those that would not be
    taken: tuple[str, ...] = ()
    spared: tuple[str, ...] = ()
    #: titles of the orders, Tasks and messages that these steps would make
    raised: tuple[str, ...] = ()
    #: the CQL definition that would err: no evaluation would be done
    failed: str | None = None


def effects(pathway: Pathway, case: Case, other: Case) -> tuple[Effect, ...]:
    """Return what an evaluation now would do otherwise in another case.

    Args:
        case: as it is.
        other: as it would be, at the same moment and with the same memories.

    Raises:
        cql.EvaluationFailed: a rule errs on the case as it is.
    """
    now = decide(pathway, case)
    try:
        then = decide(pathway, other)
    except cql.EvaluationFailed as fault:
        return (Effect(pathway=pathway, instance="", now=None, then=None, failed=fault.definition),)
    return tuple(_differences(pathway, now, then))


def _differences(pathway: Pathway, now: Outcome, then: Outcome) -> Iterator[Effect]:
    for instance in sorted({*now.memories, *then.memories}):
        before, after = (_steps(outcome, instance) for outcome in (now, then))
        taken, spared = after - before, before - after
        stages = _stage(now, instance), _stage(then, instance)
        if taken or spared or stages[0] != stages[1]:
            yield Effect(
                pathway=pathway,
                instance=instance,
                now=stages[0],
                then=stages[1],
                taken=tuple(title for title, _ in taken.elements()),
                spared=tuple(title for title, _ in spared.elements()),
                raised=tuple(raised for _, each in taken.elements() for raised in each),
            )


def _steps(outcome: Outcome, instance: str) -> Counter[tuple[str, tuple[str, ...]]]:
    """Return the steps of an instance that somebody would see: each with what it raises."""
    seen = (step for step in outcome.steps if step.instance == instance and not step.silent)
    return Counter((step.title, _raised(step)) for step in seen)


def _raised(step: Step) -> tuple[str, ...]:
    return tuple(raised.activity.title for raised in step.raised)


def _stage(outcome: Outcome, instance: str) -> str | None:
    memory = outcome.memories.get(instance)
    return memory.stage if memory else None
