"""A rule that errs holds its patient and says so: it never reads as "does not apply".

Safety SP-03. Each definition that the plan names is made to err in turn, once as the engine says that
it cannot answer and once as a fault of the program; a record is used that asks for it, and one that does not.
"""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import playing
import pytest
import structlog
from sqlalchemy import text

from pathways import catalogue, cql
from pathways.cql.scope import Closure, Compiled
from pathways.decide import Case, decide
from pathways.definition import Pathway
from pathways.standing import EACH
from service import clock, log
from service.app import create_app
from service.fhir import transaction
from service.settings import Settings
from service.store import decisions, promises, resources, standings
from service.store.database import Database
from worker import advance as advancing
from worker.advance import advance

STORIES = sorted((Path(__file__).parents[1] / "stories").glob("V*.json"))
PATHWAY = next(iter(catalogue.pathways()))


def guards() -> list[str]:
    """Return every definition that the plan names: conditions, and what decides about outputs and effects."""
    named: set[str | None] = {PATHWAY.precondition}
    for rule in PATHWAY.rules:
        named |= {*rule.conditions, rule.target_expression, rule.once, rule.next_instant}
        named |= {rule.for_each.removeprefix(EACH)} if rule.for_each and EACH in rule.for_each else set()
        named |= {effect.value for effect in rule.effects}
        for one in rule.outputs:
            named |= {one.when, one.priority, one.qualifiers, one.details, one.due, one.once}
    return sorted(name for name in named if name)


class Asked(dict[str, Compiled]):
    """The compiled definitions, one of which raises, and a list of those that were computed."""

    def __init__(self, compiled: Mapping[str, Compiled], erring: str | None, fault: Exception | None):
        super().__init__(compiled)
        self.names: set[str] = set()
        if erring is not None:
            assert fault is not None
            self[erring] = copy.copy(compiled[erring])
            self[erring].closure = raising(fault)

    def __getitem__(self, name: str) -> Compiled:
        self.names.add(name)
        return super().__getitem__(name)


def raising(fault: Exception) -> Closure:
    def closure(_run, _slots):
        raise fault

    return closure


class Watched(cql.Library):
    """The library, with one definition that raises, and a list of those that were computed."""

    def __init__(self, library: cql.Library, erring: str | None = None, fault: Exception | None = None):
        self.__dict__ |= copy.copy(library).__dict__
        self.compiled = Asked(library.compiled, erring, fault)

    @property
    def asked(self) -> set[str]:
        return self.compiled.names


def with_error(erring: str | None = None, fault: Exception | None = None) -> Pathway:
    return replace(PATHWAY, library=Watched(PATHWAY.library, erring, fault))


def faults(guard: str) -> list[Exception]:
    return [cql.EvaluationFailed(guard, "a rule erred"), NotImplementedError("a fault of the program")]


class Unheard(Exception):
    """An error of a kind that nobody has thought of."""


@cache
def cases() -> tuple[tuple[Case, frozenset[str]], ...]:
    """Return what the stories ask the machine, each with the definitions that it computes for it."""
    found: list[tuple[Case, frozenset[str]]] = []

    def kept(_pathway: Pathway, case: Case):
        watched = with_error()
        # The memories of a story change as it goes on; those of the case may not.
        case = replace(case, memories=dict(case.memories))
        outcome = decide(watched, case)
        found.append((case, frozenset(watched.library.asked)))
        return outcome

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(playing, "decide", kept)
        for path in STORIES:
            playing.play(playing.read(path))
    return tuple(found)


@pytest.mark.parametrize("guard", guards())
def test_a_guard_that_is_asked_and_errs_ends_the_evaluation_whatever_the_error(guard):
    asking = next((case for case, asked in cases() if guard in asked), None)
    assert asking is not None, "no story asks this guard, so nothing is known of it"

    for fault in faults(guard):
        with pytest.raises(cql.EvaluationFailed) as failure:
            decide(with_error(guard, fault), asking)
        assert failure.value.definition == guard
    with pytest.raises(Unheard):
        decide(with_error(guard, Unheard()), asking)


@pytest.mark.parametrize("guard", guards())
def test_a_guard_that_is_not_asked_changes_nothing_when_it_would_err(guard):
    silent = next((case for case, asked in cases() if guard not in asked), None)
    if silent is None:
        # Asked in every story there is: then no outcome is independent of it.
        assert all(guard in asked for _, asked in cases())
        return

    for fault in faults(guard):
        assert decide(with_error(guard, fault), silent) == decide(PATHWAY, silent)


