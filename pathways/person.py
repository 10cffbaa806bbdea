"""What is about the person and no side: rules of their own, over facts without a side."""

from pathways import standing
from pathways.steps import PERSON
from pathways.turn import Turn


def check(turn: Turn) -> None:
    """Ask the checks of the person, then the person's standing work."""
    for rule in turn.pathway.of_kind("check"):
        if rule.of_person:
            standing.consider(turn, PERSON, rule)
    standing.raise_due(turn, PERSON)
