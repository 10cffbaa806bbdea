"""Whether people can sign in and systems can send, and for how long."""

import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from service.auth import hospital
from service.doctor.finding import Finding
from service.settings import Settings
from service.store import accounts, senders
from service.store.database import Database

TENANT = 0

#: enough to have a certificate signed
SOON_DAYS = 21


def examine(settings: Settings, now: Callable[[], datetime]) -> Iterator[Finding]:
    """Yield what production needs to let somebody in; nothing for a sandbox, which asks nobody."""
    if settings.sandbox:
        return
    yield transport(settings, now())
    yield from _known(settings)
    if settings.sign_on is not None:
        yield _sign_on(settings)
    yield Finding(
        what="metrics",
        seen="behind a token" if settings.metrics_token else "not served",
        advice=""
        if settings.metrics_token
        else "set HIPWAY_METRICS_TOKEN_FILE, so that alarms can be raised",
    )


def transport(settings: Settings, now: datetime) -> Finding:
    """Look at the certificate, or at who speaks TLS instead."""
    what = "TLS"
    if settings.tls_certificate is None or settings.tls_key is None:
        proxies = ", ".join(map(str, settings.trusted_proxies))
        return Finding(what=what, seen=f"spoken by a proxy, one of {proxies}")
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(settings.tls_certificate, settings.tls_key)
        until = _until(settings.tls_certificate)
    except (OSError, ValueError):
        fix = "name a certificate in PEM and its key, without a pass phrase"
        return Finding(what=what, seen="the certificate and the key cannot be used together", fix=fix)
    seen = f"a certificate until {until:%Y-%m-%d}"
    if until <= now:
        return Finding(what=what, seen=seen, fix="renew it: browsers and senders refuse it")
    soon = (until - now).days < SOON_DAYS
    return Finding(what=what, seen=seen, advice="renew it soon" if soon else "")


def _until(certificate: Path) -> datetime:
    from cryptography import x509

    return x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc.astimezone(UTC)


def _known(settings: Settings) -> Iterator[Finding]:
    """Look whether there is an account and a sender; a database that is away is told elsewhere."""

    def count(tx: Connection) -> tuple[int, int]:
        open_accounts = [account for account in accounts.known(tx, tenant=TENANT) if not account.disabled]
        return len(open_accounts), sum(sender.tokens > 0 for sender in senders.known(tx, tenant=TENANT))

    try:
        database = Database(settings.database_url, pool_size=1)
    except (SQLAlchemyError, ValueError):
        return
    try:
        people, systems = database.run(count)
    except SQLAlchemyError:
        return
    finally:
        database.close()
    yield Finding(
        what="accounts",
        seen=f"{people or 'none'} that can sign in",
        advice="" if people else "add one: hipway account add NAME --practitioner ID",
    )
    yield Finding(
        what="senders",
        seen=f"{systems or 'none'} with a token",
        advice="" if systems else "add one: hipway sender add NAME",
    )


def _sign_on(settings: Settings) -> Finding:
    assert settings.sign_on is not None
    try:
        hospital.send(settings.sign_on, settings.base_url, "")
    except hospital.Unreachable as error:
        return Finding(
            what="hospital sign-on",
            seen=f"cannot be used ({error})",
            fix="correct HIPWAY_OIDC_ISSUER, to the letter as the provider has it, or let us reach it",
        )
    return Finding(
        what="hospital sign-on", seen=f"answers; it must know {settings.base_url}/sign-in/hospital/back"
    )
