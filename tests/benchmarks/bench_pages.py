"""The pages of a large site: the time to the last byte, beside `select 1` and an empty Flask page.

    make bench ONLY=pages

Forty patients were evaluated and have open work, some two hundred Tasks; they are copied by the server
until there are a hundred thousand plans, each with a patient, a decision and two Tasks that were closed on
some day of a year, some five hundred of them today. One more patient has 500 observations. Each page is
asked for over one connection of the machine itself, one after another, with nothing beside it. The last
column is the same before the copies.
"""

import argparse
import http.client
import statistics
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from urllib.parse import urlencode

import bench_decide
import filling
import machine
import psycopg
import therapy
from servers import Servers, servers

from fhir_profiles import reading
from service import log
from service.fhir import transaction
from service.store import open_plans, parameters
from service.store.database import Database
from worker import advance

PLANS = 100_000
BUSY = 40
OBSERVATIONS = 500
ROUNDS = 60
WARM = 10
#: the 95th percentile that is asked for, in milliseconds
AIM_MS = 60
AT_ONCE = 10_000

_COPY = """
    WITH source AS (
        SELECT patient, row_number() OVER (ORDER BY patient) - 1 AS at, count(*) OVER () AS many
        FROM (SELECT DISTINCT patient FROM resource WHERE type = 'CarePlan' AND patient LIKE 'therapy-%%') p
    ), people AS (
        SELECT s.patient AS old, 'copy-' || n AS new, n
        FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS n JOIN source s ON s.at = n %% s.many
    ), wanted AS (
        SELECT p.old, p.new, p.n, r.*,
            CASE r.type WHEN 'Patient' THEN p.new ELSE md5(r.id || p.new) END AS new_id,
            row_number() OVER (PARTITION BY p.n, r.type ORDER BY r.key) AS which
        FROM people p JOIN resource r ON r.patient = p.old AND r.type IN ('Patient', 'CarePlan', 'Task')
            AND (r.owned OR r.type = 'Patient')
    ), inserted AS (
        INSERT INTO resource (tenant, type, id, version, seq, patient, code, date, status, owned, deleted,
            received, sender, digest, body)
        SELECT tenant, type, new_id, 1, nextval('receipt_seq'), new, code, date,
            CASE type WHEN 'Task' THEN 'completed' ELSE status END, owned, deleted,
            CASE type WHEN 'Task' THEN received - n %% 365 * interval '1 day' ELSE received END, 'filling',
            sha256((new_id || n)::bytea), replace(replace(body, id, new_id), old, new)
        FROM wanted WHERE type <> 'Task' OR which <= 2 ORDER BY n
        RETURNING key, tenant, type, id
    ), searched AS (
        INSERT INTO search_value (key, tenant, type, name, system, value)
        SELECT i.key, i.tenant, i.type, v.name, v.system,
            CASE WHEN v.name IN ('identifier', 'family') THEN 'f' || w.n ELSE v.value END
        FROM inserted i JOIN wanted w ON w.new_id = i.id AND w.type = i.type
        JOIN search_value v ON v.key = w.key
    )
    INSERT INTO decision (tenant, patient, pathway, instance, number, at, run, rule, before, after, basis)
    SELECT d.tenant, p.new, d.pathway, d.instance, d.number, d.at, gen_random_uuid(), d.rule, d.before,
        d.after, d.basis
    FROM people p JOIN decision d ON d.patient = p.old AND d.number = 1
"""

Ask = Callable[[], int]


