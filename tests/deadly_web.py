"""`hipway web`, in which a line of the intake kills the process that comes to it.

    python tests/deadly_web.py PORT

The file that HIPWAY_DEADLY names holds the line, as `service.fhir.placing place before`. It is taken
away with the first process that dies there, so that the next one lives.
"""

import importlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: every line that changes what a crash leaves, in the order in which a Bundle comes to them
LINES = [
    ("service.fhir.transaction", "read"),
    ("service.fhir.placing", "place"),
    ("service.fhir.settling", "due"),
    ("service.store.resources", "ask_to_write"),
    ("service.store.promises", "want"),
    ("service.fhir.sent", "write_accepted"),
    ("service.store.idempotency_keys", "keep"),
    ("service.fhir.intake", "_wake"),
    ("service.broker", "wake"),
]

#: of a Bundle without an Idempotency-Key, whose commit is sent with the last rows
LAST_LINE = ("service.store.driver", "commit_along")

#: the same of a merge of two records
MERGE_LINES = [
    ("service.store.joinings", "begin"),
    ("service.joining.saving", "moved"),
    ("service.joining.plans", "join"),
    ("service.store.joinings", "note"),
    ("service.fhir.routes.merge", "_wake"),
]


def _deadly(line: str, original: Callable[..., Any]) -> Callable[..., Any]:
    def passing(*args: Any, **more: Any) -> Any:
        _die(f"{line} before")
        result = original(*args, **more)
        _die(f"{line} after")
        return result

    return passing


def _die(line: str) -> None:
    order = Path(os.environ["HIPWAY_DEADLY"])
    if order.exists() and order.read_text() == line:
        order.unlink()
        os.kill(os.getpid(), signal.SIGKILL)


def _make() -> Any:
    for module, name in (*LINES, LAST_LINE, *MERGE_LINES):
        holder = importlib.import_module(module)
        setattr(holder, name, _deadly(f"{module} {name}", getattr(holder, name)))
    from service import wsgi

    return wsgi.app


if __name__ == "__main__":
    from granian import Granian
    from granian.constants import Interfaces

    Granian(
        "deadly_web:app",
        address="127.0.0.1",
        port=int(sys.argv[1]),
        interface=Interfaces.WSGI,
        blocking_threads=4,
        websockets=False,
        respawn_failed_workers=True,
        respawn_interval=0.1,
    ).serve()
elif "HIPWAY_DEADLY" in os.environ:
    # Loaded by the server's process, not by the test.
    app = _make()
