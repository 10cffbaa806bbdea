"""A whole installation on servers of one's own, set up as the README says."""

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from installations import free_port, installation

from service.stories import story
from service.stories.play import play
from service.stories.remote import Remote

pytestmark = pytest.mark.requires("servers")

STORIES = Path(__file__).parents[1] / "stories"

#: conservative only, imaging and referral, urgent, both sides, corrections, the long one
PLAYED = ("V01", "V02", "V07", "V17", "V40", "V100")


def hipway(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HIPWAY_")}
    return subprocess.run(
        [sys.executable, "-m", "service.commands", *arguments],
        env={**inherited, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_owner_migrates_and_a_role_that_may_create_nothing_serves(servers, tmp_path):
    # A table that the owner's other programs have is no business of the service.
    with psycopg.connect(servers.owner_url, autocommit=True) as owner:
        owner.execute("CREATE TABLE elsewhere (key BIGINT)")

    migrated = hipway("migrate", "--grant-to", servers.role, HIPWAY_DATABASE_URL=servers.owner_url)
    assert migrated.returncode == 0, migrated.stderr

    port = free_port()
    variables = {
        "HIPWAY_DATABASE_URL": servers.database_url,
        "HIPWAY_BROKER_URL": servers.broker_url,
        "HIPWAY_PORT": str(port),
        "HIPWAY_DATA": str(tmp_path / "data"),
    }
    with installation(data=tmp_path / "data", port=port, **variables) as running:
        running.until_ready()
        with Remote(running.url) as service:
            for name in PLAYED:
                for played in play(story.read(STORIES / f"{name}.json"), service):
                    assert played.differences == (), f"{name} step {played.step.number}"
            service.clear()
            assert service.search("Patient", {}) == []
        doctor = hipway("doctor", **variables)

    assert doctor.returncode == 0, doctor.stdout
    assert "hint" not in doctor.stdout
    assert f"hipway answers at {running.url}" in doctor.stdout
    assert "TLS to a server that is checked" in doctor.stdout
    # Nothing of the installation lies here but its logs.
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["lock", "logs"]
    with psycopg.connect(servers.database_url, autocommit=True) as role:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            role.execute("CREATE TABLE mine (key BIGINT)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            role.execute("SELECT * FROM elsewhere")


def test_without_the_migration_the_start_says_what_to_do(servers, tmp_path):
    with installation(
        tmp_path / "data",
        free_port(),
        HIPWAY_DATABASE_URL=servers.database_url,
        HIPWAY_BROKER_URL=servers.broker_url,
    ) as running:
        code, said = running.ended()

    assert code == 2
    assert "migrate" in said
    assert (
        "migrate as the role that owns the tables" in (tmp_path / "data" / "logs" / "migrate.log").read_text()
    )
