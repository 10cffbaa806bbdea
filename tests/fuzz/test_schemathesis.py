"""A fuzzer of others, that knows only the OpenAPI document, against a web process: answers are as documented.

https://schemathesis.readthedocs.io/
"""

import os
import re
import subprocess
import sys
from pathlib import Path

from fuzz import sending

CONFIG = Path(__file__).with_name("schemathesis.toml")
#: Each boundary of each schema, and what lies beyond it. `make long` also makes requests at random, which
#: costs ten times as long for each.
PHASES = "examples,coverage"
if int(os.environ.get("HIPWAY_FUZZ_REQUESTS") or 0) > 100_000:
    PHASES += ",fuzzing"
EXAMPLES = 150
LEAST = 5_000

#: they wait for a worker, or say that there is none
AWAY = "^/sandbox/evaluate|^/sandbox/clock|^/health/ready"


def test_every_operation_answers_as_it_is_documented(new_database_url, broker_url, tmp_path, tell):
    log = tmp_path / "web.log"
    with sending.web(new_database_url(), broker_url, log) as address:
        done = subprocess.run(
            [
                *(str(Path(sys.executable).with_name("st")), "--config-file", str(CONFIG)),
                *("run", f"{address}/openapi.json", "--phases", PHASES, "--max-examples", str(EXAMPLES)),
                *("--seed", "20261130", "--exclude-tag", "Pages", "--exclude-path-regex", AWAY, "--no-color"),
                # More than no answer may take: what is slow once may wait for the machine (see `fuzz.run`).
                *("--max-response-time", "10", "--continue-on-failure", "--warnings", "off"),
                # The server closes a connection that was idle; what breaks one each time is still found.
                *("--request-retries", "2"),
                *("--generation-database", "none"),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    generated = re.search(r"(\d+) generated, \1 passed", done.stdout)
    assert generated, done.stdout[-2000:]
    tell(f"fuzz: schemathesis sent {generated[1]} requests by the OpenAPI document")
    assert int(generated[1]) >= LEAST
    assert '"level": "error"' not in log.read_text()
