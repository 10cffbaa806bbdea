"""`hipway doctor` on connections that are refused for their encryption: each says its own reason."""

import os
import shutil
import socketserver
import threading
from urllib.parse import urlsplit

import pytest
from installations import free_port
from sqlalchemy.engine import make_url

from service.commands import doctor, main
from service.store import migrate, privileges

pytestmark = pytest.mark.requires("servers")


@pytest.fixture
def environment(monkeypatch, servers, tmp_path):
    """A set-up in order, to be put into disorder."""
    for name in [name for name in os.environ if name.startswith("HIPWAY_")]:
        monkeypatch.delenv(name)
    migrate.upgrade(servers.owner_url)
    migrate.locked(servers.owner_url, lambda tx: privileges.grant(tx, servers.role, sandbox=True))
    monkeypatch.setenv("HIPWAY_DATABASE_URL", servers.database_url)
    monkeypatch.setenv("HIPWAY_BROKER_URL", servers.broker_url)
    monkeypatch.setenv("HIPWAY_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("HIPWAY_PORT", str(free_port()))
    return monkeypatch


@pytest.fixture
def another_authority(servers, tmp_path):
    """A certificate that did not issue the servers'."""
    return shutil.copy(servers.certificates / "server.crt", tmp_path / "another.crt")


def fixes():
    return {found.what: f"{found.seen}; {found.fix}" for found in doctor.examine() if found.fix}


def advice():
    return {found.what: f"{found.seen}; {found.advice}" for found in doctor.examine() if found.advice}


def with_query(url, **options):
    parts = make_url(url)
    query = {name: value for name, value in {**parts.query, **options}.items() if value}
    return parts.set(query=query).render_as_string(hide_password=False)


def test_passwords_and_tls_to_both_are_in_order(environment):
    assert fixes() == {}
    assert advice() == {}


def test_a_wrong_password_is_told_from_everything_else(environment, servers, capsys):
    url = make_url(servers.database_url).set(password="s3cret").render_as_string(hide_password=False)
    environment.setenv("HIPWAY_DATABASE_URL", url)
    host = urlsplit(servers.broker_url).netloc.rpartition("@")[2]
    for user in (":s3cret@", ""):
        broker = servers.broker_url.replace(urlsplit(servers.broker_url).netloc, f"{user}{host}")
        environment.setenv("HIPWAY_BROKER_URL", broker)
        found = fixes()
        assert set(found) == {"database", "broker"}
        assert "does not take this role and password" in found["database"]
        assert "does not take this user and password" in found["broker"]

    assert main(["doctor"]) == 1
    assert "s3cret" not in capsys.readouterr().out


def test_a_database_that_wants_tls_says_so(environment, servers):
    environment.setenv("HIPWAY_DATABASE_URL", with_query(servers.database_url, sslmode="disable"))

    assert "takes no connection without TLS" in fixes()["database"]


def test_a_database_with_a_certificate_of_another_authority_is_not_trusted(
    environment, servers, another_authority
):
    url = with_query(servers.database_url, sslrootcert=str(another_authority))
    environment.setenv("HIPWAY_DATABASE_URL", url)

    assert "is not trusted" in fixes()["database"]


def test_a_database_with_the_certificate_of_another_host_is_named(environment, servers):
    # hostaddr: where to connect; host: whom to expect there
    url = make_url(servers.database_url).set(host="database.example.org")
    environment.setenv(
        "HIPWAY_DATABASE_URL", with_query(url.render_as_string(hide_password=False), hostaddr="127.0.0.1")
    )

    assert "for another host name" in fixes()["database"]


def test_a_file_that_is_no_certificate_is_named(environment, servers, tmp_path):
    for path in (tmp_path / "missing.crt", tmp_path / "empty.crt"):
        (tmp_path / "empty.crt").write_text("")
        environment.setenv("HIPWAY_DATABASE_URL", with_query(servers.database_url, sslrootcert=str(path)))
        assert "sslrootcert" in fixes()["database"]


def test_a_server_elsewhere_that_is_not_checked_is_advised(environment, servers):
    # By a name that is not loopback's, though it leads there.
    url = (
        make_url(servers.database_url).set(host="database.example.org").render_as_string(hide_password=False)
    )
    url = with_query(url, hostaddr="127.0.0.1", sslmode="require", sslrootcert="")
    environment.setenv("HIPWAY_DATABASE_URL", url)

    assert fixes() == {}
    assert "is not checked" in advice()["connection"]


def test_a_broker_that_wants_tls_says_so(environment, servers):
    plain = servers.broker_url.replace("rediss://", "redis://").partition("?")[0]
    environment.setenv("HIPWAY_BROKER_URL", plain)

    assert "rediss://" in fixes()["broker"]


def test_a_broker_with_a_certificate_of_another_authority_is_not_trusted(
    environment, servers, another_authority
):
    server = servers.broker_url.partition("?")[0]
    # Unasked, the certificate is looked at, too.
    for query in (
        "",
        "ssl_cert_reqs=required",
        f"ssl_cert_reqs=CERT_REQUIRED&ssl_ca_certs={another_authority}",
    ):
        environment.setenv("HIPWAY_BROKER_URL", f"{server}?{query}")
        assert "is not trusted" in fixes()["broker"]
    environment.setenv("HIPWAY_BROKER_URL", f"{server}?ssl_cert_reqs=required&ssl_ca_certs=/missing.crt")
    assert "ssl_ca_certs" in fixes()["broker"]


def test_a_broker_that_nobody_checks_is_advised(environment, servers):
    for query in ("?ssl_cert_reqs=none", "?ssl_cert_reqs=CERT_NONE"):
        environment.setenv("HIPWAY_BROKER_URL", servers.broker_url.partition("?")[0] + query)
        assert fixes() == {}
        assert "is not checked" in advice()["broker's certificate"]


def test_tls_asked_of_a_broker_without_it_is_named(environment):
    # A socket speaks no TLS; over TCP, whoever answers in plain words is as good as Redis.
    class Plain(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.recv(64)
            self.request.sendall(b"-ERR unknown command\r\n")

    with socketserver.TCPServer(("127.0.0.1", 0), Plain) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        environment.setenv("HIPWAY_BROKER_URL", f"rediss://127.0.0.1:{server.server_address[1]}/0")
        found = fixes()
        server.shutdown()

    assert "the server offers none" in found["broker"]
