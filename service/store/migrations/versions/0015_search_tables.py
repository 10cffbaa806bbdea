"""Find resources by all search parameters of R4.

What is stored already has none of the new rows: `hipway reindex` makes them, and until it is done searches
that need them are refused. An empty database needs none.

Revision ID: 0015
Revises: 0014
"""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

#: The rows that are made today, see `service.store.indexing.extraction`: an empty database has all of them.
#: One that is not empty has none at this step, and one that took it earlier keeps the version of then.
VERSION = 5

UP = """
ALTER TABLE search_value ADD COLUMN part SMALLINT DEFAULT 0 NOT NULL;
ALTER TABLE search_value DROP CONSTRAINT search_value_key_fkey;
-- How often a name and a value come together: taken for independent, a common code looks rare.
CREATE STATISTICS search_value_common (mcv) ON type, name, value FROM search_value;
ALTER STATISTICS search_value_common SET STATISTICS 1000;
CREATE TABLE search_text (
    key BIGINT NOT NULL,
    tenant SMALLINT NOT NULL,
    type TEXT NOT NULL,
    name TEXT NOT NULL,
    part SMALLINT NOT NULL,
    folded TEXT COLLATE "C" NOT NULL,
    written TEXT COLLATE "C" NOT NULL
);
CREATE INDEX search_text_of_resource ON search_text (key);
CREATE INDEX search_text_lookup ON search_text (tenant, type, name, left(folded, 100));
CREATE TABLE search_date (
    key BIGINT NOT NULL,
    tenant SMALLINT NOT NULL,
    type TEXT NOT NULL,
    name TEXT NOT NULL,
    part SMALLINT NOT NULL,
    low TIMESTAMP WITH TIME ZONE NOT NULL,
    high TIMESTAMP WITH TIME ZONE NOT NULL
);
CREATE INDEX search_date_of_resource ON search_date (key);
CREATE INDEX search_date_lookup ON search_date (tenant, type, name, low, high, key);
CREATE TABLE search_number (
    key BIGINT NOT NULL,
    tenant SMALLINT NOT NULL,
    type TEXT NOT NULL,
    name TEXT NOT NULL,
    part SMALLINT NOT NULL,
    low NUMERIC NOT NULL,
    high NUMERIC NOT NULL,
    base TEXT NOT NULL,
    base_low NUMERIC NOT NULL,
    base_high NUMERIC NOT NULL,
    code TEXT NOT NULL,
    unit TEXT NOT NULL
);
CREATE INDEX search_number_of_resource ON search_number (key);
CREATE INDEX search_number_lookup ON search_number (tenant, type, name, base, base_low, key);
CREATE TABLE reindexing (
    tenant SMALLINT PRIMARY KEY,
    version INTEGER NOT NULL,
    reached BIGINT NOT NULL,
    until BIGINT NOT NULL,
    complete BOOLEAN NOT NULL,
    began_at TIMESTAMP WITH TIME ZONE NOT NULL
);
"""

STATE = f"""
INSERT INTO reindexing (tenant, version, reached, until, complete, began_at)
SELECT 0, {VERSION}, 0, coalesce(max(key), 0), max(key) IS NULL, clock_timestamp() FROM resource
"""  # noqa: S608 - a constant


def upgrade() -> None:
    op.execute(UP)
    op.execute(STATE)


#: what the version before finds resources by, and what its pages do
KNOWN = (
    "_entry",
    "_open",
    "activity",
    "based-on",
    "birthdate",
    "category",
    "clinical-status",
    "code",
    "family",
    "focus",
    "given",
    "identifier",
    "implicated",
    "intent",
    "lifecycle-status",
    "name",
    "result",
    "subtype",
    "target",
    "type",
    "url",
    "version",
)

DOWN = f"""
DELETE FROM search_value v WHERE NOT EXISTS (SELECT FROM resource r WHERE r.key = v.key);
ALTER TABLE search_value ADD CONSTRAINT search_value_key_fkey
    FOREIGN KEY (key) REFERENCES resource (key) ON DELETE CASCADE;
DELETE FROM search_value WHERE name NOT IN ({", ".join(map(repr, KNOWN))});
INSERT INTO search_value (key, tenant, type, name, system, value)
SELECT key, tenant, type, name, '', written FROM search_text
WHERE name = 'name' AND type IN ('ActivityDefinition', 'CodeSystem', 'ConceptMap', 'Library',
    'PlanDefinition', 'StructureDefinition', 'ValueSet');
ALTER TABLE search_value DROP COLUMN part;
DROP STATISTICS search_value_common;
DROP TABLE reindexing, search_number, search_date, search_text;
"""  # noqa: S608 - constants


def downgrade() -> None:
    op.execute(DOWN)
