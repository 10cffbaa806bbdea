"""What the database alone can take: the rows of a Bundle inserted by psycopg, without HTTP, gate or look-up.

Everything is computed beforehand; a sender is a thread with a connection of its own and sends a whole Bundle,
transaction and commit included, in one pipeline.

    rows      a statement for each row, as a pipeline is usually written
    Bundle    a statement for all resources and one for all their index values, as the service writes them
"""

import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from typing import Any

import psycopg
from sqlalchemy import Table

from fhir_profiles import reading
from service.fhir.placing import new_id
from service.store import content, search_index, tables, versions
from service.store.versions import Index, Version


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """The rows of one Bundle."""

    patient: str
    received: datetime
    versions: tuple[Version, ...]
    index: Index


def _by_rows(connection: psycopg.Connection[Any], bundle: Bundle) -> None:
    with connection.pipeline(), connection.cursor() as cursor:
        cursor.executemany(
            _RESOURCE, [(*row[:8], bundle.received, row.digest, row.body) for row in bundle.versions]
        )
        found = (bundle.index.values, bundle.index.texts, bundle.index.spans, bundle.index.numbers)
        for statement, rows in zip(_INDEXES, found, strict=True):
            cursor.executemany(statement, [(*row[2:], *row[:2]) for row in rows])
        cursor.execute(_ARRIVAL, [bundle.patient, bundle.received, bundle.received])
        connection.commit()


def _by_bundle(connection: psycopg.Connection[Any], bundle: Bundle) -> None:
    with connection.pipeline(), connection.cursor() as cursor:
        versions.write(
            cursor, bundle.versions, bundle.index, tenant=0, received=bundle.received, sender="bench"
        )
        cursor.execute(_ARRIVAL, [bundle.patient, bundle.received, bundle.received])
        connection.commit()


_RESOURCE = (
    "INSERT INTO resource (tenant, type, id, version, patient, code, date, status, owned, received, sender, "
    "digest, body, seq, deleted) VALUES (0, %s, %s, %s, %s, %s, %s, %s, %s, %s, 'bench', decode(%s, 'hex'), "
    "%s, nextval('receipt_seq'), false)"
)


def _index(table: Table) -> str:
    """Return the statement for one row of a search table: its columns, then type and id of its version."""
    names = [name for name in table.c.keys() if name not in ("key", "tenant", "type")]  # noqa: SIM118
    return (
        f"INSERT INTO {table.name} (key, tenant, type, {', '.join(names)}) "
        f"SELECT key, tenant, type, {', '.join('%s' for _ in names)} FROM resource "
        "WHERE tenant = 0 AND type = %s AND id = %s"
    )


_INDEXES = tuple(
    map(_index, (tables.search_value, tables.search_text, tables.search_date, tables.search_number))
)
_ARRIVAL = (
    "INSERT INTO arrival (tenant, kind, patient, received, due_at, settles, forced) "
    "VALUES (0, 'advance', %s, %s, %s, true, false)"
)

Insert = Callable[[psycopg.Connection[Any], Bundle], None]
KINDS: Mapping[str, Insert] = {"rows": _by_rows, "Bundle": _by_bundle}


@dataclass(frozen=True, slots=True, kw_only=True)
class Inserted:
    """How fast it went, and what it cost."""

    #: Bundles in a second
    rate: float
    #: CPU time of the inserting process
    cpu_s: float


class Pipeline:
    """The inserting process."""

    def __init__(self, connection: Connection, pid: int) -> None:
        """Hold the line to the process."""
        self._connection = connection
        self.pid = pid

    def run(
        self, kind: str, bodies: Sequence[bytes], *, patients: Sequence[str], senders: int, seconds: float
    ) -> Inserted:
        """Insert for so many seconds, or until the Bundles are used up.

        Args:
            kind: `rows` or `Bundle`.
            patients: the ids, taking turns.
        """
        self._connection.send((kind, list(bodies), list(patients), senders, seconds))
        answer = self._connection.recv()
        if isinstance(answer, Inserted):
            return answer
        raise RuntimeError(f"the pipeline failed: {answer}")


@contextmanager
def pipeline(url: str) -> Iterator[Pipeline]:
    """Run the inserting process for a block."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, url), daemon=True)
    process.start()
    assert process.pid is not None
    try:
        yield Pipeline(ours, process.pid)
    finally:
        ours.send(None)
        process.join()


def _serve(connection: Connection, url: str) -> None:
    while (order := connection.recv()) is not None:
        kind, bodies, patients, senders, seconds = order
        prepared = [_prepared(body, patients[at % len(patients)]) for at, body in enumerate(bodies)]
        try:
            answer: object = _run(url, KINDS[kind], prepared, senders, seconds)
        except psycopg.Error as error:
            answer = f"{type(error).__name__}: {error}"
        connection.send(answer)


def _run(url: str, insert: Insert, prepared: Sequence[Bundle], senders: int, seconds: float) -> Inserted:
    connections = [psycopg.connect(url) for _ in range(senders)]
    waiting = iter(prepared)
    lock = threading.Lock()
    done = [0] * senders
    end = 0.0

    def send(sender: int) -> None:
        while time.perf_counter() < end:
            with lock:
                bundle = next(waiting, None)
            if bundle is None:
                return
            insert(connections[sender], bundle)
            done[sender] += 1

    threads = [threading.Thread(target=send, args=(sender,)) for sender in range(senders)]
    begun, cpu = time.perf_counter(), time.process_time()
    end = begun + seconds
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed, spent = time.perf_counter() - begun, time.process_time() - cpu
    for connection in connections:
        connection.close()
    return Inserted(rate=sum(done) / elapsed, cpu_s=spent)


def _prepared(body: bytes, patient: str) -> Bundle:
    """Return the rows that the service would write for the body."""
    now = datetime.now(UTC)
    rows: list[Version] = []
    index = Index()
    for entry in reading.read(body)["entry"]:
        resource = {**entry["resource"], "subject": {"reference": f"Patient/{patient}"}}
        columns = search_index.promoted(resource)
        id_ = new_id()
        rows.append(
            Version(
                type=resource["resourceType"],
                id=id_,
                version=1,
                patient=patient,
                code=list(columns.codes or ()),
                date=columns.date,
                status=columns.status,
                owned=False,
                digest=content.digest(resource).hex(),
                body=content.stamped(resource, id_=id_, version=1, received=now),
                posted=False,
                deleted=False,
            )
        )
        index.add(resource["resourceType"], id_, search_index.rows(resource, patient=patient))
    return Bundle(patient=patient, received=now, versions=tuple(rows), index=index)
