"""The connection to a hospital's FHIR R4 server, as an installation describes it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, cast
from urllib.parse import urlsplit

from service.environment import InvalidSettings, from_file, number, one_of

Authentication = Literal["none", "basic", "bearer", "smart"]
Reading = Literal["off", "poll", "subscription"]

#: what every variable of the block begins with
PREFIX = "HIPWAY_HOSPITAL_"

#: read and write everything that is delivered, http://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html
SCOPE = "system/*.cruds"

#: the path beneath the base of the service at which the hospital's server calls
HOOK = "/hospital/hook"
#: in which its calls show their secret
SECRET_HEADER = "X-Hipway-Hook"  # noqa: S105 - a name
SHORTEST_SECRET = 20

LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hospital:
    """One FHIR server. Every field is one `HIPWAY_HOSPITAL_` variable."""

    #: the base of its FHIR interface, without a slash at the end
    url: str
    auth: Authentication = "none"
    user: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    #: under which the server's authorization knows us
    client_id: str = ""
    #: the private key, as PEM or as a JWK
    key: str = field(default="", repr=False)
    key_id: str = ""
    #: where tokens are given; empty: the server's smart-configuration says it
    token_url: str = ""
    scope: str = SCOPE
    #: certificates of authorities that are trusted in place of the system's
    ca_file: Path | None = None
    #: our own certificate, where the server wants to see one, and its key
    certificate_file: Path | None = None
    certificate_key_file: Path | None = None
    #: for one part of an answer; a whole answer may take twice as long
    timeout_s: int = 20
    #: requests a second at most
    rate: int = 10
    #: how often the hospital is asked what became of open orders and Tasks; 0: never
    poll_s: int = 60
    #: how long after it was sent the server may still be at work on a Bundle of which it has said nothing
    settle_s: int = 120
    #: whether its data are read: not at all, by asking now and then, or also when it calls
    read: Reading = "off"
    #: how often it is asked for everything that is new
    read_s: int = 60
    #: what it stored before is not read; by its own clock
    since: datetime | None = None
    #: where it calls; empty: the service's own base and `HOOK`
    hook_url: str = ""
    #: what its calls must show; empty: one is made and kept
    hook_secret: str = field(default="", repr=False)

    @property
    def reads(self) -> bool:
        """Return whether its data are read."""
        return self.read != "off"

    @property
    def longest_s(self) -> float:
        """Return the longest that one question may take: a token that is refused, another, and the answer."""
        return 4 * 2.0 * self.timeout_s


def from_environment(environment: Mapping[str, str]) -> Hospital | None:
    """Return the hospital's server that the environment names; None: there is none.

    Raises:
        InvalidSettings: a variable is missing or cannot be used, or something is set and the URL is not.
    """
    if not environment.get(PREFIX + "URL"):
        # Compose files pass on every variable; an empty one says nothing.
        stray = next((v for v in sorted(environment) if v.startswith(PREFIX) and environment[v]), None)
        if stray:
            raise InvalidSettings(stray, f"is set and {PREFIX}URL is not")
        return None
    auth = cast("Authentication", one_of(environment, PREFIX + "AUTH", ("none", "basic", "bearer", "smart")))
    for needed in NEEDED[auth]:
        if not any(environment.get(PREFIX + name) for name in (needed, f"{needed}_FILE")):
            raise InvalidSettings(PREFIX + needed, f"is required with {PREFIX}AUTH={auth} and is not set")
    plain = one_of(environment, PREFIX + "TLS", ("required", "off")) == "off"
    return Hospital(
        url=_address(environment, "URL", plain=plain),
        auth=auth,
        user=environment.get(PREFIX + "USER", ""),
        password=_secret(environment, "PASSWORD"),
        token=_secret(environment, "TOKEN"),
        client_id=environment.get(PREFIX + "CLIENT_ID", ""),
        key=_key(environment),
        key_id=environment.get(PREFIX + "KEY_ID", ""),
        token_url=_address(environment, "TOKEN_URL", plain=plain),
        scope=environment.get(PREFIX + "SCOPE") or SCOPE,
        ca_file=_file(environment, "CA_FILE"),
        certificate_file=_file(environment, "CERTIFICATE_FILE"),
        certificate_key_file=_file(environment, "CERTIFICATE_KEY_FILE"),
        timeout_s=number(environment, PREFIX + "TIMEOUT_S", default=20, low=1, high=120),
        rate=number(environment, PREFIX + "RATE", default=10, low=1, high=1000),
        poll_s=number(environment, PREFIX + "POLL_S", default=60, low=0, high=86_400),
        settle_s=number(environment, PREFIX + "SETTLE_S", default=120, low=0, high=3600),
        read=cast("Reading", one_of(environment, PREFIX + "READ", ("off", "poll", "subscription"))),
        read_s=number(environment, PREFIX + "READ_S", default=60, low=1, high=86_400),
        since=_moment(environment, "SINCE"),
        hook_url=_address(environment, "HOOK_URL", plain=plain),
        hook_secret=_hook_secret(environment),
    )


#: what each kind of authentication cannot do without; KEY is always a file
NEEDED: Mapping[Authentication, tuple[str, ...]] = {
    "none": (),
    "basic": ("USER", "PASSWORD"),
    "bearer": ("TOKEN",),
    "smart": ("CLIENT_ID", "KEY"),
}


def _address(environment: Mapping[str, str], name: str, *, plain: bool) -> str:
    """Return an address; who listens on the way must not read it, unless it is said that nobody can."""
    variable = PREFIX + name
    text = environment.get(variable, "")
    if not text:
        return ""
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise InvalidSettings(variable, "is not an address") from None
    if parts.scheme not in ("https", "http") or not host:
        raise InvalidSettings(variable, "must begin with https:// and name a host")
    if parts.scheme == "http" and host not in LOOPBACK and not plain:
        raise InvalidSettings(variable, f"must begin with https://; {PREFIX}TLS=off allows http")
    if parts.username is not None or parts.query or parts.fragment:
        raise InvalidSettings(variable, "must have no user, no query and no fragment")
    return text.rstrip("/")


def _secret(environment: Mapping[str, str], name: str) -> str:
    variable, file = PREFIX + name, f"{PREFIX}{name}_FILE"
    if not environment.get(file):
        return environment.get(variable, "")
    if environment.get(variable):
        raise InvalidSettings(file, f"is set and {variable} too; keep one of them")
    return from_file(environment, file)


def _hook_secret(environment: Mapping[str, str]) -> str:
    secret = _secret(environment, "HOOK_SECRET")
    # It stands in a header, and is all that a call shows.
    if secret and not (len(secret) >= SHORTEST_SECRET and secret.isascii() and secret.isprintable()):
        reason = f"must have at least {SHORTEST_SECRET} characters, all of them ASCII; or leave it out"
        raise InvalidSettings(PREFIX + "HOOK_SECRET", reason)
    return secret


def _moment(environment: Mapping[str, str], name: str) -> datetime | None:
    """Return a day or a moment; without a zone it is meant in UTC."""
    text = environment.get(PREFIX + name)
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidSettings(PREFIX + name, "must be a day or a moment, as 2026-01-31") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _key(environment: Mapping[str, str]) -> str:
    """Return the text of the private key; it has several lines."""
    if environment.get(PREFIX + "KEY"):
        raise InvalidSettings(PREFIX + "KEY", f"is set; a key stands in a file, named by {PREFIX}KEY_FILE")
    path = _file(environment, "KEY_FILE")
    return path.read_text(encoding="utf-8", errors="replace") if path else ""


def _file(environment: Mapping[str, str], name: str) -> Path | None:
    """Return the path of a file that can be read."""
    text = environment.get(PREFIX + name)
    if not text:
        return None
    path = Path(text).absolute()
    try:
        with path.open("rb"):
            return path
    except OSError as error:
        reason = f"names a file that cannot be read ({error.strerror})"
        raise InvalidSettings(PREFIX + name, reason) from None
