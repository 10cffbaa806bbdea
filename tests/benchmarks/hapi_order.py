"""From one Observation to the order that it leads to, one at a time.

Ours is an installation as in `bench_latency`: sent to `hipway web`, evaluated by a worker, until the order is
committed. On the other side HAPI stores the Observation, a rest-hook Subscription tells a listener
(`hapi_hook`), that asks HAPI for the plan and stores a ServiceRequest there, until HAPI has answered. The
same patient, the same Observation (weakness two grades worse), the same rule; HAPI gets the
inputs as the rules read them, translated.

HAPI looks for what to tell at an interval. Each Observation is sent at another moment of it, evenly spread:
sent one after another, all would wait for nearly the whole of it.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import bench_latency
import hapi_decision
import hapi_hook
import hapi_server
import therapy
from hapi import answers, applying, questions
from hapi.questions import Question
from hapi_server import Server
from playing import Json, Play

from fhir_profiles import reading
from pathways.judge import met

#: one every half second: each is done long before the next
RATE = 2
WORKERS = 2
#: the first asks compile the rules
WARM_UP = 3
AIM_DEFAULTS, AIM_BEST = 30, 3

PATHWAY = hapi_decision.PATHWAY
#: the transition that the Observation leads to, and what it depends on
RULE = next(rule for rule in PATHWAY.rules if rule.id == "T04")
STAGE = "conservative-therapy"
#: stands in what HAPI is sent where the number of a patient goes
NUMBER = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way from an Observation to an order on HAPI, in seconds."""

    #: until HAPI has stored the Observation
    stored: float
    #: until the hook was called
    told: float
    #: until the plan was asked and an order stored
    order: float


def hipway(count: int) -> list[float]:
    """Return the seconds from sending each Observation to the commit of its order."""
    with bench_latency.running(WORKERS) as bench:
        return bench_latency.at_rate(bench, RATE, count).orders


def by_apply(server: Server, count: int) -> list[Way]:
    """Return the ways on which HAPI is asked for the plan as a whole."""
    return _ways(server, count, lambda asked: _applied(server, asked))


def by_evaluate(server: Server, count: int) -> list[Way]:
    """Return the ways on which HAPI is asked for all conditions of the plan at once, in the quickest way.

    It reads what it holds slowly, one definition after another; what a search has found is sent along.
    """
    return _ways(server, count, lambda asked: _evaluated(server, asked))


def show(ours: list[float], apply: list[Way], evaluate: list[Way]) -> None:
    """Print the times of all ways, and ratios of the medians: nobody takes turns here."""
    middle, high = hapi_server.middle(ours)
    size = len(therapy.weaker(NUMBER, datetime.now(UTC)))
    print(
        f"Observation to order stored, one at a time, {len(ours)} of each; ms. One Observation of a patient "
        f"who has seven, for ours in a Bundle of {size / 1000:.1f} kB"
    )
    print(f"  {'':<68}{'median':>9}{'p95':>9}")
    print(f"  {f'hipway: web, {WORKERS} worker processes, sweep, Valkey':<68}{middle:>9.1f}{high:>9.1f}")
    for ask, ways, interval_ms, aim in (
        ("$apply", apply, hapi_server.DEFAULT_INTERVAL_MS, AIM_DEFAULTS),
        ("search and one $evaluate", evaluate, hapi_server.BEST_INTERVAL_MS, AIM_BEST),
    ):
        p50, p95 = hapi_server.middle([way.order for way in ways])
        name = f"HAPI: hook looked for every {interval_ms} ms, {ask}, order"
        print(f"  {name:<68}{p50:>9.1f}{p95:>9.1f}   {hapi_server.verdict(p50 / middle, [aim])}")
        parts = {
            "Observation stored": [way.stored for way in ways],
            "hook called": [way.told - way.stored for way in ways],
            "plan asked, order stored": [way.order - way.told for way in ways],
        }
        for part, times in parts.items():
            print("    {:<66}{:>9.1f}{:>9.1f}".format(part, *hapi_server.middle(times)))


