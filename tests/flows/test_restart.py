"""What is stored stays: the whole service is stopped and started again on the same data."""

from pathlib import Path

from fhir_profiles import reading
from service.stories import scratch
from service.stories.remote import Remote

AT = "2026-03-02T10:45:00+01:00"


def test_a_restart_keeps_everything(examples: Path) -> None:
    with scratch.folder() as data:
        with scratch.running_on(data) as url, Remote(url) as service:
            service.set_clock(AT, held=False)
            service.post(reading.read((examples / "01-new-referral-visit.json").read_bytes()))
            (patient,) = service.search("Patient", {})
            service.evaluate(f"Patient/{patient['id']}")
            before = {
                kind: service.search(kind, {}) for kind in ("Patient", "Observation", "CarePlan", "Task")
            }

        with scratch.running_on(data) as url, Remote(url) as service:
            after = {kind: service.search(kind, {}) for kind in before}
            again = service.evaluate(f"Patient/{patient['id']}")
            clock = service.clock()

    assert after == before
    assert len(after["CarePlan"]) == 1
    assert again["outputs"] == []
    assert clock == {"now": "2026-03-02T09:45:00Z", "clock": "set", "evaluation": "automatic"}
