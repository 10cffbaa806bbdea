"""Three patients, and nothing that was there before."""

import pytest
from fhir_visits import bundle, observation, patient, practitioner, put
from sqlalchemy import text


@pytest.fixture(autouse=True)
def nothing_there(owner):
    with owner.transaction() as tx:
        tx.execute(
            text("TRUNCATE export, export_chunk, resource, history, access, seal, sealed, arrival, promise")
        )


@pytest.fixture
def visits(send):
    """Three patients with two findings each, and somebody who is nobody's."""
    for who in ("a", "b", "c"):
        of = f"Patient/{who}"
        send(bundle(put(patient(who)), put(observation(f"{who}-1", of)), put(observation(f"{who}-2", of))))
    send(bundle(put(practitioner())))
