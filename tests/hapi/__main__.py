"""`make hapi`: a HAPI FHIR server for people, until Ctrl-C."""

import signal
import sys
import time
from pathlib import Path

from hapi import server
from service.commands.run import end_with_parent
from service.stop_request import StopRequest
from service.supervisor import address
from service.supervisor.unusable import Unusable


class _Stop(BaseException):
    """A person or the system asks for the end."""


def main(port: int) -> int:
    """Run the server and return the exit code; 2 when something is in the way."""
    end_with_parent()
    request = StopRequest(signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    began = time.monotonic()

    def wait(seconds: float) -> None:
        print(f"\rstarting HAPI and its PostgreSQL ... {time.monotonic() - began:.0f} s", end="", flush=True)
        if request.wait(seconds):
            raise _Stop

    try:
        address.assert_free("127.0.0.1", port)
    except Unusable:
        print(f"hapi: port {port} is in use; PORT=8095 make hapi takes another", file=sys.stderr)
        return 2
    if not server.PROGRAM.built().exists():
        print("building HAPI, once; Maven fetches some 300 MB ...", flush=True)
    folder = Path(".hipway") / f"hapi-{port}"
    folder.mkdir(parents=True, exist_ok=True)
    hapi = server.Hapi(folder, port)
    try:
        hapi.start(wait)
    except _Stop:
        print("\nstopped.")
        return 0
    except Unusable as error:
        print("\nstopped." if request.wait(0) else f"\nhapi: {error}", file=sys.stderr)
        return 2
    print(f"\nFHIR    {hapi.base}\nload    hipway publish --to {hapi.base}\nstop    Ctrl-C", flush=True)
    while not (stopped := request.wait(1)) and not hapi.ended():
        pass
    hapi.stop()
    print("stopped." if stopped else f"HAPI has ended; {hapi.log} says why.")
    return 0 if stopped else 2


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
