"""A hospital's FHIR server in a thread: real HTTP, real TLS, a small record, and every kind of bad mood.

What it does well it does as HAPI does (a stale `If-Match` is 409, a transaction is stored whole or not at
all, an unchanged PUT makes no version); how a real HAPI does it is seen in tests/hapi.
"""

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar
from urllib.parse import parse_qs

Json = dict[str, Any]
FHIR = "application/fhir+json"


@dataclass(frozen=True)
class Request:
    """What was asked; a connection that is kept has one `Asked` for all of its requests."""

    command: str
    path: str
    headers: dict[str, str]
    content: bytes


class Asked(BaseHTTPRequestHandler):
    """One request. A mood answers it in its own way, or says something before it is answered well."""

    protocol_version = "HTTP/1.1"
    server: "Server"

    def do_GET(self) -> None:
        self._do()

    def do_POST(self) -> None:
        self._do()

    def do_PUT(self) -> None:
        self._do()

    def _do(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self.content = self.rfile.read(length)
        hospital = self.server.hospital
        with hospital.lock:
            hospital.asked.append(Request(self.command, self.path, dict(self.headers), self.content))
            mood = hospital.moods.pop(0) if hospital.moods else hospital.mood
        if mood is None or mood(self) is WELL:
            self.answer(*hospital.do(self.command, self.path, self.content))

    def answer(self, status: int, body: Any, **headers: str) -> None:
        """Answer with JSON, or with the text as it is."""
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        named = {"Content-Type": FHIR, "Content-Length": str(len(sent))}
        for name, value in (named | {n.replace("_", "-"): v for n, v in headers.items()}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(sent)

    def date_time_string(self, timestamp: float | None = None) -> str:
        return self.server.hospital.date or super().date_time_string(timestamp)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    hospital: "HospitalServer"

    def handle_error(self, *_: Any) -> None:
        """Say nothing of a client that has gone."""


#: returned by a mood that only watched: the request is answered as it should be
WELL = object()

Mood = Callable[[Asked], object]


class HospitalServer:
    """What the hospital has, and how its server feels today."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        #: what is stored, all versions of each, oldest first; None: deleted
        self.record: dict[str, list[Json | None]] = {}
        self.asked: list[Request] = []
        #: the moods of the next requests, one each; then the one of all others
        self.moods: list[Mood | None] = []
        self.mood: Mood | None = None
        #: what its clock shows; empty: the time it is
        self.date = ""
        self.url = ""

    def begin(self, date: str = "") -> None:
        """Forget everything."""
        with self.lock:
            self.record, self.asked, self.moods, self.mood, self.date = {}, [], [], None, date

    def put(self, resource: Json) -> Json:
        """Store a version, as somebody at the hospital does."""
        with self.lock:
            versions = self.record.setdefault(f"{resource['resourceType']}/{resource['id']}", [])
            meta = {"versionId": str(len(versions) + 1), "lastUpdated": "2026-01-05T09:00:00Z"}
            versions.append({**deepcopy(resource), "meta": {**resource.get("meta", {}), **meta}})
            return versions[-1]

    def current(self, reference: str) -> Json | None:
        return (self.record.get(reference) or [None])[-1]

    def of_type(self, type_: str) -> list[Json]:
        return [versions[-1] for name, versions in self.record.items() if name.startswith(f"{type_}/")]

    def transactions(self) -> list[Json]:
        """Return every Bundle that was sent."""
        return [json.loads(a.content) for a in self.asked if a.command == "POST" and a.path == "/fhir"]

    def do(self, method: str, path: str, content: bytes) -> tuple[int, Any]:
        """Answer as a good server does."""
        with self.lock:
            if method == "POST" and path == "/fhir":
                return self._transaction(json.loads(content))
            if method == "POST" and path.endswith("/_search"):
                return 200, self._search(path.split("/")[-2], content.decode())
            reference = path.removeprefix("/fhir/")
            if reference not in self.record:
                return 404, outcome("not-found")
            found = self.current(reference)
            return (200, found) if found else (410, outcome("deleted"))

    def _search(self, type_: str, form: str) -> Json:
        wanted = parse_qs(form)["_id"][0].split(",")
        found = [r for id_ in wanted if (r := self.current(f"{type_}/{id_}"))]
        return {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": r} for r in found]}

    def _transaction(self, bundle: Json) -> tuple[int, Any]:
        for entry in bundle["entry"]:
            reference, match = entry["request"]["url"], entry["request"].get("ifMatch")
            versions = self.record.get(reference) or []
            if match and match != f'W/"{len(versions)}"':
                return 409, outcome("conflict", f"HAPI-0989: {reference} has another version")
        done = []
        for entry in bundle["entry"]:
            reference = entry["request"]["url"]
            before = self.current(reference)
            bare = {n: v for n, v in (before or {}).items() if n != "meta"}
            if bare != {n: v for n, v in entry["resource"].items() if n != "meta"}:
                self.put(entry["resource"])
            version = len(self.record[reference])
            status = "200 OK" if before else "201 Created"
            done.append({"response": {"status": status, "etag": f'W/"{version}"'}})
        return 200, {"resourceType": "Bundle", "type": "transaction-response", "entry": done}


Served = TypeVar("Served", bound=HospitalServer)


def outcome(code: str, diagnostics: str = "") -> Json:
    issue = {"severity": "error", "code": code, "diagnostics": diagnostics}
    return {"resourceType": "OperationOutcome", "issue": [issue]}


def answering(status: int, body: Any = b"", **headers: str) -> Mood:
    """Return the mood that answers so."""
    return lambda asked: asked.answer(status, body, **headers)


def hanging(until: threading.Event) -> Mood:
    """Return the mood that takes the request and says nothing."""

    def hang(asked: Asked) -> None:
        until.wait(60)
        hanging_up(asked)

    return hang


def hanging_up(asked: Asked) -> None:
    """End the connection without a word."""
    asked.close_connection = True


def half(asked: Asked) -> None:
    """Promise a body and send half of it."""
    asked.send_response(200)
    asked.send_header("Content-Length", "1000")
    asked.end_headers()
    asked.wfile.write(b'{"resourceType": "Bundle", ')
    asked.wfile.flush()
    asked.close_connection = True


def speaking_something_else(asked: Asked) -> None:
    """Answer in another protocol."""
    asked.wfile.write(b"SSH-2.0-hospital\r\n\r\n")
    hanging_up(asked)


def doing_and_hanging_up(asked: Asked) -> None:
    """Do what was asked, and end the connection before anything of it is said."""
    asked.server.hospital.do(asked.command, asked.path, asked.content)
    asked.close_connection = True


@contextmanager
def running(
    trust: ssl.SSLContext | None = None, make: Callable[[], Served] = HospitalServer
) -> Iterator[Served]:
    """Run a server on the loopback address."""
    hospital = make()
    server = Server(("127.0.0.1", 0), Asked)
    server.hospital = hospital
    if trust is not None:
        server.socket = trust.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    hospital.url = f"{'https' if trust else 'http'}://127.0.0.1:{server.server_port}/fhir"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hospital
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
