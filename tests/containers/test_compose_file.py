"""docker-compose.yml keeps the Compose specification, and what we promise of every container.

Specifications relevant for this file:
https://github.com/compose-spec/compose-spec/blob/main/05-services.md
"""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from containers import composefile
from containers.composefile import Service

from service.commands import ready
from service.commands.console import SUBCOMMANDS
from service.commands.secrets import NAMES
from service.settings import InvalidSettings, Settings
from service.supervisor import postgres
from worker import app

SERVICES = composefile.services(profiles=["hapi"])
OURS = [service for service in SERVICES.values() if service.image.startswith("hipway:")]
SERVERS = [service for service in SERVICES.values() if service not in OURS]


def each(services: list[Service]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("service", services, ids=lambda service: service.name)


def test_it_is_valid_by_the_schema_of_the_specification():
    schema = json.loads((Path(__file__).parent / "compose-spec.json").read_text())
    # A schema that cannot tell wrong from right would prove nothing.
    assert not jsonschema_rs.is_valid(schema, {"services": {"web": {"imagge": "hipway"}}})

    faults = [fault.message for fault in jsonschema_rs.validator_for(schema).iter_errors(composefile.read())]

    assert faults == []


def test_it_names_the_processes_of_an_installation():
    started = composefile.services()

    assert set(started) == {"secrets", "postgres", "redis", "migrate", "web", "worker", "sweep"}
    assert {service.name for service in started.values() if service.ends_by_itself} == {"secrets", "migrate"}


def test_hapi_starts_only_when_it_is_asked_for_and_nothing_of_ours_waits_for_it():
    started = composefile.services()
    beside = {name: service for name, service in SERVICES.items() if name not in started}

    assert set(beside) == {"hapi-secrets", "hapi-postgres", "hapi"}
    assert all(service.raw["profiles"] == ["hapi"] for service in beside.values())
    assert {other for service in started.values() for other in service.after} <= set(started)


@each(list(SERVICES.values()))
def test_a_container_can_write_nowhere_and_become_nobody_else(service: Service):
    assert service.raw["read_only"] is True
    assert service.raw["cap_drop"] == ["ALL"]
    assert "cap_add" not in service.raw
    assert "privileged" not in service.raw
    assert service.raw["security_opt"] == ["no-new-privileges:true"]
    assert service.raw["init"] is True
    # Ours names its user in the image.
    assert service in OURS or re.fullmatch(r"[1-9]\d*:[1-9]\d*", service.raw["user"])


@each(list(SERVICES.values()))
def test_a_container_has_limits(service: Service):
    assert set(service.raw["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}
    assert service.raw["logging"]["options"].keys() == {"max-size", "max-file"}


@each([service for service in SERVICES.values() if not service.ends_by_itself])
def test_what_keeps_running_has_a_health_check_and_time_to_stop(service: Service):
    if service.name == "hapi":
        # Its image has no shell and no client; so nobody may wait until it is healthy.
        assert not service.healthcheck
        assert "hapi" not in {other for each in SERVICES.values() for other in each.after}
    else:
        assert {"interval", "timeout", "retries", "start_period"} <= set(service.raw["healthcheck"])
    assert service.raw["restart"] == "unless-stopped"
    assert service.raw["stop_grace_period"].endswith("s")


@each(OURS)
def test_one_image_runs_every_command_of_ours(service: Service):
    assert service.raw["build"] == "."
    assert service.image == f"hipway:{_version()}"
    assert service.command[0] in SUBCOMMANDS
    assert service.ends_by_itself or service.healthcheck == ("hipway", "ready", service.name)


@each(SERVERS)
def test_an_image_of_others_is_pinned_to_a_version(service: Service):
    assert re.fullmatch(r"[a-z/]+:v?\d+(\.\d+)*-[a-z\d]+", service.image)


@each(OURS)
def test_every_variable_is_a_setting(service: Service):
    known = _known_settings()
    assert {"HIPWAY_DATABASE_URL", "HIPWAY_SECRET_KEY_FILE", "HIPWAY_INTAKE_QUEUE"} <= known

    assert set(service.environment) <= known


def test_every_variable_a_person_may_set_is_one_of_ours():
    asked = {found["name"] for found in composefile.VARIABLE.finditer(composefile.FILE.read_text())} - {None}

    assert asked - {"HIPWAY_SECRETS"} <= _known_settings()


def test_everything_is_a_sandbox_unless_production_is_asked_for():
    assert all(service.environment.get("HIPWAY_MODE", "sandbox") == "sandbox" for service in OURS)


def test_production_has_what_every_process_needs_but_a_way_in_that_is_safe():
    asked = {"HIPWAY_MODE": "production", "HIPWAY_BASE_URL": "https://hipway.example.org"}
    proxied = composefile.services({**asked, "HIPWAY_TRUSTED_PROXIES": "172.16.0.0/12"})

    for service in proxied.values():
        if service.environment.get("HIPWAY_MODE") != "production":
            continue
        # The files are made by the container that makes secrets.
        told = {name: value for name, value in service.environment.items() if not name.endswith("_FILE")}
        environment = {**told, "HIPWAY_SECRET_KEY": "k" * 32}
        settings = Settings.from_environment(environment)
        assert not settings.sandbox
        if service.name == "web":
            settings.assert_served_safely()
            with pytest.raises(InvalidSettings, match="HIPWAY_TRUSTED_PROXIES"):
                Settings.from_environment(
                    {**environment, "HIPWAY_TRUSTED_PROXIES": ""}
                ).assert_served_safely()


def test_what_production_asks_outside_for_reaches_the_service_that_answers():
    """The hospital's sign-on, and who may call CDS Hooks: without a place here nobody can set them."""
    given = {
        "HIPWAY_OIDC_ISSUER": "https://login.example.org",
        "HIPWAY_OIDC_CLIENT_ID": "hipway",
        "HIPWAY_OIDC_CLIENT_SECRET_FILE": "/secrets/client_secret",
        "HIPWAY_OIDC_ACCOUNT_CLAIM": "upn",
        "HIPWAY_CDS_CLIENTS": "/secrets/cds_clients.json",
    }
    told = composefile.services(given)["web"].environment

    assert {name: told.get(name) for name in given} == given
    assert SERVICES["web"].environment["HIPWAY_CDS_CLIENTS"] == ""


@each(list(SERVICES.values()))
def test_no_secret_is_in_the_environment_or_on_a_command_line(service: Service):
    for variable, value in service.environment.items():
        if value and re.search(r"PASSWORD|KEY|SECRET|TOKEN", variable):
            assert variable.endswith("_FILE")
            assert value.removeprefix("/secrets/") in NAMES
        # user:password@ in a URL
        assert not re.search(r"://[^/@]*:[^/@]*@", value)
    for word in (*service.command, *service.healthcheck):
        assert not re.search(r"--?(requirepass|password|pass|a)\b", word)


@each([service for service in SERVICES.values() if not service.name.endswith("secrets")])
def test_only_the_maker_of_secrets_may_write_them(service: Service):
    (secrets,) = [volume for volume in service.raw["volumes"] if ":/secrets" in volume]
    # HAPI and its database are not ours, and see none of our secrets.
    maker = "hapi-secrets" if "hapi" in service.name else "secrets"

    assert secrets == f"{maker}:/secrets:ro"
    # Neither does anything start before they are made.
    assert service.name in _after(maker)


def test_a_hospital_puts_its_own_folder_in_the_place_of_the_made_secrets():
    mounted = {
        volume.partition(":/secrets")[0]
        for service in composefile.services({"HIPWAY_SECRETS": "/etc/hipway"}).values()
        for volume in service.raw["volumes"]
        if ":/secrets" in volume
    }

    assert mounted == {"/etc/hipway"}


def test_only_web_and_hapi_are_reached_from_outside_and_only_from_this_machine():
    published = {
        service.name: service.raw["ports"] for service in SERVICES.values() if "ports" in service.raw
    }
    networks = {service.name: service.raw.get("networks", []) for service in SERVICES.values()}

    assert published == {"web": ["127.0.0.1:8000:8000"], "hapi": ["127.0.0.1:8090:8080"]}
    assert composefile.services({"HIPWAY_PORT": "9000"})["web"].raw["ports"] == ["127.0.0.1:9000:8000"]
    assert {name for name, joined in networks.items() if "outside" in joined} == {"web", "hapi"}
    # What is not ours reaches no database and no broker of ours.
    assert {name for name, joined in networks.items() if "hapi" in joined} == {"hapi", "hapi-postgres"}
    assert not [name for name, joined in networks.items() if {"hapi", "inside"} <= set(joined)]
    for name in ("inside", "hapi"):
        assert composefile.read()["networks"][name] == {"internal": True}
    for name in ("secrets", "hapi-secrets"):
        assert SERVICES[name].raw["network_mode"] == "none"


@pytest.mark.parametrize("name", ["worker", "sweep"])
def test_more_of_them_can_be_started(name: str):
    # One name, one host port or one fixed address would be a second container's end.
    assert not {"container_name", "ports", "hostname"} & set(SERVICES[name].raw)
    assert SERVICES[name].raw["networks"] == ["inside"]


def test_each_server_keeps_its_data_in_a_volume_of_its_own():
    volumes = {
        service.name: [volume for volume in service.raw["volumes"] if ":/secrets" not in volume]
        for service in SERVERS
    }

    assert volumes == {
        "postgres": ["database:/var/lib/postgresql"],
        "redis": ["broker:/data"],
        "hapi-postgres": ["hapi-database:/var/lib/postgresql"],
        # It keeps everything in its database; this is what it is set to.
        "hapi": ["./tests/hapi/application.yaml:/hipway/application.yaml:ro"],
    }
    own = {volume.partition(":")[0] for each in volumes.values() for volume in each if volume[0] != "."}
    assert set(composefile.read()["volumes"]) == own | {"secrets", "hapi-secrets"}


@pytest.mark.parametrize("name", ["postgres", "hapi-postgres"])
def test_the_database_is_run_with_the_settings_of_the_embedded_one(name: str):
    given = dict(word.removeprefix("-c").split("=") for word in SERVICES[name].command[1:])

    assert given == postgres.SERVER_SETTINGS


def test_nothing_starts_before_the_schema_is_there():
    for name in ("web", "worker", "sweep"):
        assert SERVICES[name].after["migrate"] == "service_completed_successfully"
        assert SERVICES[name].after["redis"] == "service_healthy"
    assert SERVICES["migrate"].after["postgres"] == "service_healthy"


def test_a_worker_is_not_given_up_before_an_evaluation_that_runs_away_is_ended():
    check = SERVICES["worker"].raw["healthcheck"]

    # Unseen for the limit, and then found so at every try.
    assert ready.LIMIT_S + (check["retries"] - 1) * _seconds(check["interval"]) > app.LIMIT_S
    assert _seconds(SERVICES["worker"].raw["stop_grace_period"]) > app.LIMIT_S


def _version() -> str:
    version: str = tomllib.loads((composefile.ROOT / "pyproject.toml").read_text())["project"]["version"]
    return version


def _seconds(text: str) -> int:
    return int(text.removesuffix("s"))


def _after(name: str) -> set[str]:
    """The services that wait for another, directly or not."""
    found: set[str] = set()
    for service in SERVICES.values():
        if {name, *found} & set(service.after):
            found.add(service.name)
    return found


class _Noting(dict[str, str]):
    """An environment that notes what it is asked for."""

    def __init__(self, values: dict[str, str]) -> None:
        super().__init__(values)
        self.asked: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        self.asked.add(key)
        return super().get(key, default)


def _known_settings() -> set[str]:
    """Every variable that the settings read."""
    environment = _Noting(
        {"HIPWAY_DATABASE_URL": "postgresql://db/hipway", "HIPWAY_BROKER_URL": "redis://broker"}
    )
    Settings.from_environment(environment)
    return environment.asked
