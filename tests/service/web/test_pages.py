"""What holds for every page: files of our own only, words in two languages, nothing without a person."""

import hashlib
import json
import re
from pathlib import Path
from string import Formatter
from typing import Any

import pytest
from flask.testing import FlaskClient

from service.app import create_app
from service.settings import Settings
from service.store.database import Database

WEB = Path(__file__).parents[3] / "service" / "web"
TEMPLATES = sorted((WEB / "templates").glob("*.html"))


def messages(language: str) -> dict[str, str]:
    found: dict[str, str] = json.loads((WEB / f"messages.{language}.json").read_text())
    return found


def gaps(message: str) -> set[str | None]:
    return {name for _, name, _, _ in Formatter().parse(message) if name}


@pytest.mark.parametrize(
    "path",
    ["/", "/patients", "/operations", "/sandbox", "/acting", "/careplans/unknown", "/live", "/worklist.csv"],
)
def test_a_page_loads_nothing_from_elsewhere_and_is_not_kept(
    client: FlaskClient, record: Database, path: str
):
    answer = client.get(path)

    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["Cache-Control"] == "no-store"
    # An address that is only read, as the canonical one of a definition, loads nothing.
    loading = r'<script(?![^>]*src="/assets/)|<style|\sstyle=|\son\w+=|="https?://'
    assert not re.search(loading, answer.text)


def test_a_file_of_the_pages_is_kept_by_its_content(client: FlaskClient, record: Database):
    found = re.findall(r'(?:src|href)="(/assets/[^"]+)"', client.get("/").text)

    assert len(found) == 7
    for address in found:
        with client.get(address) as kept:
            assert kept.headers["Cache-Control"] == "public, max-age=31536000, immutable", address
            assert hashlib.sha256(kept.data).hexdigest().startswith(address.partition("?v=")[2])


@pytest.mark.parametrize("address", ["/assets/hipway.css", "/assets/hipway.css?v=0123456789abcdef"])
def test_a_file_under_an_older_address_is_not_kept(client: FlaskClient, record: Database, address: str):
    with client.get(address) as answer:
        assert answer.status_code == 200
        assert "immutable" not in answer.headers["Cache-Control"]


@pytest.mark.parametrize(
    "address", ["/assets/none.css", "/assets/../pages.py", "/assets/%2e%2e/pages.py?v=1"]
)
def test_no_other_file_is_served(client: FlaskClient, record: Database, address: str):
    assert client.get(address).status_code == 404


def test_both_languages_say_the_same_things():
    english, german = messages("en"), messages("de")

    assert list(english) == list(german)
    assert {k: gaps(v) for k, v in english.items()} == {k: gaps(v) for k, v in german.items()}


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda t: t.name)
def test_every_word_of_a_template_is_in_the_messages(template: Path):
    used = re.findall(r"""\bt\("([\w.-]+)"[,)]""", template.read_text())
    counted = re.findall(r"""\bt\.count\("([\w.-]+)",""", template.read_text())

    known = messages("en")
    assert [key for key in used if key not in known] == []
    assert [key for key in counted if f"{key}.one" not in known or f"{key}.many" not in known] == []


def test_the_vendored_script_is_the_one_that_was_read():
    vendor = WEB / "static" / "vendor"
    (said,) = re.findall(r"`([0-9a-f]{64})`", (vendor / "README.md").read_text())

    assert hashlib.sha256((vendor / "htmx.min.js").read_bytes()).hexdigest() == said


def test_a_forged_choice_of_person_chooses_nobody(client: FlaskClient, record: Database):
    client.set_cookie("hipway-acting", "InZvZ3Qi.forged")

    assert "Nobody chosen yet" in client.get("/").text


@pytest.mark.parametrize(
    "back", ["//evil.example", "https://evil.example", "/\\evil.example", "/\t/evil.example"]
)
def test_choosing_a_person_never_leads_elsewhere(client: FlaskClient, record: Database, form: Any, back: str):
    fields = form(client.get("/acting").text, "acting")

    answer = client.post("/acting", data={**fields.values, "person": "vogt", "back": back})

    assert answer.headers["Location"] == "/"


def test_a_record_that_cannot_be_reached_is_said_and_nothing_else(form: Any):
    database = Database("postgresql://nobody:nothing@127.0.0.1:1/none")
    client = create_app(Settings(), database).test_client()

    page = client.get("/")

    database.close()
    assert page.status_code == 503
    assert "The record cannot be reached now" in page.text
    assert "nobody" not in page.text


def test_an_address_that_no_id_can_be_is_not_found(client):
    assert client.get("/careplans/%00").status_code == 404


@pytest.mark.parametrize(
    ("silent", "said"),
    [
        pytest.param("sweep", "Automation has stood still since", id="the sweep"),
        pytest.param("broker", "Evaluations have been slow since", id="the broker"),
        pytest.param("worker", "No worker has answered since", id="the workers"),
    ],
)
def test_every_page_says_what_stands_still_and_since_when(client, record, silent, said):
    """SP-04: the pages tell what the automation no longer does."""
    with record.transaction() as tx:
        tx.exec_driver_sql(
            "UPDATE heartbeat SET seen_at = clock_timestamp() - interval '1 minute' WHERE process = %s",
            (silent,),
        )

    for path in ("/", "/sandbox"):
        page = client.get(path).text
        assert said in page
        assert page.count('aria-label="Automation"') == 1
    assert "automation is disturbed" in client.get("/live").text


def test_while_everything_works_no_page_speaks_of_it(client):
    assert 'aria-label="Automation"' not in client.get("/").text
    assert "disturbed" not in client.get("/live").text
