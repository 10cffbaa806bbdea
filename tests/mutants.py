"""Mutation testing of the CQL engine: what is changed in an operator, a test must notice.

    make mutants                          every mutant of the modules that are listed in pyproject.toml
    make mutants ONLY=strings             those of one module
    make mutants SAMPLE=6 SEED=7          those of six functions of the modules that are read, by the seed

mutmut makes the mutants and runs the tests on them. `tests/pathways/cql/mutants.json` names the survivors of
each module that was read, with the reason why no test can or need tell them; any other survivor of such a
module is a failure. Of modules that were not read yet the figures are printed.

https://mutmut.readthedocs.io/
"""

import argparse
import ast
import json
import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
ENGINE = ROOT / "pathways" / "cql"
MUTANTS = ROOT / "mutants"
NAMED = Path(__file__).parent / "pathways" / "cql" / "mutants.json"
#: what mutmut records of a mutant: the exit code of the tests
VERDICTS = {0: "survived", 1: "killed", 3: "killed", 33: "no tests", None: "not tried"}


def main() -> int:
    """Print a table and each survivor that is not named; return 1 for one in a module that was read."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--only", nargs="+", default=[], help="modules of pathways/cql")
    arguments.add_argument(
        "--sample", type=int, default=0, help="so many functions of the modules that are read"
    )
    arguments.add_argument("--seed", default="", help="of the sample; the commit's by default")
    given = arguments.parse_args()
    named: dict[str, dict[str, str]] = json.loads(NAMED.read_text())
    chosen = [f"pathways.cql.{module}.*" for module in given.only]
    if given.sample:
        seed = given.seed or _commit()
        chosen = _sample(sorted(named), given.sample, seed)
        print(f"mutants: seed {seed}, {len(chosen)} functions")
    _run(chosen)
    new = 0
    print(f"{'module':16}{'mutants':>9}{'killed':>8}{'survived':>10}{'named':>7}{'other':>7}")
    for module, verdicts in _results():
        survivors = [name for name, verdict in verdicts.items() if verdict == "survived"]
        told = {name: _change(name) for name in survivors}
        unnamed = [name for name in survivors if told[name] not in named.get(module, {})]
        counts = Counter(verdicts.values())
        tried = sum(count for verdict, count in counts.items() if verdict != "not tried")
        if not tried:
            continue
        other = tried - counts["killed"] - counts["survived"]
        print(
            f"{module:16}{tried:>9}{counts['killed']:>8}{counts['survived']:>10}"
            f"{len(survivors) - len(unnamed):>7}{other:>7}"
        )
        if module in named:
            new += len(unnamed)
            for name in unnamed:
                print(f"  not named: {told[name]}")
    return 1 if new else 0


def _run(chosen: Iterable[str]) -> None:
    shutil.rmtree(MUTANTS, ignore_errors=True)
    # Python remembers that a folder on its path was not there; the tests would run on the original.
    MUTANTS.mkdir()
    mutmut = Path(sys.executable).with_name("mutmut")
    # What a whole run of the tests must have here is nothing to a few of them over mutants.
    wanted = {name: value for name, value in os.environ.items() if name not in ("CI", "HIPWAY_REQUIRE")}
    environment = {**wanted, "PYTHONPATH": str(MUTANTS)}
    done = subprocess.run(
        [mutmut, "run", *chosen], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if not list(MUTANTS.glob("pathways/cql/*.meta")):
        raise SystemExit(f"mutmut made no mutants:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def _results() -> Iterator[tuple[str, dict[str, str]]]:
    for path in sorted(MUTANTS.glob("pathways/cql/*.meta")):
        codes = json.loads(path.read_text())["exit_code_by_key"]
        yield (
            path.name.partition(".")[0],
            {name: VERDICTS.get(code, "timed out") for name, code in codes.items()},
        )


def _change(name: str) -> str:
    """Return what a mutant changes: the function, the line, and the line instead."""
    mutmut = Path(sys.executable).with_name("mutmut")
    shown = subprocess.run(
        [mutmut, "show", name], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    lines = [
        line[1:].strip() for line in shown.splitlines() if line[:1] in "-+" and line[:3] not in ("---", "+++")
    ]
    function = name.rpartition(".")[2].removeprefix("x_").rpartition("__mutmut_")[0]
    return f"{function}: {' -> '.join(lines)}"


def _sample(modules: Iterable[str], count: int, seed: str) -> list[str]:
    functions = [
        f"pathways.cql.{module}.x_{node.name}__mutmut_*"
        for module in modules
        for node in ast.parse((ENGINE / f"{module}.py").read_text()).body
        if isinstance(node, ast.FunctionDef) and not node.decorator_list
    ]
    return random.Random(seed).sample(functions, min(count, len(functions)))


def _commit() -> str:
    asked = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return asked.stdout.strip()[:12] or "0"


if __name__ == "__main__":
    sys.exit(main())
