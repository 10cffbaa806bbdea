"""In production `/fhir` asks who is calling: RFC 6750, RFC 7617, and R4's page on security.

http://hl7.org/fhir/R4/security.html
"""

import base64
import re

import pytest
import signing_in
from fhir_visits import visit
from signing_in import BASE
from sqlalchemy import text

from fhir_profiles import reading
from service.app import create_app
from service.store import senders
from worker import export

JSON = "application/fhir+json"


@pytest.fixture(scope="module")
def app(database):
    return create_app(signing_in.production(metrics_token="m" * 40), database)


@pytest.fixture
def client(app):
    return app.test_client()


@pytest.fixture(scope="module")
def token(owner):
    """Of a laboratory that may read and write, one that only reads, and one that only writes."""
    scopes = {"laboratory": ("read", "write"), "registry": ("read",), "scanner": ("write",)}
    return {name: signing_in.sender(owner, name, *theirs) for name, theirs in scopes.items()}


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def basic(name, password):
    return {"Authorization": f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"}


def post(client, bundle, headers, path="/fhir"):
    return client.post(path, data=reading.write(bundle), content_type=JSON, headers=headers, base_url=BASE)


def bundle_of(kind, *entries):
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


READ = {"request": {"method": "GET", "url": "Patient/a"}}
WRITE = {
    "resource": {"resourceType": "Organization", "id": "clinic", "name": "Clinic"},
    "request": {"method": "PUT", "url": "Organization/clinic"},
}


def test_every_route_of_fhir_asks_who_is_calling(app, client):
    rules = [rule for rule in app.url_map.iter_rules() if rule.endpoint.startswith("fhir.")]
    asked = 0

    for rule in rules:
        path = re.sub("<[^>]*>", "Patient", rule.rule)
        for method in sorted(rule.methods or ()):
            answer = client.open(path, method=method, base_url=BASE)
            if rule.endpoint == "fhir.metadata":
                assert answer.status_code in (200, 204)
                continue
            asked += 1
            assert answer.status_code == 401, (method, rule.rule)
            challenges = answer.headers.getlist("WWW-Authenticate")
            assert [each.split()[0] for each in challenges] == ["Bearer", "Basic"]
            if method != "HEAD":
                assert answer.get_json()["issue"][0]["code"] == "login"
    assert asked > 30


#: the scope that each view asks for; of a Bundle each entry asks for its own
SCOPES = {
    "fhir.add_meta": "write",
    "fhir.apply_by_url": "read",
    "fhir.apply_one": "read",
    "fhir.ask_why": "read",
    "fhir.cancel_export": "read",
    "fhir.conditional_delete": "write",
    "fhir.conditional_patch": "write",
    "fhir.conditional_update": "write",
    "fhir.create": "write",
    "fhir.create_subscription": "read",
    "fhir.delete": "write",
    "fhir.delete_meta": "write",
    "fhir.delete_subscription": "read",
    "fhir.elsewhere": "by method",
    "fhir.events_of_subscription": "read",
    "fhir.everybody": "read",
    "fhir.everything": "read",
    "fhir.export_all": "read",
    "fhir.export_file": "read",
    "fhir.export_group": "read",
    "fhir.export_patients": "read",
    "fhir.export_status": "read",
    "fhir.merge": "write",
    "fhir.unmerge": "write",
    "fhir.history": "read",
    "fhir.history_of_system": "read",
    "fhir.history_of_type": "read",
    "fhir.meta_of_all": "read",
    "fhir.meta_of_one": "read",
    "fhir.meta_of_type": "read",
    "fhir.meta_of_version": "read",
    "fhir.metadata": "none",
    "fhir.patch": "write",
    "fhir.read": "read",
    "fhir.read_subscription": "read",
    "fhir.search": "read",
    "fhir.search_by_form": "read",
    "fhir.search_compartment": "read",
    "fhir.search_compartment_by_form": "read",
    "fhir.search_subscriptions": "read",
    "fhir.search_subscriptions_by_form": "read",
    "fhir.status_of_subscription": "read",
    "fhir.status_of_subscriptions": "read",
    "fhir.transaction": "either",
    "fhir.update": "write",
    "fhir.update_subscription": "read",
    "fhir.validate_of_instance": "read",
    "fhir.validate_of_type": "read",
    "fhir.vread": "read",
    "fhir.whole_system": "by method",
}


def test_every_route_asks_for_the_scope_that_was_decided_for_it(app, client, token):
    """A route that is not in the table fails: it must be decided who may call it."""
    rules = [rule for rule in app.url_map.iter_rules() if rule.endpoint.startswith("fhir.")]
    assert {rule.endpoint for rule in rules} == set(SCOPES)

    for rule in rules:
        path = re.sub("<[^>]*>", "Patient", rule.rule.replace("<path:rest>", "nothing/is/at/this/place"))
        for method in sorted((rule.methods or set()) - {"OPTIONS"}):
            by_method = "read" if method in ("GET", "HEAD") else "write"
            scope = by_method if SCOPES[rule.endpoint] == "by method" else SCOPES[rule.endpoint]
            refused = {
                only
                for only, name in (("read", "registry"), ("write", "scanner"))
                if client.open(path, method=method, headers=bearer(token[name]), base_url=BASE).status_code
                == 403
            }
            assert refused == {"read": {"write"}, "write": {"read"}}.get(scope, set()), (method, rule.rule)


def test_an_operation_by_post_tells_a_reader_and_no_writer(client, token):
    post(client, visit("told"), bearer(token["laboratory"]))
    asked = {"resourceType": "Parameters", "parameter": [{"name": "_count", "valueInteger": 10}]}

    assert post(client, asked, bearer(token["scanner"]), "/fhir/Patient/told/$everything").status_code == 403
    told = post(client, asked, bearer(token["registry"]), "/fhir/Patient/told/$everything")
    assert {each["resource"]["id"] for each in told.get_json()["entry"]} == {"told", "told-1"}


def test_an_export_is_read_and_ended_by_whoever_asked_for_it_and_nobody_else(client, token, database):
    post(client, visit("own"), bearer(token["laboratory"]))
    mine, other = bearer(token["registry"]), bearer(token["laboratory"])

    def ask(headers, path, method="GET", **more):
        return client.open(path, method=method, headers={**headers, **more}, base_url=BASE)

    begun = ask(mine, "/fhir/Patient/$export", Prefer="respond-async")
    status = begun.headers["Content-Location"].removeprefix(BASE)
    export.run(database, 0, status.rpartition("/")[2])
    manifest = ask(mine, status).get_json()
    files = [file["url"].removeprefix(BASE) for file in manifest["output"]]

    assert manifest["requiresAccessToken"] is True
    assert files
    assert [ask(other, path).status_code for path in (status, *files)] == [404] * (1 + len(files))
    assert ask(other, status, "DELETE").status_code == 404
    assert [ask(mine, path).status_code for path in (status, *files)] == [200] * (1 + len(files))
    assert ask(mine, status, "DELETE").status_code == 202


def test_whoever_may_only_write_is_not_told_what_others_have_labelled(client, token):
    post(client, visit("labelled"), bearer(token["laboratory"]))
    meta = {"name": "meta", "valueMeta": {"tag": [{"code": "new"}]}}
    asked = {"resourceType": "Parameters", "parameter": [meta]}

    told = [
        post(client, asked, bearer(token[name]), "/fhir/Patient/labelled/$meta-add").data
        for name in ("scanner", "laboratory")
    ]

    assert told[0] == b""
    assert b"new" in told[1]


def test_a_merge_is_asked_by_who_may_write_and_the_patient_is_shown_to_who_may_read(client, token):
    for who in ("going", "staying"):
        post(client, visit(who), bearer(token["laboratory"]))
    named = {"source-patient": "Patient/going", "target-patient": "Patient/staying"}
    parts = [{"name": name, "valueReference": {"reference": who}} for name, who in named.items()]
    asked = {"resourceType": "Parameters", "parameter": parts}

    assert post(client, asked, bearer(token["registry"]), "/fhir/Patient/$merge").status_code == 403
    blind = post(client, asked, bearer(token["scanner"]), "/fhir/Patient/$merge")
    assert [part["name"] for part in blind.get_json()["parameter"]] == ["outcome"]
    told = post(client, asked, bearer(token["laboratory"]), "/fhir/Patient/$merge")
    assert [part["name"] for part in told.get_json()["parameter"]] == ["outcome", "result"]


def test_to_try_a_write_one_must_be_allowed_to_write_and_to_read(client, token):
    body = {"resourceType": "Organization", "name": "Clinic"}
    path = "/fhir/Organization/$validate"

    def statuses(path):
        return [post(client, body, bearer(token[name]), path).status_code for name in token]

    assert statuses(path) == [200, 200, 403]
    assert statuses(path + "?mode=create") == [200, 403, 403]


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(bearer("made up"), id="an unknown token"),
        pytest.param(bearer(""), id="an empty token"),
        pytest.param(basic("laboratory", "made up"), id="a wrong password"),
        pytest.param({"Authorization": "Basic nonsense"}, id="no Basic at all"),
        pytest.param({"Authorization": "Digest username=laboratory"}, id="another scheme"),
        pytest.param({"Cookie": "__Host-hipway-session=made-up"}, id="a session nobody has"),
    ],
)
def test_credentials_that_are_not_good_are_refused(client, token, headers):
    assert client.get("/fhir/Patient", headers=headers, base_url=BASE).status_code == 401