def _ways(server: Server, count: int, ask: Callable[[Question], bool]) -> list[Way]:
    question, observation = _question()
    if not met(question.run, RULE):
        raise RuntimeError(f"{RULE.id} is not what the Observation leads to")
    asked = [_of(question, number) for number in range(1, count + WARM_UP + 1)]
    for each in asked:
        hapi_decision.hold(server, _without(each, _own(observation, each.patient)))
    if ask(asked[0]):
        raise RuntimeError(f"HAPI finds that {RULE.id} applies without the Observation")
    coding = next(each for each in question.records if each["id"] == observation)["code"]["coding"][0]
    found = []
    with hapi_hook.subscribed(server, f"Observation?code={coding['system']}|{coding['code']}") as listener:
        for place, each in enumerate(asked):
            phase = max(0, place - WARM_UP) / count
            time.sleep(phase * server.interval_ms / 1000)
            found.append(_way(server, listener, each, _own(observation, each.patient), ask))
    return found[WARM_UP:]


def _way(
    server: Server,
    listener: hapi_hook.Listener,
    question: Question,
    observation: str,
    ask: Callable[[Question], bool],
) -> Way:
    (sent,) = (each for each in questions.resources(question) if each["id"] == observation)
    begun = time.perf_counter()
    server.put(f"/Observation/{observation}", sent)
    stored = time.perf_counter() - begun
    listener.until_told(observation)
    told = time.perf_counter() - begun
    if not ask(question):
        raise RuntimeError(f"HAPI does not find that {RULE.id} applies")
    hapi_hook.order(server, question.patient, observation)
    return Way(stored=stored, told=told, order=time.perf_counter() - begun)


def _applied(server: Server, question: Question) -> bool:
    answer = server.post(hapi_decision.APPLY, questions.body(question, stored=True))
    return RULE.id in applying.applicable(answer, PATHWAY)


def _evaluated(server: Server, question: Question) -> bool:
    found = server.get(f"/Observation?patient={question.patient}&_count=500")
    records = (question.records[0], *(entry["resource"] for entry in found["entry"]))
    asked = questions.body(replace(question, records=records), hapi_decision.GUARDS)
    types = {name: PATHWAY.library.result_type(name) for name in hapi_decision.GUARDS}
    told = answers.theirs(server.post(hapi_decision.EVALUATE, asked), types)
    return all(told[name] is True for name in RULE.conditions)


def _question() -> tuple[Question, str]:
    """Return what our rules are asked when the Observation is there, and the id of the Observation."""
    now = datetime.now(UTC)
    game = Play()
    game.receive(_bundle(therapy.prepared(NUMBER, now)), now - timedelta(minutes=2))
    game.evaluate(now - timedelta(minutes=2))
    weaker = _bundle(therapy.weaker(NUMBER, now))
    game.receive(weaker, now - timedelta(minutes=1))
    with questions.noted() as runs:
        game.evaluate(now - timedelta(minutes=1))
    found = (questions.of(judge, run, story="V72", step=4) for judge, run in runs)
    question = next(each for each in found if each.whole and each.run.parameters.get("Stage") == STAGE)
    (observation,) = _ids(weaker)
    return question, observation


def _of(question: Question, number: int) -> Question:
    """Return the same question about another patient."""
    text = reading.write(question.records).decode()
    text = text.replace(therapy.patient(NUMBER), therapy.patient(number))
    text = text.replace(f"n{NUMBER:06}", f"n{number:06}")
    records = tuple(json.loads(text, parse_float=Decimal))
    return replace(question, records=records)


def _without(question: Question, observation: str) -> Question:
    kept = tuple(each for each in question.records if each["id"] != observation)
    return replace(question, records=kept)


def _own(observation: str, patient: str) -> str:
    """Return the id of the Observation of another patient."""
    return observation.replace(f"n{NUMBER:06}", "n" + patient.rpartition("-")[2])


def _bundle(text: bytes) -> Json:
    bundle: Json = json.loads(text, parse_float=Decimal)
    return bundle


def _ids(bundle: Json) -> Iterator[str]:
    for entry in bundle["entry"]:
        if entry["resource"]["resourceType"] == "Observation":
            yield entry["resource"]["id"]
