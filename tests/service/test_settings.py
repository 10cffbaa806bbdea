"""Settings come from the environment, and what is missing or wrong is named."""

import pytest

from service.settings import REQUIRED_IN_PRODUCTION, InvalidSettings, Settings

PRODUCTION = {
    "HIPWAY_MODE": "production",
    "HIPWAY_DATABASE_URL": "postgresql://user:secret@database/hipway",
    "HIPWAY_BROKER_URL": "redis://broker",
    "HIPWAY_BASE_URL": "https://hipway.example.org/",
    "HIPWAY_SECRET_KEY": "long and random",
}


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
