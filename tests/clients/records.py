"""What the clients work with: a Patient of their own each, a practice, and facts in number."""

from typing import Any

from fhir_visits import MRN, bundle, observation, patient, post, practitioner, put

Json = dict[str, Any]

#: more than two pages of PAGE
FACTS = 7
PAGE = 3

#: LOINC's pain severity, by which `observation` is coded
CODE = "http://loinc.org|72514-3"


def person(who: str, **more: Any) -> Json:
    """A Patient by the client's own name, without an id."""
    return patient(mrn=who, name=[{"family": who.title(), "given": ["Ada"]}], birthDate="1960-02-29", **more)


def identified(who: str) -> str:
    """The condition that names the Patient."""
    return f"{MRN}|{who}"


def visit(who: str) -> Json:
    """A transaction: the Patient by a condition, who treats, and facts by PUT."""
    facts = [observation(f"{who}-{n}", f"Patient/{who}", valueInteger=n) for n in range(FACTS)]
    for fact in facts:
        fact["performer"] = [{"reference": f"Practitioner/{who}-dr"}]
    known = {**person(f"{who}-visit"), "id": who}
    return bundle(put(known), put(practitioner(f"{who}-dr")), *map(put, facts))


def both_kinds(who: str) -> Json:
    """A batch of an entry that is accepted and of one that is not."""
    good = post(person(f"{who}-batch"), unless=identified(f"{who}-batch"))
    return {**bundle(good, put({**patient(f"{who}-bad"), "gender": "m"})), "type": "batch"}
