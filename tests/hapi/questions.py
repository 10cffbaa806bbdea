"""What the rules are asked while stories are played, and how another engine is asked the same.

Both engines read one thing only: the accepted, translated inputs of one instance, the instant, and the
parameters of the site and of what is remembered (`pathways.judge`). Nothing is stored for it: the patient and
the inputs travel in the request.

https://hl7.org/fhir/uv/cql/OperationDefinition-cql-library-evaluate.html
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any

import pytest
from playing import Json, Play, lived

from pathways import cql
from pathways.judge import Judge

#: of a question about one order, Task or decision: the plan as a whole is asked without
OF_ONE = frozenset({"Item Kind", "Item Class", "Decision Stage"})

DEFINITION = "http://hl7.org/fhir/uv/cpg/StructureDefinition/cpg-parameterDefinition"


@dataclass(frozen=True)
class Question:
    """One run of the rules: where it came from, and everything it depends on."""

    story: str
    step: int
    records: tuple[Json, ...]
    run: cql.Run

    @cached_property
    def facts(self) -> str:
        """Return the moment and what is in the record, as text."""
        return json.dumps([self.run.moment.python(), self.records], sort_keys=True, default=str)

    @property
    def key(self) -> str:
        """Return what the answers depend on, as text."""
        given = sorted((name, repr(value)) for name, value in self.run.parameters.items())
        return f"{self.facts} {given}"

    def circumstances(self, name: str) -> str:
        """Return what the answer of one definition depends on: the facts, and the parameters it reads."""
        library = self.run.library
        needs = library.needs[library.needed[name]]
        return f"{name} {self.facts} {[repr(self.run.parameter(need)) for need in needs]}"

    @property
    def whole(self) -> bool:
        """Return whether the plan as a whole can be asked with it."""
        return not OF_ONE & self.run.parameters.keys()

    @property
    def patient(self) -> str:
        """Return the id of whom it is about."""
        return str(self.records[0]["id"])


def asked(stories: Iterable[Json]) -> dict[str, Question]:
    """Play the stories and return every question that was asked, each once."""
    found: dict[str, Question] = {}
    for story in stories:
        with noted() as runs:
            for number, _ in enumerate(lived(story, Play()), 1):
                for judge, run in runs:
                    question = of(judge, run, story=str(story["id"]), step=number)
                    found.setdefault(question.key, question)
                runs.clear()
    return found


def new(
    questions: Iterable[Question], names: Iterable[str], *, whole: int
) -> Iterator[tuple[Question, list[str]]]:
    """Yield each question with the definitions that no earlier one has asked under the same circumstances.

    Args:
        whole: each question whose place is a multiple is asked about everything, whatever was asked before:
            what a definition depends on is our own engine's opinion.
    """
    names, seen = tuple(names), set[str]()
    for place, question in enumerate(questions):
        fresh = [name for name in names if question.circumstances(name) not in seen]
        seen |= {question.circumstances(name) for name in fresh}
        if place % whole == 0:
            fresh = list(names)
        if fresh:
            yield question, fresh


def of(judge: Judge, run: cql.Run, *, story: str, step: int) -> Question:
    """Return what a judge was asked in a run, with where it came from."""
    return Question(story, step, (judge._patient, *(fact.canonical for fact in judge.facts)), run)


@contextmanager
def noted() -> Iterator[list[tuple[Judge, cql.Run]]]:
    """Note every run that a judge makes, which it does as ever."""
    runs: list[tuple[Judge, cql.Run]] = []
    make = Judge._run

    def noting(judge: Judge, *question: Any) -> cql.Run:
        run = make(judge, *question)
        runs.append((judge, run))
        return run

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Judge, "_run", noting)
        yield runs


def body(question: Question, names: Iterable[str] = (), *, stored: bool = False) -> Json:
    """Return the Parameters that ask `Library/$evaluate` for these definitions, or `PlanDefinition/$apply`.

    Args:
        question: what is asked about.
        names: the definitions; `$apply` has none.
        stored: the other engine holds the patient and the inputs; otherwise they travel in the request.
    """
    travelling = [
        {"name": "useServerData", "valueBoolean": False},
        {"name": "data", "resource": data(question)},
    ]
    return {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "subject", "valueString": f"Patient/{question.patient}"},
            *({"name": "expression", "valueString": name} for name in names),
            {"name": "parameters", "resource": given(question.run)},
            *(() if stored else travelling),
        ],
    }


def data(question: Question) -> Json:
    """Return what the rules may read, as a Bundle.

    Ours reads the records of one patient; another engine finds them by their subject.
    """
    entries = [{"resource": resource} for resource in resources(question)]
    return {"resourceType": "Bundle", "type": "collection", "entry": entries}


def resources(question: Question) -> list[Json]:
    """Return the patient and the inputs, each with its subject."""
    patient, *inputs = question.records
    subject = {"subject": {"reference": f"Patient/{question.patient}"}}
    return [patient, *({**each, **subject} for each in inputs)]


def given(run: cql.Run) -> Json:
    """Return the parameters of a run as a Parameters resource."""
    parameters = [each for name, value in run.parameters.items() for each in _given(name, value)]
    return {"resourceType": "Parameters", "parameter": parameters}


def _given(name: str, value: Any) -> Iterator[Json]:
    match value:
        case bool():
            yield {"name": name, "valueBoolean": value}
        case int():
            yield {"name": name, "valueInteger": value}
        case Decimal():
            yield {"name": name, "valueDecimal": value}
        case str():
            # FHIR has no empty string; a parameter without a value would be something else.
            assert value, name
            yield {"name": name, "valueString": value}
        case cql.DateTime():
            yield {"name": name, "valueDateTime": value.python().isoformat(timespec="milliseconds")}
        case cql.Date():
            yield {"name": name, "valueDate": "{:04}-{:02}-{:02}".format(*value.fields)}
        case list():
            # Without it a list of one is read as the one.
            listed = {"name": name, "use": "in", "min": 0, "max": "*", "type": "string"}
            for each in value:
                (item,) = _given(name, each)
                yield {**item, "extension": [{"url": DEFINITION, "valueParameterDefinition": listed}]}
        case _:
            raise TypeError(f"{name}: {type(value).__name__}")
