"""`hipway web` in production, a process of its own that speaks TLS: sign in, sign, be timed out, decide."""

import os
import re
import ssl
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
import signing_in
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from installations import free_port
from sqlalchemy import text

START_S = 90


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for localhost that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    begin = datetime.now(UTC) - timedelta(hours=1)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=90))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    files = folder / "tls.crt", folder / "tls.key"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    files[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, *plain))
    return files


@pytest.fixture(scope="module")
def environment(database_url, broker_url, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    chain, key = certificate(folder)
    port = free_port()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HIPWAY_")}
    return {
        **inherited,
        "HIPWAY_MODE": "production",
        "HIPWAY_DATABASE_URL": database_url,
        "HIPWAY_BROKER_URL": broker_url,
        "HIPWAY_PORT": str(port),
        "HIPWAY_BASE_URL": f"https://localhost:{port}",
        "HIPWAY_SECRET_KEY": "a key that nobody guesses in a test",
        "HIPWAY_TLS_CERTIFICATE_FILE": str(chain),
        "HIPWAY_TLS_KEY_FILE": str(key),
        "HIPWAY_SESSION_IDLE_MINUTES": "20",
        "HIPWAY_DATA": str(folder),
    }


@pytest.fixture(scope="module")
def url(environment):
    """The address of the running process, which a browser reaches by TLS alone."""
    process = subprocess.Popen(
        [sys.executable, "-m", "service.commands", "web"],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    ready = [sys.executable, "-m", "service.commands", "ready", "web"]
    deadline = time.monotonic() + START_S
    while subprocess.run(ready, env=environment, capture_output=True).returncode != 0:
        assert process.poll() is None, "the web process ended"
        assert time.monotonic() < deadline, "the web process does not answer"
        time.sleep(0.2)
    yield environment["HIPWAY_BASE_URL"]
    process.terminate()
    process.wait(30)


@pytest.fixture
def client(url, environment, owner, record):
    signing_in.account(owner, "vogt", "vogt")
    trusted = ssl.create_default_context(cafile=environment["HIPWAY_TLS_CERTIFICATE_FILE"])
    with httpx.Client(
        base_url=url, verify=trusted, follow_redirects=True, trust_env=False, timeout=60
    ) as client:
        yield client


def sign_in(client, page):
    fields = signing_in.hidden(page.text, "/sign-in")
    return client.post("/sign-in", data={**fields, "name": "vogt", "password": signing_in.PASSWORD})


def form_of(html, decision):
    for form in re.findall(r'<form[^>]*action="[^"]*/decisions".*?</form>', html, re.DOTALL):
        fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form))
        if fields.get("decision") == decision:
            return fields
    raise AssertionError(f"{decision} is not offered")


def decided(record):
    """Who decided what, of what was stored by people."""
    with record.transaction() as tx:
        bodies = tx.execute(text("SELECT body FROM resource WHERE type = 'Task' AND NOT owned ORDER BY key"))
        found = bodies.scalars().all()
    return [re.search(r"Practitioner/\w+", body)[0] for body in found], found


def test_a_clinician_signs_is_timed_out_in_the_middle_of_a_form_and_decides(client, record, story):
    referral = f"/careplans/{story('referral').save(record).plan}"
    other = f"/careplans/{story('referral', patient='gmt-9', family='Rossi').save(record).plan}"

    asked = client.get(referral)
    assert asked.url.path == "/sign-in"
    plan = sign_in(client, asked)
    assert plan.url.path == referral
    assert "Maren Vogt" in plan.text
    receipt = client.post(f"{referral}/decisions", data=form_of(plan.text, "sign"))
    assert receipt.status_code == 200
    assert decided(record)[0] == ["Practitioner/vogt"]

    typed = {**form_of(client.get(other).text, "decline"), "reason": "other", "text": "Away until October."}
    with record.transaction() as tx:
        tx.execute(text("UPDATE session SET seen_at = seen_at - interval '21 minutes'"))
    late = client.post(f"{other}/decisions", data=typed)
    assert late.url.path == "/sign-in"
    assert len(decided(record)[0]) == 1

    back = sign_in(client, late)
    assert back.url.path == other
    assert ">Away until October.</textarea>" in back.text
    again = {**form_of(back.text, "decline"), "reason": "other", "text": "Away until October."}
    assert client.post(f"{other}/decisions", data=again).status_code == 200

    who, bodies = decided(record)
    assert who == ["Practitioner/vogt"] * 2
    assert "Away until October." in bodies[1]


