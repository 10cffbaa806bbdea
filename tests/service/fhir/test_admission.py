"""Slots, turns and refusals, without threads: the moment is an argument. Safety SP-06."""

import dataclasses
import threading

import pytest
from fhir_visits import visit
from flask import Request
from prometheus_client import CollectorRegistry, generate_latest

from fhir_profiles import reading
from service.app import create_app
from service.fhir import admission
from service.fhir.admission import Admission, State, Throttled


class Moment:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.s = 1000.0

    def __call__(self) -> float:
        return self.s


@pytest.fixture
def moment():
    return Moment()


@pytest.fixture
def make(moment):
    def make(*, slots: int = 1, queue: int = 8) -> Admission:
        return Admission(slots=slots, queue=queue, now=moment)

    return make


def ask(intake: Admission, senders: str) -> list[admission.Turn]:
    """One request per letter, in their order."""
    return [intake.ask(sender) for sender in senders]


def states(turns: list[admission.Turn]) -> str:
    """The first letter of each state: s(toring), w(aiting), r(efused), l(eft)."""
    return "".join(turn.state.value[0] for turn in turns)


def order(intake: Admission, turns: list[admission.Turn]) -> str:
    """Let everybody store, one after the other, and return the senders in the order they did."""
    served = ""
    for _ in turns:
        storing = next(turn for turn in turns if turn.state is State.STORING)
        served += storing.sender
        intake.leave(storing)
    return served


def metrics(intake: Admission) -> str:
    registry = CollectorRegistry()
    registry.register(intake)
    return generate_latest(registry).decode()


def test_as_many_store_at_once_as_there_are_slots_and_the_rest_waits(make):
    assert states(ask(make(slots=3), "aabbc")) == "sssww"


def test_a_slot_that_is_left_goes_to_who_waits(make):
    intake = make()
    first, second = ask(intake, "ab")

    intake.leave(first)

    assert second.state is State.STORING
    assert second.settled.is_set()


def test_a_slot_that_nobody_waits_for_is_free_again(make):
    intake = make()
    (first,) = ask(intake, "a")
    intake.leave(first)

    assert intake.ask("b").state is State.STORING


@pytest.mark.parametrize(
    ("arriving", "served"),
    [
        pytest.param("aaa", "aaa", id="one sender is served in its order"),
        pytest.param("aaaaab", "aabaaa", id="one that comes last is next but one"),
        pytest.param("aaaabbc", "aabcaba", id="each that waits has its turn"),
        pytest.param("abcabcabc", "abcabcabc", id="equals take turns"),
    ],
)
def test_senders_that_wait_take_turns(arriving, served, make):
    intake = make()

    assert order(intake, ask(intake, arriving)) == served


def test_a_sender_with_one_request_at_a_time_waits_for_one_turn_of_each_other(make):
    intake = make()
    flood = ask(intake, "aaaaaa")
    for _ in range(4):
        modest = intake.ask("b")
        for _ in range(2):
            if modest.state is State.WAITING:
                intake.leave(next(turn for turn in flood if turn.state is State.STORING))
                flood += ask(intake, "a")

        assert modest.state is State.STORING
        intake.leave(modest)


def test_a_full_queue_sends_the_newest_of_the_sender_with_the_most_away(make):
    intake = make(queue=4)
    turns = ask(intake, "aaaba")
    assert states(turns) == "swwww"

    newcomer = intake.ask("b")

    assert states(turns) == "swwwr"
    assert newcomer.state is State.WAITING


def test_a_full_queue_sends_the_newcomer_of_the_sender_with_the_most_away(make):
    intake = make(queue=4)

    assert states(ask(intake, "aaabaa")) == "swwwwr"


@pytest.mark.parametrize(
    "arriving",
    [
        pytest.param("aaabbb", id="it would have as many as the other"),
        pytest.param("aabcde", id="everybody waits with one"),
    ],
)
def test_on_a_tie_the_newcomer_goes(arriving, make):
    intake = make(queue=4)

    assert states(ask(intake, arriving)) == "swwwwr"


def test_a_flood_is_never_a_reason_to_refuse_a_sender_with_one_request(make):
    intake = make(slots=2, queue=8)
    flood = ask(intake, "a" * 40)

    modest = ask(intake, "bcdefg")

    assert states(modest) == "wwwwww"
    assert states(flood).count("r") == 40 - 2 - 2


def test_without_a_queue_nobody_waits(make):
    assert states(ask(make(queue=0), "ab")) == "sr"


def test_who_has_waited_too_long_is_refused_and_waits_no_more(make):
    intake = make()
    first, second, third = ask(intake, "abb")

    intake.stop_waiting(second)
    intake.leave(first)

    assert states([first, second, third]) == "lrs"


def test_a_slot_given_at_the_last_moment_is_kept(make):
    intake = make()
    first, second = ask(intake, "ab")
    intake.leave(first)

    intake.stop_waiting(second)

    assert second.state is State.STORING


def test_a_request_that_ends_while_it_waits_takes_no_slot_with_it(make):
    intake = make()
    first, second, third = ask(intake, "abc")

    intake.leave(second)
    intake.leave(first)

    assert third.state is State.STORING


