"""Two nodes on one database and one broker: a hospital posts to both, and one of them dies at work.

A node is killed without a word, as a machine that loses its power. Retries are a hospital's own: what is not
acknowledged by one node is sent to the other, which may mean twice.

SP-01, SP-02, SP-12, SP-13.
"""

import signal
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from nodes import Cluster, two_nodes

from service.stories import answer as answers
from service.stories import collecting, orders, placeholders, story
from service.stories.answer import Answer
from service.stories.collecting import Record
from service.stories.play import patient_of
from service.stories.story import Step, Story

FOLDER = Path(__file__).parents[1] / "stories"

#: senders at the same time; two processors do not profit from more
SENDERS = 6


@pytest.fixture(scope="module")
def running(scratch: Path, new_database_url: Callable[[], str]) -> Iterator[Cluster]:
    with two_nodes(scratch / "scale-out", new_database_url()) as cluster:
        yield cluster


@pytest.fixture
def cluster(running: Cluster) -> Cluster:
    """Both nodes at work, whatever has happened to them, and no patients."""
    for node in running.nodes:
        if not node.processes or any(process.poll() is not None for process in node.processes.values()):
            node.start()
    running.nodes[0].remote.clear()
    running.answered.clear()
    return running


def _told(*, at_least: int) -> list[Story]:
    """Return the stories at the site's defaults that have so many steps."""
    return [told for told in story.folder(FOLDER) if not told.parameters and len(told.steps) >= at_least]


def test_a_node_dies_while_bundles_are_evaluated_as_they_come(cluster: Cluster) -> None:
    stories = _told(at_least=1)[::2]
    cluster.nodes[0].remote.set_clock(stories[0].steps[0].advance_to, held=False)

    with ThreadPoolExecutor(SENDERS) as senders:
        posted = [senders.submit(_post, cluster, told.steps[0].bundle) for told in stories]
        # Early, so that enough is still to be evaluated.
        _wait_for(posted, len(stories) // 6)
        cluster.kill_at_work(cluster.nodes[1])
        for each in posted:
            each.result()
    cluster.wait_until_settled(map(patient_of, stories))

    assert min(cluster.answered[number] for number in (0, 1)) > 0
    assert {told.id: found for told in stories if (found := _first_step(cluster, told))} == {}
    assert cluster.count("SELECT count(*) FROM promise WHERE parked_at IS NOT NULL") == 0


def test_a_node_dies_in_the_middle_of_many_stories_and_comes_back(cluster: Cluster) -> None:
    stories = _told(at_least=5)[::2]
    played = {told.id: _Played(told) for told in stories}
    moments: dict[str, list[tuple[_Played, Step, bool]]] = defaultdict(list)
    for each in played.values():
        for step in each.story.steps:
            moments[step.at].append((each, step, False))
            moments[step.advance_to].append((each, step, True))
    # Where the most is evaluated at once, so that there is a middle of it.
    fatal = max(moments, key=lambda at: sum(evaluates for *_, evaluates in moments[at]))

    with ThreadPoolExecutor(SENDERS) as senders:
        for at, events in sorted(moments.items(), key=_instant):
            cluster.ask(lambda service, at=at: service.set_clock(at))
            for is_evaluation in (False, True):
                wave = [
                    senders.submit(each.evaluate if is_evaluation else each.post, cluster, step)
                    for each, step, evaluates in events
                    if evaluates is is_evaluation
                ]
                if at == fatal and is_evaluation:
                    _wait_for(wave, 2)
                    cluster.kill_at_work(cluster.nodes[1])
                for done in wave:
                    done.result()
            if at == fatal:
                # The machine comes back, and takes part as if nothing had been.
                cluster.answered.clear()
                cluster.nodes[1].start()

    assert min(cluster.answered[number] for number in (0, 1)) > 0
    assert {each.story.id: each.differences for each in played.values() if each.differences} == {}


def test_two_sweeps_wake_the_same_patients_and_each_is_evaluated_once(cluster: Cluster) -> None:
    stories = _told(at_least=1)[1::2]
    cluster.nodes[0].remote.set_clock(stories[0].steps[0].advance_to, held=False)
    for node in cluster.nodes:
        node.signal(signal.SIGSTOP, "worker")
    with ThreadPoolExecutor(SENDERS) as senders:
        for each in [senders.submit(_post, cluster, told.steps[0].bundle) for told in stories]:
            each.result()

    # Every wake-up is lost: only the two sweeps know of the patients now.
    cluster.broker.flushall()
    for node in cluster.nodes:
        node.signal(signal.SIGCONT, "worker")
    cluster.wait_until_settled(map(patient_of, stories))

    assert {told.id: found for told in stories if (found := _first_step(cluster, told))} == {}
    runs = (
        "SELECT count(*) - count(DISTINCT patient) FROM (SELECT DISTINCT patient, run FROM decision) AS each"
    )
    assert cluster.count(runs) == 0


class _Played:
    """A story as far as it has been played, and what differed."""

    def __init__(self, told: Story) -> None:
        self.story = told
        self.record: Record = collecting.NOTHING
        self.differences: list[str] = []
        self._names = orders.names()

    def post(self, cluster: Cluster, step: Step) -> None:
        if step.bundle is not None:
            found = placeholders.wanted(step.bundle)
            meanings = placeholders.meanings(found, self.record, self._names)
            _post(cluster, placeholders.replaced(step.bundle, meanings))

    def evaluate(self, cluster: Cluster, step: Step) -> None:
        patient = patient_of(self.story)
        cluster.ask(lambda service: service.evaluate(f"Patient/{patient}"))
        before = self.record.identities
        self.record = cluster.ask(lambda service: collecting.record(service.search, patient))
        actual = collecting.answer(self.record, before, self._names)
        found = answers.differences(step.expected, actual, forbidden=step.forbidden)
        self.differences += [f"step {step.number}: {line}" for line in found]


def _post(cluster: Cluster, bundle: Any) -> None:
    cluster.ask(lambda service: service.post(bundle))


def _first_step(cluster: Cluster, told: Story) -> tuple[str, ...]:
    """Return how the record after the first Bundle differs from what the story expects."""
    patient, names = patient_of(told), orders.names()
    record = cluster.ask(lambda service: collecting.record(service.search, patient))
    actual: Answer = collecting.answer(record, collecting.NOTHING.identities, names)
    return answers.differences(told.steps[0].expected, actual, forbidden=told.steps[0].forbidden)


def _wait_for(futures: list[Future[None]], count: int) -> None:
    """Wait until so many are done."""
    while sum(each.done() for each in futures) < count:
        time.sleep(0.005)


def _instant(moment: tuple[str, Any]) -> str:
    # All stories are told in UTC, so their texts are in the order of time.
    return moment[0]
