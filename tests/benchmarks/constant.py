"""The least a server of ours costs: a Flask route that takes a Bundle and answers a constant.

    python constant.py PORT

The same server as `hipway web`, one process, with a thread for everybody who sends.
"""

import sys

from flask import Flask, Response, request
from granian import Granian
from granian.constants import Interfaces

app = Flask(__name__, static_folder=None)

#: no more than this send at once
THREADS = 16

#: as long as the answer to a Bundle of ten entries
ANSWER = b'{"resourceType":"Bundle","type":"transaction-response","entry":[]}'.ljust(2400)


@app.get("/")
def nothing() -> str:
    """Return a page without anything."""
    return ""


@app.post("/fhir")
def receive() -> Response:
    """Take the whole body."""
    request.get_data()
    return Response(ANSWER, content_type="application/fhir+json")


if __name__ == "__main__":
    Granian(
        "constant:app",
        address="127.0.0.1",
        port=int(sys.argv[1]),
        interface=Interfaces.WSGI,
        workers=1,
        blocking_threads=THREADS,
        websockets=False,
        log_enabled=False,
    ).serve()
