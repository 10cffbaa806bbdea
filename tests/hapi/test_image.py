"""The HAPI image that docker-compose.yml starts is set as our own assembly in java/ sets itself.

https://github.com/hapifhir/hapi-fhir-jpaserver-starter/tree/image/v8.8.0-1
"""

import re
from pathlib import Path
from typing import Any

import yaml

from hapi.server import INTERVAL_MS, SOURCES

ROOT = Path(__file__).parents[2]
CONFIGURED: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "application.yaml").read_text())
SOURCE = "".join(path.read_text() for path in sorted(SOURCES.rglob("*.java")))

#: what java/ says, and where the image is told the same
FHIR, HIBERNATE, POOL = (
    ("hapi", "fhir"),
    ("spring", "jpa", "properties", "hibernate"),
    ("spring", "datasource"),
)
SAME: dict[str, tuple[tuple[str, ...], object]] = {
    "settings.setReuseCachedSearchResultsForMillis(null)": (
        (*FHIR, "reuse_cached_search_results_millis"),
        # The starter reads it as null.
        0,
    ),
    "settings.setResourceServerIdStrategy(JpaStorageSettings.IdStrategyEnum.UUID)": (
        (*FHIR, "server_id_strategy"),
        "UUID",
    ),
    "settings.setAllowExternalReferences(true)": ((*FHIR, "allow_external_references"), True),
    "settings.addSupportedSubscriptionType(Subscription.SubscriptionChannelType.RESTHOOK)": (
        (*FHIR, "subscription", "resthook_enabled"),
        True,
    ),
    'settings.setSubscriptionIntervalInMs(Long.parseLong(System.getenv("HAPI_SUBSCRIPTION_INTERVAL_MS")))': (
        (*FHIR, "subscription", "polling_interval_ms"),
        INTERVAL_MS,
    ),
    'properties.put("hibernate.dialect", HapiFhirPostgresDialect.class.getName())': (
        (*HIBERNATE, "dialect"),
        "ca.uhn.fhir.jpa.model.dialect.HapiFhirPostgresDialect",
    ),
    'properties.put("hibernate.hbm2ddl.auto", "update")': ((*HIBERNATE, "hbm2ddl", "auto"), "update"),
    'properties.put("hibernate.search.enabled", "false")': ((*HIBERNATE, "search", "enabled"), False),
    'properties.put("hibernate.jdbc.batch_size", "20")': ((*HIBERNATE, "jdbc", "batch_size"), 20),
    "paging.setDefaultPageSize(50)": ((*FHIR, "default_page_size"), 50),
    "paging.setMaximumPageSize(500)": ((*FHIR, "max_page_size"), 500),
    "pool.setMaxTotal(20)": ((*POOL, "hikari", "maximum-pool-size"), 20),
    "server.setDefaultResponseEncoding(EncodingEnum.JSON)": ((*FHIR, "default_encoding"), "JSON"),
    "server.registerInterceptor(new UserRequestRetryVersionConflictsInterceptor())": (
        (*FHIR, "userRequestRetryVersionConflictsInterceptorEnabled"),
        True,
    ),
    "ApplyOperationConfig.class, EvaluateOperationConfig.class": ((*FHIR, "cr", "enabled"), True),
    "    JpaR4Config.class,": ((*FHIR, "fhir_version"), "R4"),
}

#: a call of one of the objects that hold settings
SETTING = re.compile(
    r"^\s*((?:settings|paging|pool|server)\.(?:set|add)\w+\(.*\)|properties\.put\(.*\)|server\.registerInterceptor\(.*\));$",
    re.MULTILINE,
)

#: what is not the same: where the database is, and the address of the server, which the image takes from
#: whoever asks
ELSEWHERE = re.compile(r"System\.getenv\(\"HAPI_DATABASE|setServerAddressStrategy|setPagingProvider")


def test_every_setting_of_ours_is_one_of_the_image():
    ours = [found for found in SETTING.findall(SOURCE) if not ELSEWHERE.search(found)]

    assert len(ours) > 10
    assert [setting for setting in ours if setting not in SAME] == []


def test_each_has_the_same_value_on_both_sides():
    for setting, (path, value) in SAME.items():
        found = CONFIGURED
        for name in path:
            found = found[name]
        assert setting in SOURCE
        assert (type(found), found) == (type(value), value), ".".join(path)


def test_references_are_checked_by_both():
    # Ours leaves HAPI's default, which the image is told by name.
    assert "setEnforceReferentialIntegrityOnWrite" not in SOURCE
    assert CONFIGURED["hapi"]["fhir"]["enforce_referential_integrity_on_write"] is True


def test_both_are_the_same_version():
    image = re.search(
        r"image: hapiproject/hapi:v(\S+)-\d+$", (ROOT / "docker-compose.yml").read_text(), re.MULTILINE
    )
    versions = re.findall(
        r"<groupId>ca\.uhn\.hapi\.fhir</groupId>\s*<artifactId>\S+\s*<version>(\S+)</version>",
        (SOURCES / "pom.xml").read_text(),
    )

    assert image
    assert set(versions) == {image[1]}


def test_the_password_is_in_a_file_that_is_made():
    assert CONFIGURED["spring"]["config"]["import"] == "configtree:/secrets/"
    assert CONFIGURED["spring"]["datasource"]["password"] == "${database_password}"
