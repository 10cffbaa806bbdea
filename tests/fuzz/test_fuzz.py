"""Whatever is sent: no error of this service, no long wait, nothing stored untold, no value told.

SP-37. `make test` sends 20,000 requests, `make long` a million; HIPWAY_FUZZ_REQUESTS and HIPWAY_FUZZ_SEED
choose others. A finding is printed with the seed, the number and a small request that shows it.
"""

import gzip
import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fhir_visits import visit

from fuzz.asking import asked
from fuzz.grammar import DAY, NAME, NUMBER, TEXT
from fuzz.making import Asked
from fuzz.run import Run
from fuzz.shrink import shrink
from fuzz.watch import Answered, findings, joins, marked
from service.app import create_app
from service.fhir import transaction
from service.settings import Settings

REQUESTS = int(os.environ.get("HIPWAY_FUZZ_REQUESTS") or 20_000)
SEED = int(os.environ.get("HIPWAY_FUZZ_SEED") or 20_261_130)

#: of so many requests, one is sent over HTTP to a process of its own
OVER_HTTP = 8
#: they run beside each other, each on a database of its own
PROCESSES = 2

TESTS = Path(__file__).parents[1]

#: of patients that there were none of
NUMBERS = itertools.count()


def fuzzing(new_database_url, broker_url, seed: int, requests: int, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "fuzz", "--database", new_database_url(), "--broker", broker_url),
            *("--seed", str(seed), "--requests", str(requests), *more),
        ],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_whatever_is_sent_is_answered_and_tells_nothing(new_database_url, broker_url, tell):
    over_http = REQUESTS // OVER_HTTP
    inside = (REQUESTS - over_http) // PROCESSES
    running = [fuzzing(new_database_url, broker_url, SEED + n, inside) for n in range(PROCESSES)]
    told = [each.communicate()[0] for each in running]
    running.append(fuzzing(new_database_url, broker_url, SEED + PROCESSES, over_http, "--over-http"))
    told.append(running[-1].communicate()[0])

    for text in told:
        tell(f"fuzz: {next((line for line in text.splitlines() if line.startswith('seed ')), text[-300:])}")
    # In full: what was found in an hour must not be cut to the width of a line.
    if found := [text for text, each in zip(told, running, strict=True) if each.returncode != 0]:
        pytest.fail("\n".join(found), pytrace=False)


REFUSED = Asked(method="PUT", url="/fhir/Patient/a", body=b"{}")


def answered(**what) -> Answered:
    usual = {"status": 422, "headers": {"content-type": "application/fhir+json"}, "took_s": 0.1}
    return Answered(**{**usual, "body": b'{"resourceType": "OperationOutcome"}', **what})


@pytest.mark.parametrize(
    ("what", "found"),
    [
        pytest.param({}, [], id="as it should be"),
        pytest.param({"status": 500}, ["answered 500"], id="an error of ours"),
        pytest.param({"took_s": 2.5}, ["slow"], id="slow"),
        pytest.param({"body": b"<h1>No</h1>"}, ["refused without an OperationOutcome"], id="no outcome"),
        *(
            pytest.param(
                {"body": b'{"resourceType": "OperationOutcome", "issue": "%s"}' % mark.lower().encode()},
                ["a value in what is refused"],
                id=f"a value, {mark}",
            )
            for mark in (TEXT, NUMBER, DAY)
        ),
    ],
)
def test_what_is_wrong_with_an_answer_is_seen(what, found):
    assert [each.what for each in findings(REFUSED, answered(**what))] == found


@pytest.mark.parametrize(
    ("length", "found"), [(65_534, ["refused without an OperationOutcome"]), (65_535, [])]
)
def test_the_server_says_nothing_of_a_url_that_it_does_not_read(length, found):
    asked = Asked(method="GET", url="/fhir/Patient?".ljust(length, "a"))

    assert [each.what for each in findings(asked, answered(status=414, body=b""))] == found


def test_the_name_of_an_element_is_allowed_in_an_answer_and_not_in_a_log():
    assert marked(f"Patient.{NAME}") == ""
    assert marked(f"Patient.{NAME}", named=True)


def test_what_may_join_two_records_is_known_however_it_is_sent():
    link = b'{"resourceType": "Patient", "link": [{"type": "replaced-by"}]}'
    packed = Asked(
        method="POST", url="/fhir", headers={"Content-Encoding": "gzip"}, body=gzip.compress(link, mtime=0)
    )

    assert joins(Asked(method="POST", url="/fhir/Patient/$merge?preview=true", body=b"{}"))
    assert joins(Asked(method="PUT", url="/fhir/Patient/a", body=link))
    assert joins(packed)
    assert not joins(REFUSED)


def test_a_finding_is_made_as_small_as_it_can_be():
    large = Asked(
        method="POST",
        url="/fhir/Patient?a=1&b=2&c=3",
        headers={"Prefer": "x", "Accept": "y"},
        body=b'{"resourceType": "Patient", "name": [{"family": "x", "given": ["y", "z"]}], "active": true}',
    )

    small = shrink(
        large, lambda asked: b'"z"' in asked.body and "b=2" in asked.url and "Accept" in asked.headers
    )

    assert small.url == "/fhir/Patient?b=2"
    assert small.headers == {"Accept": "y"}
    assert small.body == b'{"name": [{"given": ["z"]}]}'


def test_a_request_is_made_again_from_its_seed_and_number():
    """Whatever was made before it."""
    first = {number: asked(1, number, {}) for number in range(300)}

    assert {number: asked(1, number, {}) for number in reversed(range(300))} == first
    assert len({str(each) for each in first.values()}) > 250


@pytest.fixture
def run(database, broker_url, database_url, tmp_path):
    """Make a run of one request whose answer is as said, after something was done."""
    app = create_app(Settings(database_url=database_url, broker_url=broker_url), database)
    log = tmp_path / "web.log"
    log.touch()

    def go(answer: Answered, done=lambda _log: None):
        def send(sent: Asked) -> Answered:
            if sent.url == "/metrics":
                return answered(status=200, body=b"hipway_requests 1")
            done(log)
            return answer

        return Run(app, send, database, log, {}, seed=1).go(0, 1).found

    return go


def test_what_is_stored_untold_is_found(run, database):
    def store(_log):
        transaction.accept(database, visit(f"untold-{next(NUMBERS)}"), sender="hospital")

    assert {kind.partition(":")[0] for kind in run(answered(status=404), store)} >= {
        "a change that no answer tells"
    }
    assert not any("change" in kind for kind in run(answered(status=404)))


def test_what_is_told_and_not_stored_is_found(run):
    told = answered(status=201, headers={"location": "http://x/fhir/Patient/nowhere/_history/1"})

    assert "an answer that tells of what is not stored: Patient" in run(told)


@pytest.mark.parametrize("planted", [TEXT, NAME])
def test_a_planted_word_in_the_log_is_found(run, planted):
    assert "a value in the log" in run(answered(status=404), lambda log: log.write_text(f"patient {planted}"))
    assert "a value in the log" not in run(answered(status=404))