def test_the_strip_of_the_sandbox_is_not_there_and_its_control_neither(client):
    page = sign_in(client, client.get("/"))

    assert "Sandbox" not in page.text
    assert "Choose who acts" not in page.text
    assert client.get("/sandbox").status_code == 404
    assert client.get("/sandbox/clock").status_code == 404
    assert "/acting" in page.text


def test_the_doctor_finds_what_production_needs(environment, url):
    said = subprocess.run(
        [sys.executable, "-m", "service.commands", "doctor"], env=environment, capture_output=True, text=True
    )

    assert "well  TLS: a certificate until" in said.stdout
    assert "senders: none with a token" in said.stdout
    assert "well  port: hipway answers at https://" in said.stdout


@pytest.mark.requires("browser")
def test_the_sign_in_page_is_for_everybody_and_a_browser_takes_its_cookies(chromium, url, client, record):
    from axe_playwright_python.sync_playwright import Axe
    from playwright.sync_api import sync_playwright

    problems: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for scheme, width in (("light", 1440), ("dark", 1440), ("light", 390)):
            context = browser.new_context(
                viewport={"width": width, "height": 900}, color_scheme=scheme, ignore_https_errors=True
            )
            page = context.new_page()
            page.goto(f"{url}/inbox")
            page.get_by_label("User", exact=True).fill("vogt")
            if scheme == "light":
                page.get_by_label("Password", exact=True).fill("not this one either")
                page.get_by_role("button", name="Sign in").press("Enter")
                page.get_by_role("alert").wait_for()
            found = Axe().run(page).response["violations"]
            problems += [f"{scheme} {width}: {f['id']} {f['nodes'][0]['html'][:120]}" for f in found]
            if page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
                problems.append(f"{scheme} {width}: scrolls sideways")
            page.get_by_label("Password", exact=True).fill(signing_in.PASSWORD)
            page.get_by_role("button", name="Sign in").press("Enter")
            page.wait_for_url("**/inbox")
            with record.transaction() as tx:
                tx.execute(text("DELETE FROM sign_in_failure"))
            cookies = {cookie["name"]: cookie for cookie in context.cookies()}
            assert cookies[signing_in.SESSION]["secure"]
            assert cookies[signing_in.SESSION]["httpOnly"]
            assert signing_in.BEFORE not in cookies
            page.get_by_role("button", name="Sign out").press("Enter")
            page.get_by_text("You are signed out.").wait_for()
            context.close()
        browser.close()

    assert problems == []


@pytest.mark.requires("browser")
def test_the_password_is_changed_in_a_browser_and_axe_finds_nothing(chromium, url, client, owner, record):
    from axe_playwright_python.sync_playwright import Axe
    from playwright.sync_api import sync_playwright

    name, new = f"p-{uuid4().hex[:8]}", "four more words here"
    signing_in.account(owner, name, "vogt")
    problems: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        present = signing_in.PASSWORD
        for scheme, width in (("light", 1440), ("dark", 1440), ("light", 390)):
            context = browser.new_context(
                viewport={"width": width, "height": 900}, color_scheme=scheme, ignore_https_errors=True
            )
            page = context.new_page()
            page.goto(f"{url}/acting/password")
            page.get_by_label("User", exact=True).fill(name)
            page.get_by_label("Password", exact=True).fill(present)
            page.get_by_role("button", name="Sign in").press("Enter")
            page.wait_for_url("**/acting/password")
            for old, next_ in (("not this one either", new), (present, f"{new} {scheme} {width}")):
                page.get_by_label("Present password").fill(old)
                page.get_by_label("New password", exact=True).fill(next_)
                page.get_by_label("New password again").fill(next_)
                page.get_by_role("button", name="Change the password").press("Enter")
                page.locator(".alarm[role]").get_by_text("password").first.wait_for()
                found = Axe().run(page).response["violations"]
                problems += [f"{scheme} {width}: {f['id']} {f['nodes'][0]['html'][:120]}" for f in found]
                if page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
                    problems.append(f"{scheme} {width}: scrolls sideways")
            page.get_by_text("The password is changed.").wait_for()
            present = next_
            context.close()
        browser.close()

    assert problems == []
