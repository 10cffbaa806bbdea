"""The events of an evaluation, which other systems may subscribe to.

They are made of its steps, in their order, and written in the same transaction as what they tell of.
"""

from collections.abc import Iterator, Mapping

from fhir_profiles.topics import ORDER_SIGNED, PROPOSAL_MADE, STAGE_ENTERED
from pathways.sheet import Sheet
from pathways.steps import PERSON, Outcome, Step
from service.store.raised_events import Event
from service.subscriptions import labels


def events(sheet: Sheet, outcome: Outcome, versions: Mapping[str, int]) -> list[Event]:
    """Return the events of one pathway's evaluation.

    Args:
        sheet: with everything that was written.
        versions: of what was written, by reference, as it is stored.
    """
    return [
        Event(
            topic=topic,
            patient=sheet.patient,
            type=reference.partition("/")[0],
            id=reference.partition("/")[2],
            version=versions[reference],
            labels=labels.of(sheet.written[reference], sheet.written.get(_plan(sheet, step)), stage=stage),
            at=outcome.at,
        )
        for step in outcome.steps
        for topic, reference, stage in _told(sheet, step)
    ]


def _told(sheet: Sheet, step: Step) -> Iterator[tuple[str, str, str | None]]:
    """Yield the topic of each event of a step, what it is about, and the stage at that moment."""
    stage = step.after.stage
    if step.instance != PERSON and stage is not None and (step.before.stage is None or step.moved):
        yield STAGE_ENTERED, _plan(sheet, step), stage
    for one in step.raised:
        # What a correction raises again is there already.
        if one.activity.resource == "ServiceRequest" and one.reference not in sheet.stored:
            yield PROPOSAL_MADE, one.reference, stage
    for order in step.after.orders:
        before = step.before.order(order.id)
        signed_before = before is not None and before.order is not None
        reference = f"ServiceRequest/{order.order}"
        if order.order is not None and not signed_before and reference not in sheet.stored:
            yield ORDER_SIGNED, reference, stage


def _plan(sheet: Sheet, step: Step) -> str:
    return f"CarePlan/{sheet.derive(step.instance, 'CarePlan')}"