def test_a_token_is_good_by_itself_and_as_the_password_of_its_own_name_alone(client, token):
    good = token["laboratory"]

    assert client.get("/fhir/Patient", headers=bearer(good), base_url=BASE).status_code == 200
    assert client.get("/fhir/Patient", headers=basic("laboratory", good), base_url=BASE).status_code == 200
    assert client.get("/fhir/Patient", headers=basic("registry", good), base_url=BASE).status_code == 401


def test_a_browser_that_opens_a_link_is_not_asked_for_a_password_in_a_window_of_its_own(client):
    answer = client.get("/fhir/Patient", headers={"Sec-Fetch-Mode": "navigate"}, base_url=BASE)

    assert [each.split()[0] for each in answer.headers.getlist("WWW-Authenticate")] == ["Bearer"]


def test_a_sender_does_what_its_scopes_say_and_no_more(client, token):
    assert post(client, visit("a"), bearer(token["scanner"])).status_code == 200

    refused = {
        "the reader writes": post(client, visit("b"), bearer(token["registry"])),
        "the reader puts": client.put(
            "/fhir/Patient/b", json={}, headers=bearer(token["registry"]), base_url=BASE
        ),
        "the reader deletes": client.delete(
            "/fhir/Patient/a", headers=bearer(token["registry"]), base_url=BASE
        ),
        "the writer reads": client.get("/fhir/Patient/a", headers=bearer(token["scanner"]), base_url=BASE),
        "the writer searches": client.post(
            "/fhir/Patient/_search", headers=bearer(token["scanner"]), base_url=BASE
        ),
        "the writer reads by a Bundle": post(
            client, bundle_of("transaction", WRITE, READ), bearer(token["scanner"])
        ),
    }
    assert {what: answer.status_code for what, answer in refused.items()} == dict.fromkeys(refused, 403)
    assert all(answer.get_json()["issue"][0]["code"] == "forbidden" for answer in refused.values())

    batch = bundle_of("batch", WRITE, READ)
    done = {name: post(client, batch, bearer(token[name])).get_json()["entry"] for name in token}
    statuses = {name: [entry["response"]["status"][:3] for entry in lines] for name, lines in done.items()}
    assert statuses["laboratory"] == ["201", "200"]
    assert statuses["registry"] == ["403", "200"]
    assert statuses["scanner"] == ["200", "403"]
    assert "resource" not in done["scanner"][1]


