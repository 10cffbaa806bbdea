"""`python -m worker.audit [PATIENT ...]`: replay the log and print what came of it."""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence

from pathways import catalogue
from service.settings import Settings
from service.store import decisions
from service.store.database import Database
from worker.replay import Replayed, Verdict, replay

#: ids that are read at once
PAGE = 1_000
TENANT = 0


def main(patients: Sequence[str]) -> int:
    """Print each decision that differs and a table; return 1 if one differs."""
    database = Database(Settings.from_environment().database_url, pool_size=1)
    verdicts: Counter[Verdict] = Counter()
    evaluations, people = set(), 0
    try:
        for patient in patients or _everybody(database):
            people += 1
            for each in of_patient(database, patient):
                verdicts[each.verdict] += 1
                evaluations.add(each.row.run)
                if each.verdict is Verdict.DIFFERS:
                    row = each.row
                    _say(
                        f"{row.pathway} Patient/{row.patient} {row.instance} {row.number} {row.rule} "
                        f"run {row.run}: {', '.join(each.parts)}"
                    )
    finally:
        database.close()
    _say(f"{verdicts.total()} decisions of {len(evaluations)} evaluations of {people} patients")
    for verdict in Verdict:
        _say(f"  {verdict:22}{verdicts[verdict]:>9}")
    return 1 if verdicts[Verdict.DIFFERS] else 0


def of_patient(database: Database, patient: str) -> list[Replayed]:
    """Return each decision about the patient with what comes of it now, all of one state of the database."""
    pathways = catalogue.pathways()
    return database.run(
        lambda tx: list(replay(tx, patient, pathways, tenant=TENANT)), isolation="REPEATABLE READ"
    )


def _everybody(database: Database) -> Iterator[str]:
    last = ""
    while page := database.run(lambda tx: decisions.patients(tx, after=last, limit=PAGE, tenant=TENANT)):  # noqa: B023
        yield from page
        last = page[-1]


def _say(line: str) -> None:
    print(line)  # noqa: T201 - what the command is for


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
