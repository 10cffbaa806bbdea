"""What an installation decides: one frozen value, read once from the environment.

The mode changes what is wired, never a default: a setting that production needs
and does not find stops the process with the name of the variable.

Every secret may come from a file instead, named by a variable that ends in `_FILE`: what
stands in the environment is seen by whoever may inspect the process or the container.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast
from urllib.parse import parse_qs, quote

from service.environment import InvalidSettings as InvalidSettings
from service.environment import from_file as _from_file
from service.environment import number as _number
from service.environment import one_of as _one_of
from service.hospital import settings as hospital
from service.hospital.settings import Hospital

Mode = Literal["sandbox", "production"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of one installation. Every field is one `HIPWAY_` variable."""

    #: sandbox: loopback, no login, a test clock. production: none of that
    mode: Mode = "sandbox"
    #: `postgresql://user:password@host/name`; empty: the supervisor starts a server of its own
    database_url: str = field(default="", repr=False)
    #: as Celery writes it, `redis://...` or `redis+socket://...`; empty as above
    broker_url: str = field(default="", repr=False)
    host: str = "127.0.0.1"
    port: int = 8000
    #: what users and hospitals call this service; links in resources begin with it
    base_url: str = "http://127.0.0.1:8000"
    #: database, broker and logs of the embedded servers
    data: Path = Path(".hipway")
    web_processes: int = 1
    worker_processes: int = 1
    #: how many Bundles one web process stores at once
    intake_slots: int = 12
    #: how many more may wait for a slot; what comes on top is told to come back later
    intake_queue: int = 64
    #: whoever sends and has not for so many hours is shown as silent
    sender_silence_hours: int = 72
    #: load the demo patients once, sandbox only
    demo: bool = True
    #: signs cookies; the sandbox has nothing to protect with it
    secret_key: str = field(default="sandbox", repr=False)
    log_level: str = "info"
    #: the hospital's FHIR server, to which results are delivered; None: nothing is
    hospital: Hospital | None = None
    #: the callers of CDS Hooks that are trusted, see `service.cds.clients`; none: nobody but in a sandbox
    cds_clients: Path | None = None

    @property
    def sandbox(self) -> bool:
        """Return whether this is a sandbox."""
        return self.mode == "sandbox"

    @property
    def web_connections(self) -> int:
        """Return how many connections to the database one web process opens at most.

        One for each Bundle that is being stored, and some for the pages beside them.
        """
        return max(16, self.intake_slots + 4)

    def assert_connected(self) -> None:
        """Refuse to go on without a database and a broker.

        Raises:
            InvalidSettings: one of the two is not named.
        """
        for variable, url in (("DATABASE", self.database_url), ("BROKER", self.broker_url)):
            if not url:
                raise InvalidSettings(
                    f"HIPWAY_{variable}_URL", "is not set; `hipway run` starts a server itself"
                )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        """Return the settings the environment asks for.

        Raises:
            InvalidSettings: a variable is missing in production, or cannot be used.
        """
        mode = _one_of(environment, "HIPWAY_MODE", ("sandbox", "production"))
        if mode == "production":
            for variable in REQUIRED_IN_PRODUCTION:
                if not environment.get(variable) and not environment.get(FILE_OF.get(variable, "")):
                    raise InvalidSettings(variable, "is required in production and is not set")
        host = environment.get("HIPWAY_HOST") or "127.0.0.1"
        port = _number(environment, "HIPWAY_PORT", default=8000, low=1, high=65535)
        return cls(
            mode=cast("Mode", mode),
            database_url=_url(
                environment,
                "HIPWAY_DATABASE",
                ("postgresql", "postgresql+psycopg"),
                user_needed=True,
            ),
            broker_url=_checked(
                _url(environment, "HIPWAY_BROKER", ("redis", "rediss", "redis+socket"), user_needed=False)
            ),
            host=host,
            port=port,
            base_url=(environment.get("HIPWAY_BASE_URL") or f"http://{_authority(host)}:{port}").rstrip("/"),
            data=Path(environment.get("HIPWAY_DATA") or ".hipway").absolute(),
            web_processes=_number(environment, "HIPWAY_WEB_PROCESSES", default=1, low=1, high=64),
            worker_processes=_number(environment, "HIPWAY_WORKER_PROCESSES", default=1, low=1, high=64),
            intake_slots=_number(environment, "HIPWAY_INTAKE_SLOTS", default=12, low=1, high=64),
            intake_queue=_number(environment, "HIPWAY_INTAKE_QUEUE", default=64, low=0, high=1000),
            sender_silence_hours=_number(
                environment, "HIPWAY_SENDER_SILENCE_HOURS", default=72, low=1, high=8760
            ),
            demo=_one_of(environment, "HIPWAY_DEMO", ("1", "0")) == "1" and mode == "sandbox",
            secret_key=_secret_key(environment),
            log_level=_one_of(environment, "HIPWAY_LOG_LEVEL", ("info", "debug", "warning", "error")),
            hospital=hospital.from_environment(environment),
            cds_clients=Path(named) if (named := environment.get("HIPWAY_CDS_CLIENTS")) else None,
        )


