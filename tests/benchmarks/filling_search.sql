-- Rows as the service would write them, for the patients from a to b; see bench_search.py.
CREATE TEMPORARY TABLE made ON COMMIT DROP AS
SELECT nextval('receipt_seq') AS seq, t.type, t.id, t.patient, t.n, t.k, t.n * 50 + t.k AS number
FROM (
    SELECT 'Patient' AS type, 'p' || n AS id, 'p' || n AS patient, n, 0 AS k FROM generate_series(%(a)s::int, %(b)s::int) n
    UNION ALL
    SELECT 'Observation', 'o' || n || '-' || k, 'p' || n, n, k
    FROM generate_series(%(a)s::int, %(b)s::int) n, generate_series(1, %(each)s::int) k
    UNION ALL
    SELECT 'ServiceRequest', 's' || n || '-' || k, 'p' || n, n, k
    FROM generate_series(%(a)s::int, %(b)s::int) n, generate_series(1, 2) k
    UNION ALL
    SELECT 'CarePlan', 'c' || n, 'p' || n, n, 0 FROM generate_series(%(a)s::int, %(b)s::int) n
) AS t;
INSERT INTO resource (tenant, type, id, version, seq, patient, code, date, status, owned, deleted, received,
    sender, digest, body)
SELECT 0, type, id, 1, seq, patient, CASE type WHEN 'Observation' THEN ARRAY['http://loinc.org|c' || k %% 20] END,
    timestamptz '2026-01-01Z' + number %% 90 * interval '1 day', 'active', false, false, timestamptz '2026-04-01Z',
    'bench', sha256(id::bytea), format(
        '{"resourceType":"%%s","id":"%%s","meta":{"versionId":"1"},"status":"final","subject":{"reference":'
        '"Patient/%%s"},"code":{"coding":[{"system":"http://loinc.org","code":"c%%s"}]},"effectiveDateTime":'
        '"2026-01-01","valueQuantity":{"value":%%s,"unit":"g/L","system":"http://unitsofmeasure.org",'
        '"code":"g/L"},"note":[{"text":"%%s"}]}', type, id, patient, k %% 20, number %% 100, repeat('x', 300))
FROM made ORDER BY seq;
CREATE TEMPORARY TABLE keyed ON COMMIT DROP AS
SELECT r.key, m.* FROM made m JOIN resource r ON r.tenant = 0 AND r.type = m.type AND r.id = m.id;
INSERT INTO search_value (key, tenant, type, name, system, value)
SELECT key, 0, type, 'identifier', 'urn:' || lower(type), id FROM keyed WHERE type <> 'Patient'
UNION ALL SELECT key, 0, type, 'identifier', 'urn:mrn', n::text FROM keyed WHERE type = 'Patient'
UNION ALL SELECT key, 0, type, 'code', 'http://loinc.org', 'c' || k %% 20 FROM keyed WHERE type = 'Observation'
UNION ALL SELECT key, 0, type, 'code', 'urn:proc', CASE k WHEN 1 THEN 'scan' ELSE 'visit' END
    FROM keyed WHERE type = 'ServiceRequest'
UNION ALL SELECT key, 0, type, 'category', 'urn:category', CASE type WHEN 'CarePlan' THEN 'assess-plan'
    WHEN 'ServiceRequest' THEN 'imaging' ELSE CASE k %% 4 WHEN 0 THEN 'vital-signs' ELSE 'laboratory' END END
    FROM keyed WHERE type <> 'Patient'
UNION ALL SELECT key, 0, type, 'encounter', '', 'Encounter/e' || number / 10 FROM keyed WHERE type = 'Observation'
UNION ALL SELECT key, 0, type, 'performer', '', 'Practitioner/d' || n %% 50 FROM keyed WHERE type = 'Observation';
INSERT INTO search_text SELECT key, 0, type, 'family', 0, 'name' || n, 'Name' || n FROM keyed WHERE type = 'Patient';
INSERT INTO search_date
SELECT key, 0, type, CASE type WHEN 'Patient' THEN 'birthdate' WHEN 'ServiceRequest' THEN 'authored' ELSE 'date' END,
    0, day, day + interval '1 day'
FROM keyed, LATERAL (SELECT CASE type WHEN 'Patient' THEN timestamptz '1960-01-02Z'
    ELSE timestamptz '2026-01-01Z' + number %% 90 * interval '1 day' END AS day) AS d;
INSERT INTO search_number SELECT key, 0, type, 'value-quantity', 0, number %% 100, number %% 100, 'g1.m-3',
    number %% 100 * 1000, number %% 100 * 1000, 'g/L', 'g/L' FROM keyed WHERE type = 'Observation';
