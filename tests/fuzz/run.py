"""A run: so many requests of a seed, each answer looked at, and the store and the log after each few."""

import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from flask import Flask
from sqlalchemy import text
from werkzeug.exceptions import HTTPException

from fuzz import asking, shrink, watch
from fuzz.making import Asked
from fuzz.sending import Send
from fuzz.watch import Answered, Finding
from service.openapi import document, surface
from service.store.database import Database

#: after so many requests the store and the log are looked at
BLOCK = 200

#: what was slow once is asked so often again
AGAIN = 3

#: each is made small, which takes further requests
MOST_FINDINGS = 25

#: this is none of the documented paths, though it looks like one
_ELSEWHERE = (308, 405)

_CHANGES = text(
    "SELECT type, id, version, seq FROM resource WHERE seq > :after "
    "UNION ALL SELECT type, id, version, seq FROM history WHERE seq > :after"
)


@dataclass(kw_only=True)
class Report:
    """What a run did, and what was wrong."""

    requests: int = 0
    took_s: float = 0.0
    slowest_s: float = 0.0
    #: slow, and not when they were asked again
    slow_once: list[str] = field(default_factory=list)
    stored: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    routes: Counter[str] = field(default_factory=Counter)
    #: what was wrong, each once, with a request that shows it
    found: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return it for people."""
        kinds = ", ".join(f"{status} {count}" for status, count in sorted(self.statuses.items()))
        rate = self.requests / self.took_s if self.took_s else 0
        head = (
            f"{self.requests} requests in {self.took_s:.0f} s ({rate:.0f} a second), "
            f"slowest {self.slowest_s:.2f} s ({len(self.slow_once)} slow once), "
            f"{self.stored} versions stored, {len(self.routes)} routes; {kinds}"
        )
        slow = [f"slow once: {each}" for each in self.slow_once]
        return "\n".join([head, *slow, *(f"\n{what}\n{how}" for what, how in self.found.items())])


class Run:
    """Sends, looks, and remembers what was wrong."""

    def __init__(
        self, app: Flask, send: Send, database: Database, log: Path, known: Mapping[str, list[str]], seed: int
    ) -> None:
        self.report = Report()
        self._send, self._database, self._log, self._known, self._seed = send, database, log, known, seed
        self._documented = _documented(app)
        self._adapter = app.url_map.bind("127.0.0.1")
        self._read = log.stat().st_size if log.exists() else 0
        self._seq = self._last_seq()
        self._announced: set[tuple[str, str, int]] = set()
        self._block: list[tuple[int, Asked, int]] = []

    def go(self, first: int, count: int) -> Report:
        """Send the requests of these numbers and return what was seen; an interrupt ends them early."""
        begun = time.monotonic()
        try:
            self._send_all(range(first, first + count))
        except KeyboardInterrupt:
            pass
        self._look()
        if found := watch.marked(self._send(Asked(method="GET", url="/metrics")).body.decode(), named=True):
            self._note("a value in a metric", found)
        self.report.took_s = time.monotonic() - begun
        return self.report

    def _send_all(self, numbers: range) -> None:
        for number in numbers:
            self._one(number)
            if len(self._block) >= BLOCK:
                self._look()
            if len(self.report.found) >= MOST_FINDINGS:
                return

    def _one(self, number: int) -> None:
        asked = asking.asked(self._seed, number, self._known)
        if watch.joins(asked):
            self._look()
        answer = self._send(asked)
        self.report.requests += 1
        self.report.statuses[answer.status] += 1
        self.report.slowest_s = max(self.report.slowest_s, answer.took_s)
        self._announced.update(watch.stored(asked, answer))
        self._block.append((number, asked, answer.status))
        for finding in self._wrong(asked, answer):
            self._keep(number, asked, finding)
        if watch.joins(asked):
            # It tells how much was moved at most, and not to which versions.
            self._seq = self._last_seq()

    def _wrong(self, asked: Asked, answer: Answered) -> Iterator[Finding]:
        yield from watch.findings(asked, answer)
        endpoint, statuses = self._route(asked)
        self.report.routes[endpoint] += 1
        documented = statuses is None or answer.status in (*statuses, *_ELSEWHERE)
        if not documented and not watch.is_too_long(asked, answer):
            yield Finding(
                what=f"{answer.status} is not documented", detail=answer.body[:300].decode(errors="replace")
            )

    def _route(self, asked: Asked) -> tuple[str, frozenset[int] | None]:
        """Return which route a request takes, and how it may be answered; None: it is not documented."""
        method = "GET" if asked.method == "HEAD" else asked.method
        try:
            rule, _ = self._adapter.match(asked.url.partition("?")[0], method, return_rule=True)
        except (HTTPException, ValueError):
            return "none", None
        return rule.endpoint, self._documented.get((rule.endpoint, method))

    def _keep(self, number: int, asked: Asked, finding: Finding) -> None:
        """Remember a finding of a kind that there was none of, with a small request that shows it."""
        endpoint, _ = self._route(asked)
        kind = f"{finding.what} by {endpoint}{self._place(finding)}"
        if kind in self.report.found:
            return
        if finding.what == watch.SLOW and not all(self._is_slow(asked) for _ in range(AGAIN)):
            # The machine was busy with something else.
            self.report.slow_once.append(f"seed {self._seed}, number {number}: {str(asked)[:1000]}")
            return
        self.report.found[kind] = ""

        def still(smaller: Asked) -> bool:
            answer = self._send(smaller)
            self._announced.update(watch.stored(smaller, answer))
            return finding.what in {each.what for each in self._wrong(smaller, answer)}

        small = shrink.shrink(asked, still) if still(asked) else asked
        self._note(kind, f"seed {self._seed}, number {number}: {finding.detail}\n{str(small)[:4000]}")

    def _is_slow(self, asked: Asked) -> bool:
        answer = self._send(asked)
        self._announced.update(watch.stored(asked, answer))
        return answer.took_s > watch.SLOW_S

    def _place(self, finding: Finding) -> str:
        """Return where in the code an error of ours was raised, which tells two of them apart."""
        error = finding.detail.rpartition("recorded as ")[2][:36]
        if not finding.what.startswith("answered 5") or not error or not self._log.exists():
            return ""
        for line in reversed(self._log.read_text(errors="replace").splitlines()):
            if error in line:
                told = json.loads(line)
                return f" ({told['error']} at {told['places'][-1].rpartition('/')[2]})"
        return ""

    def _note(self, kind: str, how: str) -> None:
        self.report.found[kind] = how

    def _look(self) -> None:
        """Look at what the requests since the last look have left in the store and in the log."""
        with self._database.transaction() as tx:
            rows = tx.execute(_CHANGES, {"after": self._seq}).all()
        for row in rows:
            self.report.stored += 1
            known = {(row.type, row.id, row.version), (row.type, "*", row.version), ("*", "*", row.version)}
            if not known & self._announced:
                self._note(f"a change that no answer tells: {row.type}", self._around(row.type, row.id))
        self._seq = max((row.seq for row in rows), default=self._seq)
        there = {(row.type, row.id, row.version) for row in rows}
        for missing in self._announced - there:
            if "*" not in missing and not self._is_stored(*missing):
                self._note(
                    f"an answer that tells of what is not stored: {missing[0]}", self._around(*missing[:2])
                )
        with self._log.open("rb") as reading:
            reading.seek(self._read)
            told = reading.read()
        self._read += len(told)
        if found := watch.marked(told.decode(errors="replace"), named=True):
            self._note("a value in the log", f"{found}\n{self._around('', '')}")
        self._announced.clear()
        self._block.clear()

    def _is_stored(self, type_: str, id_: str, version: int) -> bool:
        statement = text(
            "SELECT count(*) FROM (SELECT type, id, version FROM resource UNION ALL SELECT type, id, version "
            "FROM history) AS stored WHERE type = :type AND id = :id AND version = :version"
        )
        with self._database.transaction() as tx:
            given = {"type": type_, "id": id_, "version": version}
            return bool(tx.execute(statement, given).scalar_one())

    def _around(self, type_: str, id_: str) -> str:
        """Return the requests of the block that may have done it."""
        these = [
            f"seed {self._seed}, number {number}, answered {status}: {str(asked)[:1500]}"
            for number, asked, status in self._block
            if id_ in f"{asked.url} {asked.body!r}" and type_ in f"{asked.url} {asked.body!r}"
        ]
        return "\n".join(these[:6])

    def _last_seq(self) -> int:
        with self._database.transaction() as tx:
            found = tx.execute(text("SELECT coalesce(max(seq), 0) FROM resource")).scalar_one()
            return int(found)


def _documented(app: Flask) -> dict[tuple[str, str], frozenset[int]]:
    """Return the statuses by which each route may be answered, as the OpenAPI document says."""
    said = document.of(app)["paths"]
    found: dict[tuple[str, str], frozenset[int]] = {}
    for route in surface.routes(app):
        statuses = frozenset(int(each) for each in said[route.path][route.method.lower()]["responses"])
        found[route.endpoint, route.method] = statuses
    return found
