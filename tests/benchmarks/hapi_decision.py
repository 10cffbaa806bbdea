"""One decision: ours whole, and its rules alone, beside `$apply` and `$evaluate` for the same patient.

A patient in conservative therapy, as in `bench_decide`, with so many Observations. HAPI is asked twice about
the same inputs: from what it holds, and with everything in the request. An evaluation of ours is about both
hips and writes what it decided; `$apply` is about one and writes nothing. Each evaluation of ours has one
Observation more to read, a new pain score; HAPI's record stays as it is.

Ratios are the medians of the ratios within a round.
"""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial

import bench_decide
import filling
import hapi_server
import machine
from hapi import answers, applying, questions
from hapi.questions import Question
from hapi_server import Server
from servers import servers

from fhir_profiles import reading
from pathways import catalogue, cql
from pathways.judge import met
from service import log
from service.store import parameters
from service.store.database import Database
from worker import advance

SIZES = (20, 100)
#: HAPI's compiler has seen the calls by then
WARM_UP = 3
AIM_WHOLE, AIM_GUARDS = 20, 100

PATHWAY = catalogue.pathways()[0]
GUARDS = sorted({name for rule in PATHWAY.rules for name in rule.conditions})
APPLY, EVALUATE = f"/PlanDefinition/{PATHWAY.name}/$apply", f"/Library/{PATHWAY.library.name}/$evaluate"

WHOLE, RULES = "hipway, one whole evaluation", "hipway, the guards alone"


def run(server: Server, rounds: int) -> None:
    """Print the times and ratios at each number of Observations."""
    log.configure("bench", level="warning")
    print(
        f"Decisions, {rounds} rounds: {len(PATHWAY.rules)} rules with {len(GUARDS)} conditions; "
        "ms of wall time, one at a time"
    )
    with servers() as running:
        print(machine.describe(running.database_url))
        database = Database(running.database_url)
        with database.transaction() as tx:
            parameters.set_(tx, {"settle.minutes": 0}, "bench", datetime.now(UTC))
        for size in SIZES:
            _at_size(server, database, running.database_url, size, rounds)


def _at_size(server: Server, database: Database, url: str, size: int, rounds: int) -> None:
    patient, moment, observations = bench_decide.in_therapy(database, f"hapi-{size}")
    more = [bench_decide.again(observations, number) for number in range(len(observations), size)]
    bench_decide.add(database, patient, more)
    filling.analyze(url)
    question = _asked(database, patient, moment)
    hold(server, question)
    _assert_the_same(server, question)
    # Written before and not read after: that would be time of ours on HAPI's account.
    asked = {
        "HAPI, $apply": (APPLY, questions.body(question, stored=True)),
        "HAPI, $apply, data in the request": (APPLY, questions.body(question)),
        "HAPI, $evaluate": (EVALUATE, questions.body(question, GUARDS, stored=True)),
        "HAPI, $evaluate, data in the request": (EVALUATE, questions.body(question, GUARDS)),
    }
    bodies = {name: (path, reading.write(body)) for name, (path, body) in asked.items()}
    calls: dict[str, Callable[[], object]] = {
        WHOLE: partial(_evaluate, database, patient),
        RULES: partial(_guards, question.run),
        **{name: partial(server.send, "POST", path, body) for name, (path, body) in bodies.items()},
    }
    times: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds + WARM_UP):
        bench_decide.accept(database, patient, [bench_decide.pain(patient, number, moment)])
        # All take turns, so that what else the machine does hits all alike.
        for name, call in calls.items():
            begun = time.perf_counter()
            call()
            if number >= WARM_UP:
                times[name].append(time.perf_counter() - begun)
    held = len(questions.resources(question)) - 1
    print(f"\n  {size} Observations, of which the rules read {held} inputs; {hapi_server.load()}")
    print(f"  {'':<40}{'median':>9}{'p95':>9}{'request':>10}")
    for name, found in times.items():
        p50, p95 = hapi_server.middle(found)
        size_kb = f"{len(bodies[name][1]) / 1000:.1f} kB" if name in bodies else ""
        print(f"  {name:<40}{p50:>9.2f}{p95:>9.2f}{size_kb:>10}{_ratio(name, times)}")
    print()


def _ratio(name: str, times: Mapping[str, list[float]]) -> str:
    if "HAPI" not in name:
        return ""
    ours, aim = (WHOLE, AIM_WHOLE) if "$apply" in name else (RULES, AIM_GUARDS)
    return "   " + hapi_server.verdict(hapi_server.ratio(times[name], times[ours]), [aim])


def _asked(database: Database, patient: str, moment: datetime) -> Question:
    """Evaluate a patient with a new score, and return what the rules were asked about the hip in therapy."""
    bench_decide.accept(database, patient, [bench_decide.pain(patient, 0, moment)])
    with questions.noted() as runs:
        _evaluate(database, patient)
    found = [questions.of(judge, run, story=patient, step=1) for judge, run in runs]
    return max((question for question in found if question.whole), key=lambda each: len(each.records))


def hold(server: Server, question: Question) -> None:
    """Store the patient and the inputs of a question on HAPI."""
    entries = [
        {"resource": each, "request": {"method": "PUT", "url": f"{each['resourceType']}/{each['id']}"}}
        for each in questions.resources(question)
    ]
    server.post("", {"resourceType": "Bundle", "type": "transaction", "entry": entries})


def _assert_the_same(server: Server, question: Question) -> None:
    """A benchmark of a wrong answer would be worth nothing.

    Raises:
        RuntimeError: the other engine has another answer.
    """
    types = {name: PATHWAY.library.result_type(name) for name in GUARDS}
    ours = {name: answers.ours(question.run[name]) for name in GUARDS}
    rules = {rule.id for rule in PATHWAY.rules if met(question.run, rule)}
    for stored in (False, True):
        told = answers.theirs(server.post(EVALUATE, questions.body(question, GUARDS, stored=stored)), types)
        if differ := sorted(name for name in GUARDS if told.get(name) != ours[name]):
            raise RuntimeError(f"$evaluate has another answer about {', '.join(differ)}")
        applied = applying.applicable(server.post(APPLY, questions.body(question, stored=stored)), PATHWAY)
        if applied != rules:
            raise RuntimeError(f"$apply has another answer about {', '.join(sorted(applied ^ rules))}")


def _evaluate(database: Database, patient: str) -> None:
    if not advance.advance(database, 0, patient):
        raise RuntimeError("there was nothing to evaluate")


def _guards(run: cql.Run) -> None:
    fresh = run.over(cql.Records(run.records.all))
    for name in GUARDS:
        fresh[name]