def test_leaving_twice_frees_one_slot(make):
    intake = make()
    first, *others = ask(intake, "abc")

    intake.leave(first)
    intake.leave(first)

    assert states(others) == "sw"


@pytest.mark.parametrize(
    ("took_s", "slots", "retry_after_s"),
    [
        pytest.param(0.02, 1, 1, id="never less than a second"),
        pytest.param(2, 1, 10, id="those before it, one by one"),
        pytest.param(2, 4, 3, id="those before it, by fours, rounded up"),
        pytest.param(600, 1, 60, id="never more than a minute"),
    ],
)
def test_who_is_refused_is_told_when_those_before_it_will_have_stored(
    took_s, slots, retry_after_s, make, moment
):
    intake = make(slots=slots, queue=4)
    early = ask(intake, "a" * slots)
    moment.s += took_s
    for turn in early:
        intake.leave(turn)

    refused = ask(intake, "a" * slots + "aaaaa")[-1]

    assert refused.state is State.REFUSED
    assert refused.retry_after_s == retry_after_s


def test_a_pause_does_not_make_the_store_look_slow(make, moment):
    intake = make(queue=0)
    (turn,) = ask(intake, "a")
    moment.s += 0.1
    intake.leave(turn)
    moment.s += 3600

    _, refused = ask(intake, "aa")

    assert refused.retry_after_s == 1


def test_before_anything_was_stored_a_second_is_told(make):
    _, refused = ask(make(queue=0), "ab")

    assert refused.retry_after_s == 1


def test_metrics_tell_how_many_wait_and_were_refused(make):
    intake = make(queue=2)
    ask(intake, "abcd")

    text = metrics(intake)

    assert "hipway_intake_waiting 2.0" in text
    assert "hipway_intake_refused_total 1.0" in text


def test_a_turn_is_given_back_when_its_block_fails(make):
    intake = make(queue=0)
    with pytest.raises(ZeroDivisionError), intake.turn("a"):
        raise ZeroDivisionError

    with intake.turn("b"):
        assert intake.ask("c").state is State.REFUSED


def test_a_thread_that_waits_goes_on_when_its_slot_comes(make):
    intake = make()
    entered = threading.Event()

    def wait_and_store():
        with intake.turn("b"):
            entered.set()

    with intake.turn("a"):
        thread = threading.Thread(target=wait_and_store)
        thread.start()
        while thread.is_alive() and "hipway_intake_waiting 1.0" not in metrics(intake):
            pass
        assert not entered.is_set()
    thread.join()

    assert entered.is_set()


def test_a_thread_whose_slot_does_not_come_is_told_to_come_back():
    intake = Admission(slots=1, queue=1, longest_wait_s=0.01)
    with intake.turn("a"):
        with pytest.raises(Throttled) as told, intake.turn("b"):
            pass
        assert told.value.retry_after_s == 1
        assert "hipway_intake_waiting 0.0" in metrics(intake)


def test_many_threads_never_store_more_at_once_than_there_are_slots():
    intake = Admission(slots=3, queue=64)
    lock = threading.Lock()
    now, most, served = 0, 0, 0

    def work(number: int) -> None:
        nonlocal now, most, served
        for _ in range(50):
            with intake.turn(str(number % 5)):
                with lock:
                    now += 1
                    most = max(most, now)
                    served += 1
                threading.Event().wait(0.0001)
                with lock:
                    now -= 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (now, most, served) == (0, 3, 16 * 50)
    assert "hipway_intake_waiting 0.0" in metrics(intake)


@pytest.fixture
def full(settings, database):
    """An application with every slot taken and nowhere to wait."""
    app = create_app(settings, database)
    intake = Admission(slots=1, queue=0)
    app.extensions["hipway"] = dataclasses.replace(app.extensions["hipway"], intake=intake)
    with intake.turn("somebody else"):
        yield app.test_client()


@pytest.mark.parametrize(
    ("method", "path", "entry"),
    [
        pytest.param("POST", "/fhir", None, id="transaction"),
        pytest.param("POST", "/fhir/Patient", 0, id="create"),
        pytest.param("PUT", "/fhir/Patient/throttled", 0, id="update"),
        pytest.param("PUT", "/fhir/Patient?identifier=a|b", 0, id="conditional update"),
    ],
)
@pytest.mark.usefixtures("nothing_stored")
def test_every_write_is_told_to_come_back_when_there_is_no_room(method, path, entry, full):
    sent = visit("throttled")
    body = sent if entry is None else sent["entry"][entry]["resource"]

    response = full.open(path, method=method, data=reading.write(body), content_type="application/fhir+json")

    assert response.status_code == 429
    assert 1 <= int(response.headers["Retry-After"]) <= 60
    (issue,) = response.get_json()["issue"]
    assert issue["code"] == "throttled"
    assert "nothing was stored" in issue["diagnostics"]


def test_reading_needs_no_slot(full):
    assert full.get("/fhir/Patient").status_code == 200
    assert full.get("/").status_code == 200


def test_a_sender_is_the_address_it_comes_from_whatever_it_says():
    request = Request(
        {"REMOTE_ADDR": "10.1.2.3", "HTTP_X_FORWARDED_FOR": "10.9.9.9", "HTTP_FORWARDED": "for=x"}
    )

    assert admission.sender_of(request) == "10.1.2.3"
