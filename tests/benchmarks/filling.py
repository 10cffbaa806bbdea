"""Fill a store with many more resources than were sent: copies of those that are there, under new
ids.

Copied by the server, so that two hundred thousand take seconds. A copy has an identifier and, with
some others, a patient of its own, so the indexes grow as they would.
"""

import psycopg

#: findings of one patient, as the copies have them
PER_PATIENT = 40

_COPY = """
    WITH source AS (
        SELECT *, row_number() OVER (ORDER BY key) - 1 AS at, count(*) OVER () AS many FROM (
            SELECT * FROM resource WHERE type = 'Observation' ORDER BY key LIMIT 1000
        ) AS first_ones
    ), copies AS (
        SELECT s.*, n, gen_random_uuid()::text AS new_id, 'filled-' || n / %(per)s AS new_patient
        FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS n
        JOIN source s ON s.at = n %% s.many
    ), inserted AS (
        INSERT INTO resource (tenant, type, id, version, seq, patient, code, date, status, owned, deleted,
            received, sender, digest, body)
        SELECT tenant, type, new_id, 1, nextval('receipt_seq'), new_patient, code, date, status, owned,
            deleted, received, 'filling', sha256((new_id || n)::bytea), replace(body, id, new_id)
        FROM copies ORDER BY n
        RETURNING key, tenant, type, id
    ), same AS (
        SELECT i.key, i.tenant, i.type, c.key AS of, c.n FROM inserted i JOIN copies c ON c.new_id = i.id
    ), texts AS (
        INSERT INTO search_text SELECT s.key, s.tenant, s.type, v.name, v.part, v.folded, v.written
        FROM same s JOIN search_text v ON v.key = s.of
    ), dates AS (
        INSERT INTO search_date SELECT s.key, s.tenant, s.type, v.name, v.part, v.low, v.high
        FROM same s JOIN search_date v ON v.key = s.of
    ), numbers AS (
        INSERT INTO search_number SELECT s.key, s.tenant, s.type, v.name, v.part, v.low, v.high, v.base,
            v.base_low, v.base_high, v.code, v.unit
        FROM same s JOIN search_number v ON v.key = s.of
    )
    INSERT INTO search_value (key, tenant, type, name, system, value, part)
    SELECT s.key, s.tenant, s.type, v.name, v.system,
        CASE v.name WHEN 'identifier' THEN 'F' || s.n ELSE v.value END, v.part
    FROM same s JOIN search_value v ON v.key = s.of
"""


_EMPTY = """
    CREATE TEMPORARY TABLE kept ON COMMIT DROP AS
        SELECT * FROM resource WHERE type IN ('Patient', 'Practitioner');
    CREATE TEMPORARY TABLE kept_values ON COMMIT DROP AS
        SELECT v.* FROM search_value v JOIN kept USING (key);
    DELETE FROM search_text WHERE key NOT IN (SELECT key FROM kept);
    DELETE FROM search_date WHERE key NOT IN (SELECT key FROM kept);
    DELETE FROM search_number WHERE key NOT IN (SELECT key FROM kept);
    TRUNCATE resource, search_value, history, arrival, promise;
    INSERT INTO resource OVERRIDING SYSTEM VALUE SELECT * FROM kept;
    INSERT INTO search_value SELECT * FROM kept_values;
"""


def empty(url: str) -> None:
    """Remove everything but the people, whose ids are known."""
    with psycopg.connect(url) as connection:
        connection.execute(_EMPTY)
    analyze(url)


def fill(url: str, size: int) -> int:
    """Copy until so many resources are stored, and return how many are."""
    with psycopg.connect(url) as connection:
        have = _count(connection)
        for first in range(have, size, 20_000):
            last = min(first + 20_000, size) - 1
            connection.execute(_COPY, {"per": PER_PATIENT, "first": first, "last": last})
            connection.commit()
    analyze(url)
    with psycopg.connect(url) as connection:
        return _count(connection)


def analyze(url: str) -> None:
    """Do at once what the server does by itself in the minutes after a table has grown."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
        # What was filled in seconds goes to disk for minutes, beside whatever is measured.
        connection.execute("CHECKPOINT")


def size(url: str) -> int:
    """Return the bytes of the database on disk."""
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
    assert row
    return int(row[0])


def _count(connection: psycopg.Connection) -> int:
    row = connection.execute("SELECT count(*) FROM resource").fetchone()
    assert row
    return int(row[0])