def test_who_may_only_write_is_not_told_of_two_records_what_others_wrote(client, token):
    for who in ("m1", "m2"):
        post(client, visit(who), bearer(token["laboratory"]))
    named = [
        {"name": f"{which}-patient", "valueReference": {"reference": f"Patient/{who}"}}
        for which, who in (("source", "m1"), ("target", "m2"))
    ]
    asked = {"resourceType": "Parameters", "parameter": named}
    preview = {**asked, "parameter": [*named, {"name": "preview", "valueBoolean": True}]}
    undo = {**asked, "parameter": named[:1]}

    for sent in (preview, asked):
        parts = post(client, sent, bearer(token["scanner"]), "/fhir/Patient/$merge").get_json()["parameter"]
        assert [part["name"] for part in parts] == ["outcome"]
        assert len(parts[0]["resource"]["issue"]) == 1
    assert post(client, undo, bearer(token["scanner"]), "/fhir/Patient/m2/$unmerge").status_code == 403
    assert post(client, undo, bearer(token["laboratory"]), "/fhir/Patient/m2/$unmerge").status_code == 200


def test_who_may_only_write_is_not_told_what_others_wrote(client, token):
    system = {"system": "urn:mrn", "value": "shared"}
    theirs = {"resourceType": "Patient", "identifier": [system], "name": [{"family": "Hidden"}]}
    known = {"If-None-Exist": "identifier=urn:mrn|shared"}
    post(client, theirs, {**bearer(token["laboratory"]), **known}, "/fhir/Patient")
    mine = {**theirs, "name": [{"family": "Other"}]}

    again = post(client, mine, {**bearer(token["scanner"]), **known}, "/fhir/Patient")

    assert again.status_code == 200
    assert "Hidden" not in again.text
    assert "Hidden" in post(client, mine, {**bearer(token["laboratory"]), **known}, "/fhir/Patient").text