# The whole way: a visit is stored, its evaluation fails, people see it, the rule is mended.

STORY = playing.read(Path(__file__).parents[1] / "stories" / "V09.json")
NOW = datetime(2026, 1, 5, 9, 15, tzinfo=UTC)
PATIENT = "gmt-v09"


@pytest.fixture(autouse=True)
def _logged_as_in_production() -> Iterator[None]:
    log.configure("test")
    yield
    structlog.reset_defaults()


@pytest.fixture(autouse=True)
def _empty(database: Database) -> Iterator[None]:
    with database.transaction() as tx:
        tx.execute(text("TRUNCATE arrival, promise, decision, history, resource CASCADE"))
        clock.set_(tx, NOW, held=False)
    yield
    with database.transaction() as tx:
        clock.unset(tx)


def post(database: Database, bundle) -> None:
    transaction.accept(database, bundle, sender="hospital")


def attempts(database: Database) -> int:
    """Try until nobody would try again, and return how often the work was begun."""
    begun = 0
    for _ in range(10):
        with database.transaction() as tx:
            tx.execute(text("UPDATE promise SET retry_at = NULL"))
            due = promises.due(tx, NOW, 10)
        begun += len(due)
        for _ in due:
            assert not advance(database, 0, PATIENT)
    return begun


def standing(database: Database) -> standings.Standing:
    with database.transaction() as tx:
        found = standings.of_patient(tx, PATIENT, tenant=0)
    assert found is not None
    return found


def parked(database: Database) -> list[str]:
    with database.transaction() as tx:
        return [each.patient for each in standings.parked(tx, tenant=0)]


def written(database: Database) -> list[str]:
    """Return what the engine has stored, and its log."""
    kinds = ("CarePlan", "ServiceRequest", "Task", "CommunicationRequest", "DetectedIssue", "Provenance")
    with database.transaction() as tx:
        own = resources.of_patient(tx, PATIENT, tenant=0, types=kinds, owned=True)
        log = [
            f"{row.instance} {row.rule}"
            for row in reversed(
                decisions.of_instance(tx, PATIENT, PATHWAY.name, "right", tenant=0),
            )
        ]
    return sorted(stored.reference for stored in own) + log


#: the conditions of the rules that this visit fires
FIRED = [
    name
    for rule in PATHWAY.rules
    if rule.kind in {"opening", "transition"}
    for name in rule.conditions
    if rule.code in {"open-hip", "T05"}
]


@pytest.mark.parametrize("guard", FIRED)
@pytest.mark.parametrize("unexpected", [False, True], ids=["no answer", "a fault"])
def test_an_erring_guard_stores_nothing_is_shown_and_goes_on_once_mended(
    database, database_url, broker_url, monkeypatch, guard, unexpected
):
    client = create_app(Settings(database_url=database_url, broker_url=broker_url), database).test_client()
    broken = with_error(guard, faults(guard)[unexpected])
    monkeypatch.setattr(advancing.catalogue, "pathways", lambda: (broken,))
    post(database, STORY["steps"][0]["bundle"])

    # Three attempts, and nothing is stored by any of them.
    assert attempts(database) == 3
    assert written(database) == []
    # The reason names the guard, and people and alarms see it.
    assert f"EvaluationFailed: {guard}: " in (standing(database).failed_reason or "")
    assert parked(database) == [PATIENT]
    assert "hipway_promises_parked 1.0" in client.get("/metrics").text
    assert "1 patient is not evaluated." in client.get("/").text
    # Mended, it does not go on by itself: somebody has to look, or new data to come.
    monkeypatch.undo()
    assert attempts(database) == 0
    later = NOW + timedelta(hours=1)
    with database.transaction() as tx:
        clock.set_(tx, later, held=False)
    finding = next(
        item["resource"]
        for item in STORY["steps"][0]["bundle"]["entry"]
        if item["resource"]["resourceType"] == "Observation"
    )
    again = {**finding, "note": [{"text": "seen again"}]}
    entry = {"resource": again, "request": {"method": "PUT", "url": f"Observation/{again['id']}"}}
    post(database, {"resourceType": "Bundle", "type": "transaction", "entry": [entry]})
    assert advance(database, 0, PATIENT)
    # It is what it would have been without the fault.
    assert [line for line in written(database) if line.startswith("right ")] == [
        "right open-hip",
        "right T05",
    ]
    assert parked(database) == []
    assert "hipway_promises_parked 0.0" in client.get("/metrics").text