def main() -> None:
    """Print a table; the first two rows are what the others stand beside."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--plans", type=int, default=PLANS)
    plans = arguments.parse_args().plans
    log.configure("bench", level="warning")
    with servers() as running:
        print(machine.describe(running.database_url))
        database = Database(running.database_url)
        plan = prepared(database)
        port, bare = running.web(), running.constant()
        asked = asks(running, port, bare, plan)
        filling.analyze(running.database_url)
        few = {name: measured(ask) for name, ask in asked.items()}
        fill(database, running.database_url, plans)
        print(f"{'':>34} {'p50':>8} {'p95':>8} {'KiB':>7} {'p95 without copies':>16}   aim: p95 {AIM_MS} ms")
        for name, ask in asked.items():
            middle, late, size = measured(ask)
            before = few[name][1]
            print(f"{name:>34} {middle:>5.1f} ms {late:>5.1f} ms {size / 1024:>7.1f} {before:>13.1f} ms")
        database.close()


def prepared(database: Database) -> str:
    """Evaluate the patients that have work, and one with many observations; return the plan of that one."""
    with database.transaction() as tx:
        parameters.set_(tx, {"settle.minutes": 0}, "bench", datetime.now(UTC))
    patient, _, observations = bench_decide.in_therapy(database, "many")
    more = range(len(observations), OBSERVATIONS)
    bench_decide.add(database, patient, [bench_decide.again(observations, number) for number in more])
    with database.transaction() as tx:
        tx.exec_driver_sql("UPDATE clock SET now = NULL")
    now = datetime.now(UTC)
    for number in range(BUSY):
        for bundle in (therapy.prepared(number, now), therapy.weaker(number, now)):
            transaction.accept(database, reading.read(bundle), sender="bench")
            assert advance.advance(database, 0, therapy.patient(number))
    with database.transaction() as tx:
        query = "SELECT id FROM resource WHERE type = 'CarePlan' AND patient = %(who)s ORDER BY key LIMIT 1"
        return str(tx.exec_driver_sql(query, {"who": patient}).scalar_one())


def fill(database: Database, url: str, plans: int) -> None:
    """Copy the patients that have work, their work closed, until there are so many plans."""
    with psycopg.connect(url) as connection:
        for first in range(0, plans, AT_ONCE):
            connection.execute(_COPY, {"first": first, "last": min(first + AT_ONCE, plans) - 1})
            connection.commit()
    # What the sweep does every two seconds; there is none.
    database.run(open_plans.fold)
    filling.analyze(url)


def asks(running: Servers, port: int, bare: int, plan: str) -> Mapping[str, Ask]:
    """Return what is asked, each as a function that returns the bytes of the answer."""
    database = psycopg.connect(running.database_url, autocommit=True)
    page = http.client.HTTPConnection("127.0.0.1", port)
    empty = http.client.HTTPConnection("127.0.0.1", bare)
    found = {"family": "f77", "given": "a", "birthdate": ""}
    return {
        "select 1": lambda: len(str(database.execute("SELECT 1").fetchone())),
        "an empty Flask page": lambda: get(empty, "/"),
        "worklist, all": lambda: get(page, "/?view=all"),
        "worklist, to sign, one stage": lambda: get(page, "/?view=all&need=sign&stage=imaging"),
        "worklist, open plans": lambda: get(page, "/?view=plans"),
        "worklist, open plans, one stage": lambda: get(page, "/?view=plans&stage=imaging&side=hip-left"),
        "the stamp of a page": lambda: get(page, "/live"),
        f"plan, {OBSERVATIONS} observations": lambda: get(page, f"/careplans/{plan}"),
        "patients, a search": lambda: get(page, "/patients", urlencode(found)),
        "inbox": lambda: get(page, "/inbox"),
        "codes without a meaning": lambda: get(page, "/inbox/codes"),
        "a pathway": lambda: get(page, "/pathways/gluteus-medius-tear"),
        "operations": lambda: get(page, "/operations"),
    }


def get(connection: http.client.HTTPConnection, path: str, form: str | None = None) -> int:
    """Ask for a page, or post a form, and return the bytes of the answer."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"} if form else {}
    try:
        connection.request("POST" if form else "GET", path, form, headers)
        answer = connection.getresponse()
    except (http.client.RemoteDisconnected, ConnectionError):
        # Closed while the store was filled.
        connection.close()
        connection.request("POST" if form else "GET", path, form, headers)
        answer = connection.getresponse()
    body = answer.read()
    assert answer.status == 200, (path, answer.status)
    return len(body)


def measured(ask: Ask) -> tuple[float, float, int]:
    """Return the median and the 95th percentile in milliseconds, and the bytes of one answer."""
    for _ in range(WARM):
        size = ask()
    taken = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        ask()
        taken.append((time.perf_counter() - start) * 1000)
    return statistics.median(taken), statistics.quantiles(taken, n=20)[-1], size


if __name__ == "__main__":
    main()
