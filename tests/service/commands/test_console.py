"""The console command: every subcommand explains itself, and mistakes are one sentence.

Names and exit codes are those scripts rely on.
"""

import subprocess
import sys

import pytest

from service.commands.console import SUBCOMMANDS, main


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_every_command_has_help_with_an_example(name: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])

    assert ended.value.code == 0
    assert "example: " in capsys.readouterr().out


HELP_THEN_MODULES = """
import sys
import service.commands
try:
    service.commands.main(["--help"])
except SystemExit:
    print(sorted({"flask", "celery", "sqlalchemy", "granian", "pydantic"} & set(sys.modules)))
"""


def test_help_loads_no_framework():
    done = subprocess.run(
        [sys.executable, "-c", HELP_THEN_MODULES], capture_output=True, text=True, check=True
    )

    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", ["web", "worker", "sweep"])
def test_a_process_without_a_database_names_the_variable(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.delenv("HIPWAY_DATABASE_URL", raising=False)

    assert main([name]) == 2
    assert capsys.readouterr().err.startswith("hipway: HIPWAY_DATABASE_URL ")


@pytest.mark.parametrize("name", ["run", "web"])
def test_production_is_refused_while_what_people_type_could_be_read_on_the_way(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    for variable, value in {
        "HIPWAY_MODE": "production",
        "HIPWAY_DATABASE_URL": "postgresql://user:secret@database/hipway",
        "HIPWAY_BROKER_URL": "redis://broker",
        "HIPWAY_BASE_URL": "https://hipway.example.org",
        "HIPWAY_SECRET_KEY": "long and random, not to be guessed",
    }.items():
        monkeypatch.setenv(variable, value)

    assert main([name]) == 2
    assert "HIPWAY_TLS_CERTIFICATE_FILE" in capsys.readouterr().err
