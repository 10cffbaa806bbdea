"""Settings come from the environment, and what is missing or wrong is named."""

from pathlib import Path

import pytest

from service.settings import REQUIRED_IN_PRODUCTION, InvalidSettings, Settings

PRODUCTION = {
    "HIPWAY_MODE": "production",
    "HIPWAY_DATABASE_URL": "postgresql://user:secret@database/hipway",
    "HIPWAY_BROKER_URL": "redis://broker",
    "HIPWAY_BASE_URL": "https://hipway.example.org/",
    "HIPWAY_SECRET_KEY": "long and random, not to be guessed",
}
PROXIED = {**PRODUCTION, "HIPWAY_TRUSTED_PROXIES": "10.0.0.7, 192.0.2.0/24"}


def test_nothing_set_is_a_sandbox_on_the_loopback_address():
    settings = Settings.from_environment({})

    assert (settings.mode, settings.host, settings.port, settings.demo) == (
        "sandbox",
        "127.0.0.1",
        8000,
        True,
    )


@pytest.mark.parametrize("variable", REQUIRED_IN_PRODUCTION)
def test_production_refuses_to_start_without(variable: str):
    with pytest.raises(InvalidSettings, match=variable):
        Settings.from_environment({**PRODUCTION, variable: ""})


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        pytest.param({"HIPWAY_TRUSTED_PROXIES": ""}, "HIPWAY_TLS_CERTIFICATE_FILE", id="nobody speaks TLS"),
        pytest.param({"HIPWAY_BASE_URL": "http://hipway.example.org"}, "HIPWAY_BASE_URL", id="no https"),
        pytest.param({"HIPWAY_SECRET_KEY": "x" * 31}, "HIPWAY_SECRET_KEY", id="a short key"),
    ],
)
def test_production_is_not_served_where_others_could_read_along(changed: dict[str, str], named: str):
    Settings.from_environment(PROXIED).assert_served_safely()

    with pytest.raises(InvalidSettings, match=f"^{named} "):
        Settings.from_environment({**PROXIED, **changed}).assert_served_safely()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        pytest.param("HIPWAY_TRUSTED_PROXIES", "0.0.0.0/0", id="everybody is a proxy"),
        pytest.param("HIPWAY_TRUSTED_PROXIES", "proxy.example.org", id="a name"),
        pytest.param("HIPWAY_TLS_KEY_FILE", __file__, id="a key without a certificate"),
        pytest.param("HIPWAY_OIDC_CLIENT_ID", "hipway", id="a client without a provider"),
        pytest.param("HIPWAY_OIDC_ISSUER", "http://sign-on.example.org", id="a provider without TLS"),
        pytest.param("HIPWAY_OIDC_ISSUER", "https://sign-on.example.org", id="a provider without a client"),
        pytest.param("HIPWAY_SESSION_IDLE_MINUTES", "0", id="no time at all"),
        pytest.param("HIPWAY_METRICS_TOKEN_FILE", "/nowhere", id="a token that is not there"),
    ],
)
def test_a_setting_of_the_sign_in_that_cannot_be_meant_is_refused(variable: str, value: str):
    with pytest.raises(InvalidSettings, match=r"^HIPWAY_"):
        Settings.from_environment({**PROXIED, variable: value})


def test_subscribers_are_told_at_public_addresses_unless_networks_are_named(tmp_path: Path):
    assert Settings.from_environment({}).subscribers_networks == ()
    asked = {
        "HIPWAY_SUBSCRIBERS_NETWORKS": "10.20.0.0/16, 192.0.2.7",
        "HIPWAY_SUBSCRIBERS_CA_FILE": str(tmp_path / "ca.pem"),
    }

    settings = Settings.from_environment(asked)

    assert [str(network) for network in settings.subscribers_networks] == ["10.20.0.0/16", "192.0.2.7/32"]
    assert settings.subscribers_ca_file == tmp_path / "ca.pem"
    for everybody in ("0.0.0.0/0", "::/0", "inside.example"):
        with pytest.raises(InvalidSettings, match="HIPWAY_SUBSCRIBERS_NETWORKS"):
            Settings.from_environment({"HIPWAY_SUBSCRIBERS_NETWORKS": everybody})


