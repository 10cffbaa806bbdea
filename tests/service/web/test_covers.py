"""While somebody is away a colleague sees the work, and nobody gains a right by it (ui.md, 3 and 12)."""

import re
from datetime import date

import pytest

from service import clock
from service.store import resources
from service.store.resources import Write
from service.web import covers
from service.web.covers import Cover

DAYS = {"start": "2026-06-22", "end": "2026-06-26"}


@pytest.fixture(autouse=True)
def apart(record):
    """Roles are nobody's data and stay when patients are erased: what a test arranged goes with it."""
    yield
    with record.transaction() as tx:
        for table in ("resource", "history"):
            tx.exec_driver_sql(
                f"DELETE FROM {table} WHERE type IN ('PractitionerRole', 'Provenance') AND patient IS NULL"
            )


@pytest.fixture
def owned(record, story, act, client):
    """A referral of whose two Tasks the clinician has taken one."""
    story("referral").save(record)
    act(client, "vogt")
    for task in re.findall(r'action="(/tasks/[^"]+/take)"', client.get("/?view=nobody").text):
        page = client.get("/?view=nobody").text
        form = page.split(f'action="{task}"')[1].split("</form>")[0]
        fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', form))
        assert client.post(task, data=fields).status_code == 303
    assert counts(client) == [1, 2, 1]
    return record


def plans(client):
    found = set(re.findall(r'href="(/careplans/[^"#]+)"', client.get("/?view=mine").text))
    assert found
    return found


def counts(client):
    views = client.get("/?view=mine").text.split('class="views"')[1].split("</nav>")[0]
    return [int(n) for n in re.findall(r'class="count"[^>]*>(\d+)', views)][:3]


def arranged(client, form, **more):
    fields = form(client.get("/acting").text, "covers")
    return client.post("/covers", data={**fields.values, "absent": "vogt", "by": "arslan", **DAYS, **more})


def test_who_covers_sees_the_work_as_theirs_and_from_whom_it_is(client, owned, act, form):
    assert arranged(client, form).status_code == 303

    act(client, "arslan")
    page = client.get("/?view=mine").text
    assert counts(client)[0] == 1
    assert page.count("you cover") == 1
    assert "Dr Maren Vogt" in page
    act(client, "lindqvist")
    assert counts(client)[0] == 0


def test_a_cover_gives_no_right_to_sign(client, owned, act, form):
    arranged(client, form)
    act(client, "arslan")

    assert "Review and sign" not in client.get("/?view=mine").text
    assert all('name="decision"' not in client.get(plan).text for plan in plans(client))


@pytest.mark.parametrize(
    ("day", "mine"), [("2026-06-21", 0), ("2026-06-22", 1), ("2026-06-26", 1), ("2026-06-27", 0)]
)
def test_it_lasts_from_the_first_to_the_last_day(client, owned, act, form, day, mine):
    arranged(client, form)
    with owned.transaction() as tx:
        clock.set_(tx, clock.now(tx).replace(day=int(day[-2:]), hour=23), held=False)

    act(client, "arslan")

    assert counts(client)[0] == mine


def test_the_same_form_sent_twice_arranges_one_cover_and_who_did_it_is_kept(client, owned, form):
    fields = form(client.get("/acting").text, "covers")
    sent = {**fields.values, "absent": "vogt", "by": "arslan", **DAYS}

    answers = [client.post("/covers", data=sent).status_code for _ in range(2)]

    with owned.transaction() as tx:
        query = "SELECT version, body FROM resource WHERE type = 'Provenance' AND body LIKE %(of)s"
        rows = tx.exec_driver_sql(query, {"of": "%PractitionerRole/%"}).all()
    assert answers == [303, 303]
    assert len(re.findall(r'action="/covers/[^"]+/end"', client.get("/acting").text)) == 1
    ((version, body),) = rows
    assert version == 1
    assert '"reference":"Practitioner/vogt"' in body


def test_it_is_ended_at_once_and_only_as_it_was_read(client, owned, act, form):
    arranged(client, form)
    page = client.get("/acting").text
    (address,) = re.findall(r'action="(/covers/[^"]+/end)"', page)
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', page.split(address)[1].split("</form>")[0]))

    assert client.post(address, data={**fields, "version": "7"}).status_code == 409
    assert client.post(address, data=fields).status_code == 303
    assert client.post(address, data=fields).status_code == 404

    act(client, "arslan")
    assert counts(client)[0] == 0
    assert "does the work of" not in client.get("/acting").text


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"by": "vogt"}, id="oneself"),
        pytest.param({"by": "stranger"}, id="a stranger"),
        pytest.param({"absent": ""}, id="nobody"),
        pytest.param({"end": "2026-06-21"}, id="over"),
        pytest.param({"start": "2026-06-27"}, id="ends before it begins"),
        pytest.param({"start": "soon"}, id="no day"),
    ],
)
def test_what_cannot_be_arranged_is_refused(client, owned, form, wrong):
    assert arranged(client, form, **wrong).status_code == 422
    assert "does the work of" not in client.get("/acting").text


