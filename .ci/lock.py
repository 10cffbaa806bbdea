"""Write the locks: names, versions and hashes, and no address of an index, so that any mirror works."""

import os
import subprocess
import sys
from pathlib import Path

COMMON = (
    *("pip", "compile", "pyproject.toml", "--group", "setup", "--universal", "--python-version", "3.11"),
    *("--generate-hashes", "--no-emit-index-url", "--no-emit-find-links", "--quiet", "--upgrade"),
)


def main() -> None:
    """Compile the lock of `make run`, that of development on top of it, that of mutants on top of both."""
    uv = str(Path(sys.executable).with_name("uv"))
    environment = {**os.environ, "UV_CUSTOM_COMPILE_COMMAND": "make lock"}
    for arguments in (
        ("--output-file", "requirements.lock"),
        # The tests run on exactly what `make run` installs.
        ("--group", "dev", "--constraints", "requirements.lock", "--output-file", "requirements-dev.lock"),
        (
            *("--group", "mutants", "--constraints", "requirements-dev.lock"),
            *("--output-file", "requirements-mutants.lock"),
        ),
    ):
        subprocess.run([uv, *COMMON, *arguments], check=True, env=environment)


if __name__ == "__main__":
    main()