def test_production_has_no_demo_patients():
    assert Settings.from_environment({**PRODUCTION, "HIPWAY_DEMO": "1"}).demo is False


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        pytest.param("HIPWAY_MODE", "Production", id="mode"),
        pytest.param("HIPWAY_PORT", "0", id="port below the range"),
        pytest.param("HIPWAY_PORT", "65536", id="port above the range"),
        pytest.param("HIPWAY_PORT", "80x", id="port not a number"),
        pytest.param("HIPWAY_WEB_PROCESSES", "-1", id="processes"),
        pytest.param("HIPWAY_INTAKE_SLOTS", "0", id="nothing stored at once"),
        pytest.param("HIPWAY_INTAKE_QUEUE", "1001", id="a queue above the range"),
        pytest.param("HIPWAY_DEMO", "yes", id="demo"),
        pytest.param("HIPWAY_DATABASE_URL", "mysql://user:secret@h/d", id="database of another kind"),
        pytest.param("HIPWAY_BROKER_URL", "amqp://user:secret@h", id="broker of another kind"),
    ],
)
def test_a_value_that_cannot_be_used_is_named_and_not_repeated(variable: str, value: str):
    with pytest.raises(InvalidSettings) as refused:
        Settings.from_environment({variable: value})

    assert refused.value.variable == variable
    assert "secret" not in str(refused.value)


def test_the_base_url_ends_without_a_slash():
    assert Settings.from_environment(PRODUCTION).base_url == "https://hipway.example.org"


@pytest.mark.parametrize(
    ("variable", "url"),
    [
        pytest.param(
            "HIPWAY_BROKER_URL", "rediss://user:p%40ss@broker:6380/2?ssl_cert_reqs=required", id="TLS"
        ),
        pytest.param("HIPWAY_BROKER_URL", "redis+socket:///run/valkey.sock?virtual_host=1", id="socket"),
        pytest.param(
            "HIPWAY_DATABASE_URL",
            "postgresql://user:p%40ss@one,two/hipway?sslmode=verify-full&sslrootcert=/etc/ssl/hospital.pem",
            id="database over TLS",
        ),
    ],
)
def test_a_url_is_taken_as_it_is(variable: str, url: str):
    settings = Settings.from_environment({variable: url})

    assert url in (settings.broker_url, settings.database_url)


@pytest.mark.parametrize(
    ("url", "whole"),
    [
        pytest.param(
            "postgresql://hipway@db/hipway",
            "postgresql://hipway:a%2Fb%3A%40%20%C3%A9%25@db/hipway",
            id="database",
        ),
        pytest.param(
            "postgresql://hipway@one:5432,two:5432/hipway?sslmode=verify-full&sslrootcert=/ca.pem",
            "postgresql://hipway:a%2Fb%3A%40%20%C3%A9%25@one:5432,two:5432/hipway"
            "?sslmode=verify-full&sslrootcert=/ca.pem",
            id="database over TLS on two hosts",
        ),
        pytest.param(
            "postgresql://hipway@/hipway?host=/run/pg",
            "postgresql://hipway:a%2Fb%3A%40%20%C3%A9%25@/hipway?host=/run/pg",
            id="database on a socket",
        ),
        pytest.param("redis://broker", "redis://:a%2Fb%3A%40%20%C3%A9%25@broker", id="broker without a user"),
        pytest.param(
            "rediss://hipway@broker:6380/2?ssl_cert_reqs=required",
            "rediss://hipway:a%2Fb%3A%40%20%C3%A9%25@broker:6380/2?ssl_cert_reqs=required",
            id="broker with a user, over TLS",
        ),
    ],
)
def test_a_password_comes_from_a_file(tmp_path: Path, url: str, whole: str):
    file = tmp_path / "password"
    file.write_text("a/b:@ é%\n", encoding="utf-8")
    part = "HIPWAY_DATABASE" if url.startswith("postgresql") else "HIPWAY_BROKER"

    settings = Settings.from_environment({f"{part}_URL": url, f"{part}_PASSWORD_FILE": str(file)})

    assert whole in (settings.database_url, settings.broker_url)
    assert "a/b" not in repr(settings)
    assert "a%2Fb" not in repr(settings)


