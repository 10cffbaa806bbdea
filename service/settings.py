"""What an installation decides: one frozen value, read once from the environment.

The mode changes what is wired, never a default: a setting that production needs
and does not find stops the process with the name of the variable.

Every secret may come from a file instead, named by a variable that ends in `_FILE`: what
stands in the environment is seen by whoever may inspect the process or the container.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
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
Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True, kw_only=True)
class HospitalSignOn:
    """The hospital's OpenID Connect provider, and what this service is called there."""

    #: exactly as the provider writes it of itself
    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    #: the claim of the id token that is the name of an account here
    account_claim: str = "preferred_username"


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
    #: networks to which subscribers are told besides public addresses
    subscribers_networks: tuple[Network, ...] = ()
    #: certificates of authorities that are trusted for subscribers in place of the system's
    subscribers_ca_file: Path | None = None
    #: both: the web process speaks TLS itself
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    #: proxies that speak TLS for it, whose word on who asks is taken
    trusted_proxies: tuple[Network, ...] = ()
    #: somebody who does nothing for so long signs in again; and everybody after so long
    session_idle_minutes: int = 30
    session_hours: int = 12
    sign_on: HospitalSignOn | None = None
    #: opens the metrics in production; empty: there are none
    metrics_token: str = field(default="", repr=False)

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

    def assert_served_safely(self) -> None:
        """Refuse to serve patients' data where anybody on the way could read or change them.

        Raises:
            InvalidSettings: in production, the first setting that is missing or too weak.
        """
        if self.sandbox:
            return
        if not self.base_url.startswith("https://"):
            reason = "must begin with https:// in production: passwords and patients' data cross the network"
            raise InvalidSettings("HIPWAY_BASE_URL", reason)
        if self.tls_certificate is None and not self.trusted_proxies:
            reason = "is required in production and is not set; or name the proxies that speak TLS in "
            raise InvalidSettings("HIPWAY_TLS_CERTIFICATE_FILE", f"{reason}HIPWAY_TRUSTED_PROXIES")
        if len(self.secret_key) < SHORTEST_KEY:
            reason = f"must have at least {SHORTEST_KEY} characters in production; `hipway secrets` makes one"
            raise InvalidSettings("HIPWAY_SECRET_KEY", reason)

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
        tls = _tls(environment)
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
            subscribers_networks=_networks(environment, "HIPWAY_SUBSCRIBERS_NETWORKS"),
            subscribers_ca_file=Path(named)
            if (named := environment.get("HIPWAY_SUBSCRIBERS_CA_FILE"))
            else None,
            tls_certificate=tls[0],
            tls_key=tls[1],
            trusted_proxies=_networks(environment, "HIPWAY_TRUSTED_PROXIES"),
            session_idle_minutes=_number(
                environment, "HIPWAY_SESSION_IDLE_MINUTES", default=30, low=1, high=720
            ),
            session_hours=_number(environment, "HIPWAY_SESSION_HOURS", default=12, low=1, high=24),
            sign_on=_sign_on(environment),
            metrics_token=_optional_secret(environment, "HIPWAY_METRICS_TOKEN_FILE"),
        )


def token_of(file: str | None, environment: Mapping[str, str] = os.environ) -> str:
    """Return the token that commands show to a service, from a file or from HIPWAY_TOKEN_FILE; empty: none.

    Raises:
        InvalidSettings: the file cannot be read.
    """
    named = {**environment, "HIPWAY_TOKEN_FILE": file} if file else environment
    return _optional_secret(named, "HIPWAY_TOKEN_FILE")


REQUIRED_IN_PRODUCTION = (
    "HIPWAY_DATABASE_URL",
    "HIPWAY_BROKER_URL",
    "HIPWAY_BASE_URL",
    "HIPWAY_SECRET_KEY",
)


#: 192 bits in base64; `hipway secrets` makes longer ones
SHORTEST_KEY = 32

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


def _tls(environment: Mapping[str, str]) -> tuple[Path, Path] | tuple[None, None]:
    """Return the files of the certificate and of its key: both or none."""
    variables = ("HIPWAY_TLS_CERTIFICATE_FILE", "HIPWAY_TLS_KEY_FILE")
    certificate, key = (environment.get(variable, "") for variable in variables)
    if not certificate and not key:
        return None, None
    for variable, path in zip(variables, (certificate, key), strict=True):
        if not path:
            raise InvalidSettings(variable, "is not set; a certificate and its key go together")
        if not os.access(path, os.R_OK):
            raise InvalidSettings(variable, "names a file that cannot be read")
    return Path(certificate).absolute(), Path(key).absolute()


def _networks(environment: Mapping[str, str], variable: str) -> tuple[Network, ...]:
    """Return addresses and networks, as `10.0.0.7,192.0.2.0/24`."""
    parts = [part.strip() for part in environment.get(variable, "").split(",") if part.strip()]
    try:
        found = tuple(ip_network(part) for part in parts)
    except ValueError:
        reason = "must be addresses or networks, separated by commas, as 10.0.0.7,192.0.2.0/24"
        raise InvalidSettings(variable, reason) from None
    if any(network.prefixlen == 0 for network in found):
        raise InvalidSettings(variable, "names everybody; name those alone that are meant")
    return found


def _sign_on(environment: Mapping[str, str]) -> HospitalSignOn | None:
    """Return the hospital's sign-on, if there is one."""
    issuer = environment.get("HIPWAY_OIDC_ISSUER", "")
    client_id = environment.get("HIPWAY_OIDC_CLIENT_ID", "")
    claim = environment.get("HIPWAY_OIDC_ACCOUNT_CLAIM") or "preferred_username"
    if not issuer:
        for variable in ("HIPWAY_OIDC_CLIENT_ID", "HIPWAY_OIDC_CLIENT_SECRET_FILE"):
            if environment.get(variable):
                raise InvalidSettings(variable, "is set and HIPWAY_OIDC_ISSUER is not")
        return None
    if not issuer.startswith(("https://", "http://127.0.0.1:", "http://localhost:")):
        raise InvalidSettings("HIPWAY_OIDC_ISSUER", "must begin with https://: who signs in is proved by it")
    for variable in ("HIPWAY_OIDC_CLIENT_ID", "HIPWAY_OIDC_CLIENT_SECRET_FILE"):
        if not environment.get(variable):
            raise InvalidSettings(variable, "is not set; HIPWAY_OIDC_ISSUER needs it")
    return HospitalSignOn(
        issuer=issuer,
        client_id=client_id,
        client_secret=_from_file(environment, "HIPWAY_OIDC_CLIENT_SECRET_FILE"),
        account_claim=claim,
    )


def _optional_secret(environment: Mapping[str, str], variable: str) -> str:
    return _from_file(environment, variable) if environment.get(variable) else ""
