"""How exports are begun, finished and read in tests."""

import json
from urllib.parse import urlsplit

from sqlalchemy import text

from worker import export

ASYNC = {"Prefer": "respond-async"}
NDJSON = "application/fhir+ndjson"

#: what is stored before each test
OBSERVATIONS = {f"Observation/{who}-{n}" for who in "abc" for n in (1, 2)}
EVERYTHING = {"Patient/a", "Patient/b", "Patient/c", "Practitioner/dr"} | OBSERVATIONS


def begin(client, path="$export", **query):
    answer = client.get(f"/fhir/{path}", query_string=query, headers=ASYNC)
    assert answer.status_code == 202, answer.get_json()
    return urlsplit(answer.headers["Content-Location"]).path


def id_of(status):
    return status.rpartition("/")[2]


def finish(client, database, status, **more):
    while export.run(database, 0, id_of(status), **more):
        pass
    answer = client.get(status)
    assert answer.status_code == 200, answer.get_json()
    return answer.get_json()


def lines(client, manifest, kind="output"):
    """Return the lines of all files of a kind, by the type of the file."""
    found = {}
    for file in manifest[kind]:
        answer = client.get(urlsplit(file["url"]).path)
        assert answer.status_code == 200
        assert answer.content_type == NDJSON
        assert answer.data.endswith(b"\n")
        assert len(answer.data) == answer.content_length
        read = answer.data.decode().split("\n")[:-1]
        assert len(read) == file["count"]
        found.setdefault(file["type"], []).extend(read)
    return found


def names(found):
    return {
        f"{body['resourceType']}/{body['id']}"
        for type_, read in found.items()
        for body in map(json.loads, read)
        if body["resourceType"] == type_
    }


def let_leases_run_out(database):
    with database.transaction() as tx:
        past = "clock_timestamp() - interval '1 second'"
        tx.execute(text(f"UPDATE export SET lease_until = {past} WHERE lease_until IS NOT NULL"))
