"""Stories by the thousand while everything is killed and suspended: nothing lost, nothing twice.

SP-01, SP-02, SP-12. `make test` plays 10,000 Bundles, `make long` 100,000; HIPWAY_CHAOS_BUNDLES
and HIPWAY_CHAOS_SEED choose others. The figures are printed with the summary of the run.
"""

import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from chaos import copies, fingerprint, play
from chaos.copies import Step
from chaos.faults import KINDS, Faults
from chaos.hospital import Hospital
from chaos.site import Site
from installations import free_port
from sqlalchemy import Connection, text

from pathways import catalogue
from service.store import content, standings
from worker.replay import Verdict, replay

BUNDLES = int(os.environ.get("HIPWAY_CHAOS_BUNDLES") or 10_000)
SEED = int(os.environ.get("HIPWAY_CHAOS_SEED") or 20_261_125)

#: `make long` plays every story; the others are those that happen at the same times
LONG = 50_000
INSTANTS = 40

#: patients whose decisions are made again afterwards
REPLAYED = 150

#: the copy that is played before anything is disturbed
UNDISTURBED = 0

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


@pytest.fixture
def hospital(site: Site) -> Iterator[Hospital]:
    sending = Hospital(site.port)
    yield sending
    sending.close()


@pytest.fixture
def site(scratch: Path) -> Iterator[Site]:
    running = Site(
        scratch / "chaos",
        free_port(),
        HIPWAY_WORKER_PROCESSES="2",
        HIPWAY_LOG_LEVEL="warning",
    )
    yield running
    running.close()


def test_whatever_is_killed_every_patient_ends_as_if_nothing_had_been(site, hospital, tell):
    stories = None if BUNDLES >= LONG else copies.side_by_side(INSTANTS)
    undisturbed = copies.steps([UNDISTURBED], stories)
    count = max(1, round(BUNDLES / copies.bundles(undisturbed)))
    disturbed = copies.steps(range(1, count + 1), stories)

    play.play(site, hospital, undisturbed)
    as_it_should_be = prints(site, undisturbed)
    begun = time.monotonic()
    with Faults(site, SEED) as faults:
        play.play(site, hospital, disturbed)
    took_s = time.monotonic() - begun

    assert faults.error is None
    assert not site.run(lambda tx: standings.parked(tx, tenant=0))
    assert missing(site, hospital) == []
    differences = compared(as_it_should_be, prints(site, disturbed))
    assert differences == []
    tell(replayed(site, disturbed))
    told, report = hospital.told, faults.report
    tell(
        f"chaos: {told.bundles} Bundles of {len(as_it_should_be)} stories acknowledged in {took_s:.0f} s; "
        f"{told.lost} answers lost, {told.put_off} put off, slowest acknowledgement {told.slowest_s:.1f} s"
    )
    tell(f"chaos: seed {SEED}, {sum(report.done.values())} faults: {_counted(report.done)}")
    tell(
        f"chaos: after a kill of the supervisor ready in {_spread(report.ready_s)}, "
        f"evaluating again in {_spread(report.recovered_s)}"
    )
    assert {f"{kind} killed" for kind in KINDS} <= report.done.keys()
    assert max(report.recovered_s) < 15


def prints(site: Site, steps: list[Step]) -> dict[tuple[str, int], fingerprint.Fingerprint]:
    """Return what is left of every patient."""
    sides = {pathway.name: pathway.sides for pathway in catalogue.pathways()}
    patients = {(step.story, step.copy): step.patient for step in steps}

    def read(tx: Connection) -> dict[tuple[str, int], fingerprint.Fingerprint]:
        return {which: fingerprint.of(tx, patient, sides) for which, patient in patients.items()}

    return site.run(read)


def replayed(site: Site, steps: list[Step]) -> str:
    """Make the decisions about some patients again, and return how many came out the same: all of them."""
    everybody = sorted({step.patient for step in steps})
    patients = random.Random(SEED).sample(everybody, min(REPLAYED, len(everybody)))
    pathways = catalogue.pathways()
    made_again = site.run(
        lambda tx: [each for patient in patients for each in replay(tx, patient, pathways, tenant=0)]
    )
    assert [each for each in made_again if each.verdict is not Verdict.SAME] == []
    return (
        f"chaos: {len(made_again)} decisions about {len(patients)} of the patients made again, all the same"
    )


def compared(
    right: dict[tuple[str, int], fingerprint.Fingerprint],
    found: dict[tuple[str, int], fingerprint.Fingerprint],
) -> list[str]:
    """Return every line that one patient has and the undisturbed one of the same story has not."""
    differences = []
    for (story, copy), lines in found.items():
        wanted, given = Counter(right[story, UNDISTURBED]), Counter(lines)
        differences += [f"{story} copy {copy}: missing {line}" for line in (wanted - given).elements()]
        differences += [f"{story} copy {copy}: too much {line}" for line in (given - wanted).elements()]
    return differences


def missing(site: Site, hospital: Hospital) -> list[str]:
    """Return every acknowledged version that is not stored with the content that was sent."""
    statement = text(
        "SELECT digest FROM (SELECT type, id, version, digest FROM resource "
        "UNION ALL SELECT type, id, version, digest FROM history) AS stored "
        "WHERE type = :type AND id = :id AND version = :version"
    )

    def read(tx: Connection) -> list[str]:
        lost = []
        for type_, id_, version, sent in hospital.told.acknowledged:
            row = tx.execute(statement, {"type": type_, "id": id_, "version": version}).one_or_none()
            if row is None or bytes(row.digest) != content.digest(sent):
                lost.append(f"{type_}/{id_}/_history/{version}")
        return lost

    return site.run(read)


def _counted(done: Counter[str]) -> str:
    return ", ".join(f"{what} {count}" for what, count in sorted(done.items()))


def _spread(times: list[float]) -> str:
    return f"{min(times):.1f} to {max(times):.1f} s ({len(times)})" if times else "no restart"