REQUIRED_IN_PRODUCTION = (
    "HIPWAY_DATABASE_URL",
    "HIPWAY_BROKER_URL",
    "HIPWAY_BASE_URL",
    "HIPWAY_SECRET_KEY",
)


#: what may stand in a file instead, and the variable that names the file
FILE_OF = {"HIPWAY_SECRET_KEY": "HIPWAY_SECRET_KEY_FILE"}

#: the files whose content is part of a URL once the settings are read
PASSWORD_FILES = ("HIPWAY_DATABASE_PASSWORD_FILE", "HIPWAY_BROKER_PASSWORD_FILE")


def _authority(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _url(environment: Mapping[str, str], part: str, schemes: tuple[str, ...], *, user_needed: bool) -> str:
    """Return the URL, with the password of a file put in; without a file it is unchanged.

    Its text is never repeated in a message: it holds a password.
    """
    variable, file = f"{part}_URL", f"{part}_PASSWORD_FILE"
    url = environment.get(variable, "")
    scheme, _, rest = url.partition("://")
    if url and scheme not in schemes:
        raise InvalidSettings(variable, f"must begin with {' or '.join(f'{s}://' for s in schemes)}")
    if not environment.get(file):
        return url
    if not url:
        raise InvalidSettings(file, f"is set and {variable} is not")
    authority = rest[: min((at for mark in "/?#" if (at := rest.find(mark)) >= 0), default=len(rest))]
    user, _, host = authority.rpartition("@")
    if ":" in user or "password" in parse_qs(rest.partition("?")[2], keep_blank_values=True):
        raise InvalidSettings(file, f"is set and {variable} has a password too; keep one of them")
    if user_needed and not user:
        raise InvalidSettings(file, f"is set and {variable} names no user; write postgresql://user@host/name")
    password = quote(_from_file(environment, file), safe="")
    return f"{scheme}://{user}:{password}@{host}{rest[len(authority) :]}"


def _checked(url: str) -> str:
    """Return a broker's URL that looks at the server's certificate, unless it says not to.

    Celery itself takes any certificate where the URL does not say.
    """
    if not url.startswith("rediss://") or "ssl_cert_reqs=" in url:
        return url
    return f"{url}{'&' if '?' in url else '?'}ssl_cert_reqs=required"


def _secret_key(environment: Mapping[str, str]) -> str:
    variable, file = "HIPWAY_SECRET_KEY", FILE_OF["HIPWAY_SECRET_KEY"]
    if not environment.get(file):
        return environment.get(variable) or "sandbox"
    if environment.get(variable):
        raise InvalidSettings(file, f"is set and {variable} too; keep one of them")
    return _from_file(environment, file)
