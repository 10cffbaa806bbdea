"""Every command that docker-compose.yml names, run outside containers: from nothing to a patient's plan.

The programs of ours are those that the Dockerfile's steps have built: without the embedded servers, the
installer and pip.
"""

import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from containers import composefile
from containers.image import Image
from containers.outside import Outside

from fhir_profiles import reading
from service.commands.ready import LIMIT_S
from service.commands.secrets import NAMES
from service.stories.remote import Remote
from worker import sweep

EXAMPLE = composefile.ROOT / "tests" / "examples" / "01-new-referral-visit.json"
AT = "2026-03-02T10:45:00+01:00"

#: a person's password may hold everything that a shell, a URL or a configuration takes for its own
AWKWARD = """ "it's" \\ $HOME `id` #%/@:?&=é """


@pytest.fixture(scope="module")
def outside(scratch: Path, image: Image) -> Iterator[Outside]:
    folder = scratch / "composed"
    folder.mkdir(mode=0o755)
    composed = Outside(folder, image, composefile.services())
    # As in a folder of the hospital's own: one secret is there, the others are made.
    (folder / "secrets" / "broker_password").write_text(f"{AWKWARD}\n", encoding="utf-8")
    (folder / "secrets" / "broker_password").chmod(0o444)
    try:
        composed.up()
        yield composed
    finally:
        composed.down()


def test_a_bundle_is_accepted_and_evaluated(outside: Outside):
    with Remote(outside.url) as service:
        service.set_clock(AT, held=False)
        service.post(reading.read(EXAMPLE.read_bytes()))
        plans = []
        for _ in range(300):
            plans = service.search("CarePlan", {})
            if plans:
                break
            time.sleep(0.1)

    assert [plan["status"] for plan in plans] == ["active"], outside.log("worker")


def test_every_service_that_keeps_running_is_healthy(outside: Outside):
    said = {name: outside.check(name) for name, service in outside.services.items() if service.healthcheck}

    assert {name for name, (code, _) in said.items() if code != 0} == set(), said


def test_secrets_are_made_for_the_owner_and_the_group(outside: Outside):
    made = {name: outside.folder / "secrets" / name for name in NAMES}

    assert made["broker_password"].read_text(encoding="utf-8").removesuffix("\n") == AWKWARD
    assert stat.S_IMODE(made["database_password"].stat().st_mode) == 0o440


def test_no_secret_is_on_a_command_line_or_in_a_log(outside: Outside):
    secrets = [(outside.folder / "secrets" / name).read_text(encoding="utf-8").strip() for name in NAMES]
    lines = [file.read_bytes().decode(errors="replace") for file in Path("/proc").glob("[0-9]*/cmdline")]
    logs = [outside.log(name) for name in outside.running]

    # The awkward one is told by its middle: an escape would hide the whole.
    assert [place for place in (*lines, *logs) for secret in secrets if secret[3:12] in place] == []


def test_a_web_process_that_is_killed_is_unhealthy_until_it_is_started_again(outside: Outside):
    outside.kill("web")

    assert "does not answer" in outside.wait_until_unhealthy("web", within_s=5)
    outside.start("web")
    outside.wait_until_healthy("web")


def test_a_worker_that_is_killed_is_unhealthy_until_it_is_started_again(outside: Outside):
    outside.kill("worker")
    # So that nobody has to wait for the limit: a worker that lived would be seen again in seconds.
    outside.age_heartbeat("worker", LIMIT_S)
    time.sleep(2 * sweep.EVERY_S)

    code, said = outside.check("worker")

    assert code == 1
    assert "no worker has been seen for" in said
    assert outside.check("sweep")[0] == 0
    outside.start("worker")
    outside.wait_until_healthy("worker")


def test_a_broker_that_is_killed_is_unhealthy_alone(outside: Outside):
    outside.kill("redis")

    assert outside.check("redis")[0] != 0
    assert {name: outside.check(name)[0] for name in ("web", "worker", "sweep")} == {
        "web": 0,
        "worker": 0,
        "sweep": 0,
    }
    outside.start("redis")
    outside.wait_until_healthy("redis")


def test_a_database_that_is_killed_is_unhealthy_alone(outside: Outside):
    outside.kill("postgres")

    assert outside.check("postgres")[0] != 0
    said = {name: outside.check(name) for name in ("web", "worker", "sweep")}
    assert {name: code for name, (code, _) in said.items()} == {"web": 0, "worker": 0, "sweep": 0}
    assert "the database does not say" in said["worker"][1]
    outside.start("postgres")
    outside.wait_until_healthy("postgres")


def test_after_all_that_the_plan_is_still_there(outside: Outside):
    with Remote(outside.url) as service:
        plans = service.search("CarePlan", {})

    assert len(plans) == 1
