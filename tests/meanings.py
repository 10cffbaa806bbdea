"""The page on which a code is given a meaning, for tests: its address, its forms, and the work after it."""

import html
import re
from urllib.parse import urlencode

from fhir_visits import CODES, LOCAL, bundle, patient, put

from fhir_profiles import reading
from service.fhir import transaction
from service.store import leased
from worker import trying
from worker.advance import advance

OWN = CODES + "gluteus-medius-pathway"
PAIN = "http://loinc.org|72514-3"
TENDER = f"{OWN}|greater-trochanter-tenderness"
URGENT = f"{OWN}|red-flag-infection"
SIDE = f"{OWN}|hip-left"
WHO = "gmt-1018"
LEFT = {"coding": [{"system": OWN, "code": "hip-left"}]}


def page_of(code, element="code", **more):
    asked = {"type": "Observation", "element": element, "system": LOCAL, "code": code}
    return "/inbox/codes/mapping?" + urlencode({**asked, **more})


def plain(page):
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<svg.*?</svg>|<[^>]*>", " ", page, flags=re.DOTALL)))


def send(database, *entries, who=WHO, sender="hospital"):
    sent = bundle(put(patient(who, mrn=who, name=[{"family": "Rossi"}], birthDate="1961-04-02")), *entries)
    transaction.accept(database, reading.read(reading.write(sent)), sender=sender)
    advance(database, 0, who)


def press(client, address, wanted, **chosen):
    """Post the form of a page that holds this."""
    page = client.get(address)
    assert page.status_code == 200
    for found in re.findall(r'<form[^>]*method="post".*?</form>', page.text, re.DOTALL):
        if wanted in found:
            action = html.unescape(re.search(r'action="([^"]*)"', found)[1])
            fields = dict(re.findall(r'<input[^>]* name="([^"]+)" value="([^"]*)"', found))
            return client.post(action, data={name: html.unescape(v) for name, v in fields.items()} | chosen)
    raise LookupError(wanted)


def try_all(database):
    """Do what a worker does."""
    with database.transaction() as tx:
        due = leased.due(tx, "preview", 10)
    for tenant, id_ in due:
        while trying.run(database, tenant, id_):
            pass
