"""What another engine's `PlanDefinition/$apply` has found applicable.

https://hl7.org/fhir/R4/plandefinition-operation-apply.html
"""

from collections.abc import Iterable, Iterator

from playing import Json

from pathways.definition import Pathway

#: R4 has no kind for an issue or a flag, which are no requests; this implementation wants one all the same.
NO_KIND = '"org.hl7.fhir.r4.model.ActivityDefinition.getKind()" is null'


def applicable(answer: Json, pathway: Pathway) -> set[str]:
    """Return the ids of the rules of the pathway whose actions are in the CarePlan of the answer."""
    contained = answer["contained"]
    # An error in a condition reads as "not applicable" there; it is told only here.
    issues = [i for each in contained if each["resourceType"] == "OperationOutcome" for i in each["issue"]]
    assert [issue for issue in issues if NO_KIND not in issue["diagnostics"]] == []
    # An order set is a plan of its own, with a group of its own.
    (group,) = (e for e in contained if (e["resourceType"], e["id"]) == ("RequestGroup", pathway.name))
    return set(_ids(group["action"])) & {rule.id for rule in pathway.rules}


def _ids(actions: Iterable[Json]) -> Iterator[str]:
    for action in actions:
        yield action.get("id", "")
        yield from _ids(action.get("action", ()))
