"""Know how many plans are open without counting them.

Nothing is written to `resource` while this step runs: it counts once, and from then on triggers note each
change, whichever version of the service writes. They write as the owner of the table, so that a service
whose role was not granted the new table yet goes on storing.

Revision ID: 0027
Revises: 0026
"""

from alembic import op
from sqlalchemy import text

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

OPEN = "({0}.type = 'CarePlan' AND {0}.owned AND NOT {0}.deleted AND {0}.status = 'active') IS TRUE"
IS, WAS = OPEN.format("NEW"), OPEN.format("OLD")

# The functions name the schema of the table and use no operator: nothing that the caller has made, or put
# before it on the way to search, is called with the rights of the owner.
STEPS = (
    "CREATE TABLE open_plan (tenant SMALLINT NOT NULL, change BIGINT NOT NULL)",
    """CREATE FUNCTION note_open_plan() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
    $$BEGIN INSERT INTO {schema}.open_plan (tenant, change) VALUES (NEW.tenant, 1); RETURN NULL; END$$""",
    """CREATE FUNCTION note_closed_plan() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
    $$BEGIN INSERT INTO {schema}.open_plan (tenant, change) VALUES (OLD.tenant, -1); RETURN NULL; END$$""",
    """CREATE FUNCTION note_no_plan() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
    $$BEGIN TRUNCATE {schema}.open_plan; RETURN NULL; END$$""",
    f"""CREATE TRIGGER resource_new_open_plan AFTER INSERT ON resource
    FOR EACH ROW WHEN ({IS}) EXECUTE FUNCTION note_open_plan()""",
    f"""CREATE TRIGGER resource_opened_plan AFTER UPDATE ON resource
    FOR EACH ROW WHEN ({IS} AND NOT ({WAS})) EXECUTE FUNCTION note_open_plan()""",
    f"""CREATE TRIGGER resource_closed_plan AFTER UPDATE ON resource
    FOR EACH ROW WHEN ({WAS} AND NOT ({IS})) EXECUTE FUNCTION note_closed_plan()""",
    f"""CREATE TRIGGER resource_removed_plan AFTER DELETE ON resource
    FOR EACH ROW WHEN ({WAS}) EXECUTE FUNCTION note_closed_plan()""",
    """CREATE TRIGGER resource_no_plan AFTER TRUNCATE ON resource
    FOR EACH STATEMENT EXECUTE FUNCTION note_no_plan()""",
    # The triggers have locked the table against writers, so what is counted now is what they begin from.
    """INSERT INTO open_plan (tenant, change) SELECT tenant, count(*) FROM resource
    WHERE type = 'CarePlan' AND owned AND NOT deleted AND status = 'active' GROUP BY tenant""",
)
TRIGGERS = ("new_open_plan", "opened_plan", "closed_plan", "removed_plan", "no_plan")
FUNCTIONS = ("note_open_plan", "note_closed_plan", "note_no_plan")


def upgrade() -> None:
    schema = op.get_bind().execute(text("SELECT quote_ident(current_schema())")).scalar_one()
    for step in STEPS:
        op.get_bind().exec_driver_sql(step.replace("{schema}", schema))


def downgrade() -> None:
    for name in TRIGGERS:
        op.execute(f"DROP TRIGGER resource_{name} ON resource")
    for name in FUNCTIONS:
        op.execute(f"DROP FUNCTION {name}()")
    op.execute("DROP TABLE open_plan")
