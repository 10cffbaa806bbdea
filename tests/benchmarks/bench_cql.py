"""The CQL engine beside cql-execution: the same ELM, the same records, in one run.

    make bench ONLY=cql

A patient in therapy, whose observations are repeated under new ids until there are enough of them. Ours is
asked for the rules that the PlanDefinition names, and for all definitions of the library, each time over
records that are indexed anew; the other engine for all definitions. CPU milliseconds of one process for ours,
elapsed milliseconds for the other, which runs in Node and is left out where there is none.

Then the same of the draft of the rules that the first figures of the engine are of (see `prototype`), where
there is a Node to translate it. Those figures are of another machine and of records that were not kept.
"""

import gc
import json
import shutil
import statistics
import time
import tracemalloc
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cql_execution
import grown
import prototype
from cql_execution import Question

from pathways import catalogue, cql
from pathways.turn import Turn

SIZES = (20, 100, 500)
#: milliseconds of the first engine and of the other one, on another machine
FIRST = ((0.6, 184), (3.0, 376), (15.0, 1444))
ROUNDS = 25
OTHER_ROUNDS = 5
ELM = Path(__file__).parents[2] / "pathways" / "gluteus_medius_tear" / "rules.elm.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Milliseconds at one number of observations."""

    size: int
    rules: float
    definitions: float
    other: float | None

    @property
    def ratio(self) -> str:
        """Return how many times as long the other engine takes."""
        return "-" if self.other is None else f"{self.other / self.definitions:.0f}x"


def main() -> None:
    """Print two tables of evaluation, and what loading costs."""
    rules = _rules()
    print(f"{len(rules)} conditions of rules, and all definitions; milliseconds")
    _head("rules")
    _table(_measured(size, _run(size), rules, json.loads(ELM.read_text())) for size in SIZES)
    if shutil.which("node"):
        _draft()
    _loading()


def _draft() -> None:
    draft = prototype.elm()
    library = cql.load(draft)
    guards = [name for name in library.definitions if name[0] == "T" and name[1:].isdigit()]
    print(f"\nthe draft: {len(guards)} guards, and all {len(library.definitions)} definitions; milliseconds")
    _head("guards")
    _table(_measured(size, prototype.run(library, size), guards, draft) for size in SIZES)
    figures = ", ".join(f"{ours} and {other} ({other / ours:.0f}x)" for ours, other in FIRST)
    print(f"the first engine and cql-execution, of other records on another machine: {figures}")


def _head(rules: str) -> None:
    print(f"{'observations':>12} {rules:>8} {'all':>8} {'growth':>8} {'cql-execution':>14} {'ratio':>7}")


def _table(measured: Iterable[Measured]) -> None:
    first: Measured | None = None
    for found in measured:
        first = first or found
        other = "-" if found.other is None else f"{found.other:.0f}"
        print(
            f"{found.size:>12} {found.rules:>8.2f} {found.definitions:>8.2f} "
            f"{found.definitions / first.definitions:>7.1f}x {other:>14} {found.ratio:>7}"
        )


def _measured(size: int, run: cql.Run, rules: list[str], elm: Any) -> Measured:
    return Measured(
        size=size,
        rules=_milliseconds(lambda: _evaluate(run, rules), ROUNDS),
        definitions=_milliseconds(lambda: _evaluate(run, run.library.definitions), ROUNDS),
        other=_other(run, elm),
    )


def _rules() -> list[str]:
    """Return the definitions that the PlanDefinition names."""
    return sorted({name for rule in catalogue.pathways()[0].rules for name in rule.conditions})


def _run(size: int) -> cql.Run:
    """Return the run of one side of a patient in therapy with so many observations."""
    game, moment = grown.in_therapy()
    grown.grow(game, size)
    pathway = catalogue.pathways()[0]
    case = game.case(moment)
    turn = Turn(pathway=pathway, case=case, now=moment, inputs=pathway.gate.read(case.record, moment.tzinfo))
    return max((turn.ask(side) for side in pathway.sides), key=lambda run: len(run.records.all))


def _evaluate(run: cql.Run, names: Any) -> None:
    fresh = run.over(cql.Records(run.records.all))
    for name in names:
        fresh[name]


def _other(run: cql.Run, elm: Any) -> float | None:
    if shutil.which("node") is None:
        return None
    question = Question(name="bench", library="pathway", run=run)
    answers = cql_execution.answers({"pathway": elm}, [question] * (2 * OTHER_ROUNDS))
    # The first of each of the two processes has everything to compile.
    return statistics.median(answer["ms"] for answer in answers[2:])


def _loading() -> None:
    text = ELM.read_text()
    elm = cql.read(text)
    reading = _milliseconds(lambda: cql.read(text), ROUNDS)
    loading = _milliseconds(lambda: cql.load(elm), ROUNDS)
    tracemalloc.start()
    kept = cql.read(text)
    gc.collect()
    of_elm = tracemalloc.get_traced_memory()[0]
    library = cql.load(kept)
    gc.collect()
    of_both = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    print(f"\n{len(library.definitions)} definitions: read in {reading:.1f} ms, compiled in {loading:.1f} ms")
    print(f"compiled {(of_both - of_elm) / 1e6:.1f} MB, the ELM that explains it {of_elm / 1e6:.1f} MB")


def _milliseconds(work: Callable[[], object], rounds: int) -> float:
    times = []
    for _ in range(rounds):
        begun = time.process_time()
        work()
        times.append((time.process_time() - begun) * 1000)
    return statistics.median(times)


if __name__ == "__main__":
    main()