def test_what_is_stored_and_who_read_it_carry_the_sender_s_name(client, token, database):
    post(client, visit("named"), bearer(token["laboratory"]))
    client.get("/fhir/Patient/named", headers=bearer(token["registry"]), base_url=BASE)

    with database.transaction() as tx:
        sent = tx.execute(text("SELECT DISTINCT sender FROM resource WHERE patient = 'named' AND NOT owned"))
        read = tx.execute(
            text("SELECT who FROM access WHERE patients @> ARRAY['named'] ORDER BY key DESC LIMIT 1")
        )
        assert (sent.scalars().all(), read.scalar_one()) == (["laboratory"], "registry")


def test_each_sender_has_its_own_turns_and_its_own_keys(client, token, app, database):
    key = {"Idempotency-Key": '"the-same"'}
    first = post(client, visit("k1"), {**bearer(token["laboratory"]), **key})
    other = post(client, visit("k2"), {**bearer(token["scanner"]), **key})
    again = post(client, visit("k1"), {**bearer(token["laboratory"]), **key})

    assert (first.status_code, other.status_code, again.status_code) == (200, 200, 200)
    assert "Idempotent-Replayed" not in other.headers
    assert again.headers["Idempotent-Replayed"] == "true"

    asked = []
    intake = app.extensions["hipway"].intake
    ask, intake.ask = intake.ask, lambda sender: (asked.append(sender), ask(sender))[1]
    post(client, visit("k3"), bearer(token["laboratory"]))
    post(client, visit("k3"), bearer(token["scanner"]))
    del intake.ask
    assert asked == ["laboratory", "scanner"]


def test_a_token_that_ended_is_refused_and_while_it_is_renewed_both_are_good(client, owner):
    from datetime import timedelta

    old = signing_in.sender(owner, "monitor", "read")
    owner.run(lambda tx: senders.end(tx, "monitor", after=timedelta(hours=1), tenant=0))
    new = signing_in.sender(owner, "monitor", "read")

    def status(token):
        return client.get("/fhir/Patient", headers=bearer(token), base_url=BASE).status_code

    assert (status(old), status(new)) == (200, 200)
    owner.run(lambda tx: senders.end(tx, "monitor", tenant=0))
    assert (status(old), status(new)) == (401, 401)


def test_health_is_open_and_metrics_need_their_own_token(client, token, database):
    assert client.get("/health/live", base_url=BASE).status_code == 200
    assert client.get("/health/ready", base_url=BASE).status_code in (200, 503)
    assert client.get("/metrics", base_url=BASE).status_code == 401
    assert client.get("/metrics", headers=bearer(token["laboratory"]), base_url=BASE).status_code == 401
    assert client.get("/metrics", headers=bearer("m" * 40), base_url=BASE).status_code == 200
    without = create_app(signing_in.production(), database).test_client()
    assert without.get("/metrics", headers=bearer(""), base_url=BASE).status_code == 404


def test_the_capability_statement_says_so(client):
    (rest,) = client.get("/fhir/metadata", base_url=BASE).get_json()["rest"]

    assert rest["security"]["service"][0]["coding"][0]["code"] == "Basic"
    assert "401" in rest["security"]["description"]


def test_a_person_reads_what_a_page_links_to_and_writes_on_pages_alone(app, owner, database, client, token):
    signing_in.account(owner, "vogt", "vogt")
    signing_in.account(owner, "stranger", "stranger")
    role = {"system": "https://w3id.org/hipway/CodeSystem/pathway-role", "code": "coordinator"}
    people = (
        {"resourceType": "Practitioner", "id": "vogt", "name": [{"family": "Vogt"}]},
        {
            "resourceType": "PractitionerRole",
            "id": "vogt-role",
            "practitioner": {"reference": "Practitioner/vogt"},
            "code": [{"coding": [role]}],
        },
    )
    entries = [
        {"resource": p, "request": {"method": "PUT", "url": f"{p['resourceType']}/{p['id']}"}} for p in people
    ]
    assert post(client, bundle_of("transaction", *entries), bearer(token["laboratory"])).status_code == 200
    post(client, visit("linked"), bearer(token["laboratory"]))
    person, stranger = signing_in.browser(app), signing_in.browser(app)
    signing_in.sign_in(person)
    signing_in.sign_in(stranger, "stranger")

    assert person.get("/fhir/Patient/linked", base_url=BASE).status_code == 200
    begun = person.get("/fhir/$export", headers={"Prefer": "respond-async"}, base_url=BASE)
    assert begun.status_code == 403
    assert post(person, visit("linked"), {}).status_code == 401
    assert stranger.get("/fhir/Patient/linked", base_url=BASE).status_code == 401
    with database.transaction() as tx:
        latest = tx.execute(text("SELECT who FROM access ORDER BY key DESC LIMIT 1")).scalar_one()
    assert latest == "Practitioner/vogt"