def test_nobody_arranges_without_acting_and_no_form_of_elsewhere_does(client, record, act, form):
    wanted = {"absent": "vogt", "by": "arslan", **DAYS}
    assert client.post("/covers", data=wanted).status_code == 422
    assert client.post("/covers/x/end", data={}).status_code == 422
    act(client, "vogt")
    fields = form(client.get("/acting").text, "covers")
    forged = client.post("/covers", data={**fields.values, **wanted, "token": "made up"})

    assert forged.status_code == 422
    assert "too old" in forged.text
    assert "does the work of" not in client.get("/acting").text


def test_a_role_of_ones_own_is_held_while_its_period_lasts(client, record, act):
    with record.transaction() as tx:
        stored = resources.current(tx, "PractitionerRole", "arslan-role", tenant=0)
        body = {**stored.resource, "period": {"end": "2026-06-21"}}
        write = Write(type="PractitionerRole", id="arslan-role", body=body, patient=None, owned=False)
        resources.save(tx, [write], tenant=0, now=clock.now(tx))

    assert "Elif Arslan" not in client.get("/acting").text


def test_what_somebody_who_left_had_taken_is_in_sight_of_all_who_hold_its_role(client, owned, act):
    def taken():
        return [
            row
            for row in re.findall(r"<tr[ >].*?</tr>", client.get("/?view=team").text, re.DOTALL)
            if "Dr Maren Vogt" in row
        ]

    with owned.transaction() as tx:
        vogt = resources.current(tx, "PractitionerRole", "vogt-role", tenant=0).resource
        gone = {**vogt, "active": False}
        write = Write(type="PractitionerRole", id="vogt-role", body=gone, patient=None)
        resources.save(tx, [write], tenant=0, now=clock.now(tx))
    assert "Maren Vogt" not in client.get("/acting").text

    act(client, "lindqvist")
    (row,) = taken()
    assert "Modify the programme" in row
    act(client, "arslan")
    assert taken() == []


def test_a_cover_with_a_code_that_somebody_sends_gives_no_right_either(client, record):
    with record.transaction() as tx:
        vogt = resources.current(tx, "PractitionerRole", "vogt-role", tenant=0).resource
        body = {
            **vogt,
            "id": "sent",
            "extension": [{"url": covers.COVERS, "valueReference": {"reference": "Practitioner/vogt"}}],
            "practitioner": {"reference": "Practitioner/arslan"},
            "period": DAYS,
        }
        role = Write(type="PractitionerRole", id="sent", body=body, patient=None, owned=False)
        resources.save(tx, [role], tenant=0, now=clock.now(tx))

    people = client.get("/acting").text.split("Elif Arslan</span>")[1].split("</li>")[0]
    assert "may sign" not in people


@pytest.mark.parametrize(
    ("end", "held"), [("2026-06", True), ("2026-05", False), ("2026", True), ("2025", False), ("soon", False)]
)
def test_a_period_that_names_no_day_lasts_to_its_last_one(end, held):
    role = {"resourceType": "PractitionerRole", "period": {"end": end}}
    assert covers.holds(role, date(2026, 6, 30)) == held


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({"code": [{"text": "a role"}]}, id="a role of one's own"),
        pytest.param({"practitioner": {"identifier": {"value": "x"}}}, id="by nobody who is known here"),
        pytest.param({"active": False}, id="ended"),
    ],
)
def test_what_is_no_cover_of_ours_covers_nobody(more):
    role = {
        "resourceType": "PractitionerRole",
        "id": "c",
        "extension": [{"url": covers.COVERS, "valueReference": {"reference": "Practitioner/a"}}],
        "practitioner": {"reference": "Practitioner/b"},
        "period": DAYS,
    }
    assert covers.read(role) is not None
    assert covers.read({**role, **more}) is None


@pytest.mark.parametrize("period", [{}, {"start": "2026-06-22"}, {"start": "x", "end": "2026-06-26"}])
def test_a_cover_without_both_days_covers_nobody(period):
    role = {
        "resourceType": "PractitionerRole",
        "id": "c",
        "extension": [{"url": covers.COVERS, "valueReference": {"reference": "Practitioner/a"}}],
        "practitioner": {"reference": "Practitioner/b"},
        "period": period,
    }
    assert covers.read(role) is None
    whole = {**role, "period": {"start": "2026-06-22", "end": "2026-06-26T10:00:00Z"}}
    assert isinstance(covers.read(whole), Cover)
