"""Runs the services of docker-compose.yml outside containers, each with its own command and environment.

An image becomes programs on this machine: ours is what the Dockerfile's steps have built, those
of others are in `servers`. What else a container has to itself, addresses and the folders of volumes,
is replaced in one place, `Outside._here`.
"""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

import psycopg
from containers import servers
from containers.composefile import Service
from containers.image import Image
from installations import free_port

from service.supervisor import account as accounts
from service.supervisor.account import Account

#: the user of our image
USER = Account(name="hipway", uid=10001, gid=10001)

#: from a start to the first healthy answer, on a slow machine
HEALTHY_S = 90


class Outside:
    """The services on this machine, below one scratch folder. Stopped by `down`."""

    def __init__(self, folder: Path, image: Image, services: Mapping[str, Service]) -> None:
        """Prepare the volumes and the programs; `up` starts."""
        self.folder = folder
        self.services = services
        self.ports = {name: free_port() for name in ("web", "postgres", "redis")}
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self._image = image
        servers.programs(folder / "bin", valkey_port=self.ports["redis"])
        for volume, mode in (("secrets", 0o750), ("broker", 0o700), ("database", 0o700)):
            (folder / volume).mkdir(mode=mode)
        if self._user_of_image():
            os.chown(folder / "secrets", USER.uid, USER.gid)
        if user := accounts.unprivileged():
            os.chown(folder / "database", user.uid, user.gid)

    @property
    def url(self) -> str:
        """Where the published port is."""
        return f"http://127.0.0.1:{self.ports['web']}"

    def up(self) -> None:
        """Start everything as `docker compose up` does: each waits for what it says it waits for."""
        for service in self.services.values():
            for other, condition in service.after.items():
                if condition == "service_healthy":
                    self.wait_until_healthy(other)
            self.start(service.name)
            if service.ends_by_itself:
                assert self.running[service.name].wait(HEALTHY_S) == 0, self.log(service.name)
        for service in self.services.values():
            if service.healthcheck:
                self.wait_until_healthy(service.name)
                assert self.running[service.name].poll() is None, self.log(service.name)

    def down(self) -> None:
        """Stop everything, the last first."""
        for name, process in reversed(self.running.items()):
            if process.poll() is None:
                process.send_signal(signal.SIGINT if name == "postgres" else signal.SIGTERM)
                try:
                    process.wait(60)
                finally:
                    if process.poll() is None:
                        self.kill(name)

    def start(self, name: str) -> None:
        """Start one service."""
        service = self.services[name]
        is_new = name == "postgres" and not (self.folder / "database" / "PG_VERSION").exists()
        if is_new:
            servers.make_cluster(self.folder / "database", self._environment(service), self._user(service))
        # The entrypoint of our image has the program's name, and those of others run what they are given.
        entrypoint = ("hipway",) if service.image.startswith("hipway:") else ()
        with self._log(name).open("ab") as log:
            self.running[name] = self._popen(service, (*entrypoint, *service.command), log)
        if is_new:
            servers.make_database(self._environment(service), self.ports["postgres"])

    def kill(self, name: str) -> None:
        """Kill every process of a service, without a word."""
        os.killpg(self.running[name].pid, signal.SIGKILL)
        self.running[name].wait()

    def check(self, name: str) -> tuple[int, str]:
        """Run a service's health check and return its exit code and what it printed."""
        service = self.services[name]
        process = self._popen(service, service.healthcheck, subprocess.PIPE)
        printed, _ = process.communicate(timeout=60)
        return process.returncode, printed.decode()

    def wait_until_healthy(self, name: str) -> None:
        """Wait until the health check of a running service passes."""
        deadline = time.monotonic() + HEALTHY_S
        while (said := self.check(name))[0] != 0:
            assert self.running[name].poll() is None, f"{name} ended: {self.log(name)}"
            assert time.monotonic() < deadline, f"{name} says {said}: {self.log(name)}"
            time.sleep(0.2)

    def wait_until_unhealthy(self, name: str, within_s: float) -> str:
        """Wait until the health check of a service fails, and return what it says."""
        deadline = time.monotonic() + within_s
        while (said := self.check(name))[0] == 0:
            assert time.monotonic() < deadline, f"{name} still says {said}"
            time.sleep(1)
        return said[1]

    def age_heartbeat(self, process: str, seconds: int) -> None:
        """Let a process have been seen longer ago than it was."""
        password = (self.folder / "secrets" / "database_password").read_text().strip()
        with psycopg.connect(
            host="127.0.0.1", port=self.ports["postgres"], user="hipway", dbname="hipway", password=password
        ) as connection:
            connection.execute(
                "UPDATE heartbeat SET seen_at = seen_at - make_interval(secs => %s) WHERE process = %s",
                (seconds, process),
            )

    def log(self, name: str) -> str:
        """Return what a service printed."""
        return self._log(name).read_text(errors="replace")

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def _popen(
        self, service: Service, command: Sequence[str], output: IO[bytes] | int
    ) -> "subprocess.Popen[bytes]":
        user = self._user(service)
        environment = self._environment(service)
        # Not `Popen` but a shell finds the program by the PATH of the container.
        return subprocess.Popen(
            ["/bin/sh", "-c", 'exec "$@"', "sh", *map(self._here, command)],
            env=environment,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=user.uid if user else None,
            group=user.gid if user else None,
            extra_groups=[USER.gid] if user else None,
        )

    def _environment(self, service: Service) -> dict[str, str]:
        given = {name: self._here(value) for name, value in service.environment.items()}
        if "HIPWAY_PORT" in given:
            given["HIPWAY_PORT"] = str(self.ports["web"])
        if service.image.startswith("hipway:"):
            return self._image.environment() | given
        # PostgreSQL and its client read the port from here, so that their arguments stay as they are.
        port = {"PGPORT": str(self.ports["postgres"]), "PGDATA": f"{self.folder}/database"}
        return {"PATH": f"{self.folder / 'bin'}:{os.defpath}", "LC_ALL": "C"} | port | given

    def _here(self, text: str) -> str:
        """Put what this machine has in the place of what a container has to itself."""
        for there, here in {
            "/secrets": f"{self.folder}/secrets",
            "@postgres:5432": f"@127.0.0.1:{self.ports['postgres']}",
            "//redis:6379": f"//127.0.0.1:{self.ports['redis']}",
            # All addresses of a container are nobody else's; of a machine they are.
            "0.0.0.0": "127.0.0.1",
            "--dir /data": f"--dir {self.folder}/broker",
        }.items():
            text = text.replace(there, here)
        return text

    def _user(self, service: Service) -> Account | None:
        """Return the user a service runs as where this is root; None: as this process."""
        if service.image.startswith("postgres:"):
            return accounts.unprivileged()
        return self._user_of_image() if service.image.startswith("hipway:") else None

    def _user_of_image(self) -> Account | None:
        # A Python in a private folder, such as root's home, cannot be run by another user.
        can_run = os.geteuid() == 0 and accounts.can_run(USER, self._image.programs / "python")
        return USER if can_run else None
