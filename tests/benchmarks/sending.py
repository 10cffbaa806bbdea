"""A light load generator: one thread, raw sockets kept open, bodies made beforehand.

It runs in a process of its own and says how much CPU time it took, so that nobody takes its cost for that
of the service. Closed loop: a sender sends its next body when it has its answer. Open loop: bodies are sent
at scheduled moments whatever happened to those before, and a latency counts from the scheduled moment; a
body that waits for a free connection waits on the service's account.
"""

import multiprocessing
import selectors
import socket
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

#: answers are small; a read takes most of them whole
_READ_BYTES = 65536
_LAST_CHUNK = b"\r\n0\r\n\r\n"
#: an answer that takes longer than this is lost, and so is the benchmark
_LONGEST_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What became of the bodies."""

    #: seconds from sending (closed loop) or from the schedule (open loop) to the whole answer, in the order
    #: of the answers
    times_s: list[float]
    #: `time.time()` at which each body was sent or scheduled, in the order of the bodies
    begun_at: list[float]
    elapsed_s: float
    #: answers by status
    statuses: dict[int, int]
    #: CPU time of the load generator
    cpu_s: float

    @property
    def rate(self) -> float:
        """Return the answers in a second."""
        return len(self.times_s) / self.elapsed_s


@dataclass(slots=True)
class _Line:
    """One connection, and what is on its way over it."""

    socket: socket.socket
    received: bytearray = field(default_factory=bytearray)
    #: of the whole answer; 0 while its head is not here, -1 where it comes in chunks
    length: int = 0
    begun: float = 0.0


class Sender:
    """A load generator in a process of its own."""

    def __init__(self, connection: Connection, pid: int) -> None:
        """Hold the line to the process."""
        self._connection = connection
        self.pid = pid

    def closed(self, port: int, path: str, bodies: Sequence[bytes], *, senders: int, seconds: float) -> Sent:
        """Send in a closed loop for so many seconds, or until the bodies are used up."""
        return self._ask(("closed", port, path, list(bodies), senders, seconds))

    def paced(self, port: int, path: str, bodies: Sequence[bytes], *, rate: float, senders: int = 32) -> Sent:
        """Send every body, so many in a second, over at most so many connections."""
        return self._ask(("paced", port, path, list(bodies), senders, rate))

    def _ask(self, order: tuple[object, ...]) -> Sent:
        self._connection.send(order)
        answer = self._connection.recv()
        if isinstance(answer, Sent):
            return answer
        raise RuntimeError(f"the load generator failed: {answer}")


@contextmanager
def sender() -> Iterator[Sender]:
    """Run a load generator for a block."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs,), daemon=True)
    process.start()
    assert process.pid is not None
    try:
        yield Sender(ours, process.pid)
    finally:
        ours.send(None)
        process.join()


def _serve(connection: Connection) -> None:
    while (order := connection.recv()) is not None:
        kind, port, path, bodies, senders, pace = order
        requests = [_request(port, path, body) for body in bodies]
        try:
            if kind == "closed":
                answer: object = _closed(port, requests, senders, pace)
            else:
                answer = _paced(port, requests, senders, pace)
        except OSError as error:
            answer = f"{type(error).__name__}: {error}"
        connection.send(answer)


def _request(port: int, path: str, body: bytes) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/fhir+json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _closed(port: int, requests: Sequence[bytes], senders: int, seconds: float) -> Sent:
    waiting = iter(requests)
    times: list[float] = []
    begun_at: list[float] = []
    statuses: Counter[int] = Counter()
    cpu = time.process_time()
    with selectors.DefaultSelector() as selector:
        lines = _connect(port, senders, selector)
        begun = time.perf_counter()
        end = begun + seconds
        busy = 0
        for line, request in zip(lines, waiting, strict=False):
            begun_at.append(time.time())
            _send(line, request, time.perf_counter())
            busy += 1
        while busy:
            for key, _ in selector.select(_LONGEST_S):
                line = key.data
                if (status := _read(line)) is None:
                    continue
                now = time.perf_counter()
                times.append(now - line.begun)
                statuses[status] += 1
                request = next(waiting, None) if now < end else None
                if request is None:
                    busy -= 1
                else:
                    begun_at.append(time.time())
                    _send(line, request, now)
        elapsed = time.perf_counter() - begun
        for line in lines:
            line.socket.close()
    return Sent(
        times_s=times,
        begun_at=begun_at,
        elapsed_s=elapsed,
        statuses=dict(statuses),
        cpu_s=time.process_time() - cpu,
    )


def _paced(port: int, requests: Sequence[bytes], senders: int, rate: float) -> Sent:
    times: list[float] = []
    statuses: Counter[int] = Counter()
    late: deque[tuple[float, bytes]] = deque()
    cpu = time.process_time()
    with selectors.DefaultSelector() as selector:
        free = _connect(port, senders, selector)
        everyone = list(free)
        begun = time.perf_counter()
        wall = time.time()
        schedule = deque((begun + number / rate, request) for number, request in enumerate(requests))
        while len(times) < len(requests):
            now = time.perf_counter()
            while schedule and schedule[0][0] <= now:
                late.append(schedule.popleft())
            while late and free:
                scheduled, request = late.popleft()
                _send(free.pop(), request, scheduled)
            pause = max(0.0, schedule[0][0] - time.perf_counter()) if schedule else _LONGEST_S
            for key, _ in selector.select(pause):
                line = key.data
                if (status := _read(line)) is not None:
                    times.append(time.perf_counter() - line.begun)
                    statuses[status] += 1
                    free.append(line)
        elapsed = time.perf_counter() - begun
        for line in everyone:
            line.socket.close()
    return Sent(
        times_s=times,
        begun_at=[wall + number / rate for number in range(len(requests))],
        elapsed_s=elapsed,
        statuses=dict(statuses),
        cpu_s=time.process_time() - cpu,
    )


def _connect(port: int, count: int, selector: selectors.BaseSelector) -> list[_Line]:
    lines = []
    for _ in range(count):
        line = _Line(socket.create_connection(("127.0.0.1", port), timeout=_LONGEST_S))
        line.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(line.socket, selectors.EVENT_READ, line)
        lines.append(line)
    return lines


def _send(line: _Line, request: bytes, begun: float) -> None:
    line.begun = begun
    line.socket.sendall(request)


def _read(line: _Line) -> int | None:
    """Read what is there and return the status of an answer that is complete."""
    part = line.socket.recv(_READ_BYTES)
    if not part:
        raise ConnectionError("the server closed the connection")
    line.received += part
    if not line.length:
        head, end, _ = line.received.partition(b"\r\n\r\n")
        if not end:
            return None
        _, known, rest = head.lower().partition(b"content-length:")
        line.length = len(head) + len(end) + int(rest.partition(b"\r\n")[0]) if known else -1
    # JSON has no line break of this kind within, so that these bytes are the last chunk and nothing else.
    if not line.received.endswith(_LAST_CHUNK) if line.length < 0 else len(line.received) < line.length:
        return None
    status = int(line.received[9:12])
    line.received.clear()
    line.length = 0
    return status
