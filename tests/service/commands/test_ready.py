"""`hipway ready`: exit code 1 means that starting the process again may help, and nothing else."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
from sqlalchemy import text

from service.commands import main
from service.commands.ready import LIMIT_S, judged
from service.store.database import Database


@pytest.mark.parametrize(
    ("process", "ages", "works", "says"),
    [
        pytest.param("sweep", {"sweep": 1.2}, True, "was seen 1 s ago", id="a sweep at work"),
        pytest.param("sweep", {"sweep": LIMIT_S}, True, "was seen 30 s ago", id="a sweep at the limit"),
        pytest.param("sweep", {"sweep": LIMIT_S + 1}, False, "for 31 s", id="a sweep that stands still"),
        pytest.param("sweep", {"sweep": -LIMIT_S - 1}, False, "was set back", id="a clock that was set back"),
        pytest.param("sweep", {}, False, "no sweep has been seen", id="a sweep that never ran"),
        pytest.param(
            "worker",
            {"sweep": 1, "broker": 1, "worker": LIMIT_S},
            True,
            "seen 30 s ago",
            id="a worker at work",
        ),
        pytest.param(
            "worker",
            {"sweep": 1, "broker": 1, "worker": 40},
            False,
            "for 40 s",
            id="workers that stand still",
        ),
        pytest.param("worker", {"sweep": 1, "broker": 1}, False, "no worker", id="a worker that never ran"),
        pytest.param(
            "worker",
            {"sweep": 1, "broker": 40, "worker": 40},
            True,
            "the broker is not",
            id="no broker asks it",
        ),
        pytest.param(
            "worker",
            {"sweep": 40, "broker": 40, "worker": 40},
            True,
            "the sweep is not",
            id="no sweep asks it",
        ),
        pytest.param("worker", {"worker": 40}, True, "the sweep is not", id="a sweep has never asked it"),
    ],
)
def test_a_process_is_judged_only_while_it_is_asked(
    process: str, ages: dict[str, float], works: bool, says: str
):
    sentence, verdict = judged(process, ages)

    assert verdict is works
    assert says in sentence


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch, database_url: str) -> None:
    monkeypatch.setenv("HIPWAY_DATABASE_URL", database_url)
    monkeypatch.setenv("HIPWAY_BROKER_URL", "redis://127.0.0.1:1")


@pytest.mark.parametrize(
    ("seconds", "code"), [pytest.param(5, 0, id="lately"), pytest.param(60, 1, id="long ago")]
)
def test_the_database_tells_when_a_process_was_seen(
    connected: None, database: Database, seconds: int, code: int, capsys: pytest.CaptureFixture[str]
):
    with database.transaction() as tx:
        tx.execute(text("DELETE FROM heartbeat"))
        tx.execute(
            text("INSERT INTO heartbeat VALUES ('sweep', clock_timestamp() - make_interval(secs => :age))"),
            {"age": seconds},
        )

    assert main(["ready", "sweep"]) == code
    printed = capsys.readouterr()
    assert f"{seconds} s" in (printed.err if code else printed.out)


@pytest.mark.parametrize("process", ["worker", "sweep"])
def test_a_database_that_is_away_is_no_reason_to_start_a_process_again(
    process: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("HIPWAY_DATABASE_URL", "postgresql://user:secret@127.0.0.1:1/none")
    monkeypatch.setenv("HIPWAY_BROKER_URL", "redis://127.0.0.1:1")

    assert main(["ready", process]) == 0
    printed = capsys.readouterr().out
    assert printed == f"hipway: the database does not say when the {process} was seen (OperationalError).\n"


@pytest.fixture(params=[200, 500])
def answering(request: pytest.FixtureRequest) -> Iterator[tuple[int, int]]:
    """A server that answers every request with one status: its port and the status."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(request.param if self.path == "/health/live" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port, request.param
        server.shutdown()
        thread.join()


def test_the_web_process_is_asked_itself(answering: tuple[int, int], monkeypatch: pytest.MonkeyPatch):
    port, status = answering
    # As in a container: it listens on every address, and no database is near.
    monkeypatch.setenv("HIPWAY_HOST", "0.0.0.0")
    monkeypatch.setenv("HIPWAY_PORT", str(port))

    assert main(["ready", "web"]) == (0 if status == 200 else 1)


def test_a_web_process_that_does_not_answer_is_named_with_its_address(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("HIPWAY_PORT", "1")

    assert main(["ready", "web"]) == 1
    assert "http://127.0.0.1:1/health/live" in capsys.readouterr().err