@pytest.mark.parametrize(
    ("variable", "others"),
    [
        ("HIPWAY_DATABASE_PASSWORD_FILE", {"HIPWAY_DATABASE_URL": "postgresql://hipway@db/hipway"}),
        ("HIPWAY_BROKER_PASSWORD_FILE", {"HIPWAY_BROKER_URL": "redis://broker"}),
        ("HIPWAY_SECRET_KEY_FILE", {}),
    ],
)
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(None, "cannot be read", id="missing"),
        pytest.param(b"", "is empty", id="empty"),
        pytest.param(b"\n", "is empty", id="a newline only"),
        pytest.param(b"first\nsecond\n", "more than one line", id="two lines"),
        pytest.param(b"\xff\xfe", "is not text", id="not text"),
    ],
)
def test_a_file_that_holds_no_secret_is_refused_by_its_variable(
    tmp_path: Path, variable: str, others: dict[str, str], content: bytes | None, reason: str
):
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(InvalidSettings, match=reason) as refused:
        Settings.from_environment({**others, variable: str(file)})

    assert refused.value.variable == variable
    assert "second" not in str(refused.value)


@pytest.mark.parametrize(
    ("variable", "others"),
    [
        pytest.param(
            "HIPWAY_DATABASE_PASSWORD_FILE",
            {"HIPWAY_DATABASE_URL": "postgresql://hipway:secret@db/hipway"},
            id="database",
        ),
        pytest.param(
            "HIPWAY_DATABASE_PASSWORD_FILE",
            {"HIPWAY_DATABASE_URL": "postgresql://hipway@db/hipway?password=secret"},
            id="database, among the options",
        ),
        pytest.param(
            "HIPWAY_BROKER_PASSWORD_FILE", {"HIPWAY_BROKER_URL": "redis://:secret@broker"}, id="broker"
        ),
        pytest.param("HIPWAY_SECRET_KEY_FILE", {"HIPWAY_SECRET_KEY": "secret"}, id="key"),
    ],
)
def test_a_secret_in_two_places_is_refused(tmp_path: Path, variable: str, others: dict[str, str]):
    file = tmp_path / "password"
    file.write_text("another")

    with pytest.raises(InvalidSettings, match="keep one of them") as refused:
        Settings.from_environment({**others, variable: str(file)})

    assert refused.value.variable == variable
    assert "secret" not in str(refused.value).lower().replace("hipway_secret_key", "")


@pytest.mark.parametrize(
    ("variable", "others", "reason"),
    [
        ("HIPWAY_DATABASE_PASSWORD_FILE", {}, "HIPWAY_DATABASE_URL is not"),
        ("HIPWAY_BROKER_PASSWORD_FILE", {}, "HIPWAY_BROKER_URL is not"),
        ("HIPWAY_DATABASE_PASSWORD_FILE", {"HIPWAY_DATABASE_URL": "postgresql://db/hipway"}, "names no user"),
    ],
)
def test_a_password_without_a_place_for_it_is_refused(
    tmp_path: Path, variable: str, others: dict[str, str], reason: str
):
    file = tmp_path / "password"
    file.write_text("secret")

    with pytest.raises(InvalidSettings, match=reason):
        Settings.from_environment({**others, variable: str(file)})


def test_the_key_of_production_may_come_from_a_file(tmp_path: Path):
    file = tmp_path / "key"
    file.write_text("long and random\n")

    settings = Settings.from_environment(
        {**PRODUCTION, "HIPWAY_SECRET_KEY": "", "HIPWAY_SECRET_KEY_FILE": str(file)}
    )

    assert settings.secret_key == "long and random"


@pytest.mark.parametrize(
    ("given", "used"),
    [
        pytest.param("rediss://:p@broker/0", "rediss://:p@broker/0?ssl_cert_reqs=required", id="unasked"),
        pytest.param(
            "rediss://:p@broker/0?ssl_ca_certs=/ca.crt",
            "rediss://:p@broker/0?ssl_ca_certs=/ca.crt&ssl_cert_reqs=required",
            id="with an authority",
        ),
        pytest.param(
            "rediss://:p@broker/0?ssl_cert_reqs=none", "rediss://:p@broker/0?ssl_cert_reqs=none", id="off"
        ),
        pytest.param("redis://:p@broker/0", "redis://:p@broker/0", id="without TLS"),
    ],
)
def test_the_certificate_of_a_broker_is_looked_at_unless_the_url_says_not_to(given, used):
    assert Settings.from_environment({"HIPWAY_BROKER_URL": given}).broker_url == used


def test_every_bundle_that_is_stored_has_a_connection_and_the_pages_have_some_too():
    assert Settings().web_connections == 16
    assert Settings(intake_slots=64).web_connections == 68
