"""Who may sign in, who is signed in, and which senders may send what.

Revision ID: 0013
Revises: 0012
"""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE account (
    tenant SMALLINT NOT NULL,
    name TEXT NOT NULL,
    practitioner TEXT NOT NULL,
    password TEXT,
    made_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    disabled_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT account_once PRIMARY KEY (tenant, name)
);
CREATE TABLE session (
    digest BYTEA NOT NULL PRIMARY KEY,
    tenant SMALLINT NOT NULL,
    account TEXT NOT NULL,
    address TEXT NOT NULL,
    began_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    seen_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    ended_at TIMESTAMP WITH TIME ZONE
);
CREATE INDEX session_of_account ON session (tenant, account, began_at);
CREATE TABLE sign_in_failure (
    key BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant SMALLINT NOT NULL,
    account BYTEA NOT NULL,
    address TEXT NOT NULL,
    at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL
);
CREATE INDEX sign_in_failure_of_account ON sign_in_failure (tenant, account, at);
CREATE INDEX sign_in_failure_of_address ON sign_in_failure (tenant, address, at);
CREATE TABLE sign_on (
    state BYTEA NOT NULL PRIMARY KEY,
    browser BYTEA NOT NULL,
    nonce TEXT NOT NULL,
    verifier TEXT NOT NULL,
    back TEXT NOT NULL,
    began_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL
);
CREATE TABLE kept_form (
    tenant SMALLINT NOT NULL,
    practitioner TEXT NOT NULL,
    path TEXT NOT NULL,
    fields TEXT NOT NULL,
    kept_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT kept_form_once PRIMARY KEY (tenant, practitioner)
);
CREATE TABLE sender_token (
    digest BYTEA NOT NULL PRIMARY KEY,
    tenant SMALLINT NOT NULL,
    sender TEXT NOT NULL,
    scopes TEXT[] NOT NULL,
    issued_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    ends_at TIMESTAMP WITH TIME ZONE
);
CREATE INDEX sender_token_of_sender ON sender_token (tenant, sender);
"""


def upgrade() -> None:
    op.execute(TABLES)


def downgrade() -> None:
    op.execute("DROP TABLE sender_token, kept_form, sign_on, sign_in_failure, session, account")
