"""The example Bundles, posted as hospitals post them, in the order and at the times of their README."""

from pathlib import Path

from fhir_profiles import reading
from service.stories import collecting, orders, placeholders, posting
from service.stories.answer import Answer, differences
from service.stories.remote import Remote

START = (
    "CM:patient-education",
    "SR:PT(routine)",
    "TK:baseline-outcomes",
    "TK:review-6w",
    "TK:sign-physiotherapy",
)

FROM_VISIT_TO_OPERATION = (
    ("01-new-referral-visit", "2026-03-02T10:45:00+01:00", "conservative-therapy", ("T03",), START),
    (
        "02-follow-up-visit",
        "2026-04-13T09:35:00+02:00",
        "imaging",
        ("T06",),
        ("SR:MRI(routine)", "TK:sign-imaging", "TK:signature-overdue(sign-physiotherapy)"),
    ),
    ("03-clinician-signature", "2026-04-13T16:05:00+02:00", "imaging", (), ("AU:clinician-decision",)),
    (
        "04-imaging-report",
        "2026-04-23T08:20:00+02:00",
        "surgical-referral",
        ("T09",),
        ("CM:result", "SR:SURG(routine)", "TK:sign-referral"),
    ),
    (
        "07-operation-done",
        "2026-06-16T12:00:00+02:00",
        "post-operative",
        ("T14",),
        (
            "CM:postop-safety-net",
            "TK:prom-12w",
            "TK:prom-26w",
            "TK:prom-52w",
            "TK:prom-6w",
            "TK:rehab-plan",
        ),
    ),
)


def test_sequence_a_leads_from_the_first_visit_to_the_operation(service: Remote, examples: Path) -> None:
    service.clear()
    service.set_parameters({"site.timeZone": "Europe/Berlin"})
    record = collecting.NOTHING
    for name, at, stage, transitions, outputs in FROM_VISIT_TO_OPERATION:
        service.set_clock(at)
        before = record.identities

        record = _posted(service, examples / f"{name}.json", record)

        expected = Answer(
            stages={"left": stage},
            transitions=tuple(f"L:{one}" for one in transitions),
            outputs=tuple(f"L:{one}" for one in outputs),
        )
        actual = collecting.answer(record, before, orders.names())
        assert differences(expected, actual) == (), name


def test_sequence_a_reaches_the_same_stages_when_bundles_are_evaluated_as_they_arrive(
    service: Remote, examples: Path
) -> None:
    service.clear()
    service.set_parameters({"site.timeZone": "Europe/Berlin"})
    stages = []
    for name, at, *_ in FROM_VISIT_TO_OPERATION:
        # Timers that became due speak here, before the Bundle is there.
        service.set_clock(at, held=False)
        bundle = reading.read((examples / f"{name}.json").read_bytes())
        patient = posting.patient(bundle, service.search)
        record = collecting.record(service.search, patient) if patient else collecting.NOTHING
        record = _posted(service, examples / f"{name}.json", record)
        stages.append(collecting.answer(record, (), orders.names()).stages)

    assert stages == [{"left": stage} for _, _, stage, _, _ in FROM_VISIT_TO_OPERATION]


def test_sequence_d_understands_a_site_s_local_codes(service: Remote, examples: Path) -> None:
    service.clear()
    service.set_parameters({"site.timeZone": "Europe/Berlin"})
    service.set_clock("2026-03-05T09:00:00+01:00")
    service.post(posting.bundle(reading.read((examples / "08a-conceptmap.json").read_bytes())))

    record = _posted(service, examples / "08b-hl7v2-visit.json", collecting.NOTHING)

    expected = Answer(
        stages={"right": "conservative-therapy"},
        transitions=("R:T03",),
        outputs=tuple(f"R:{one}" for one in START),
    )
    assert differences(expected, collecting.answer(record, (), orders.names())) == ()


def _posted(service: Remote, file: Path, before: collecting.Record) -> collecting.Record:
    """Post an example, have its patient evaluated, and return what the service shows then."""
    bundle = reading.read(file.read_bytes())
    meanings = placeholders.meanings(placeholders.wanted(bundle), before, orders.names())
    posted = placeholders.replaced(bundle, meanings)
    patient = posting.stored_patient(posted, service.post(posted))
    assert patient is not None
    service.evaluate(f"Patient/{patient}")
    return collecting.record(service.search, patient)
