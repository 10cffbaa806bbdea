"""`python -m service.demo [--url URL]`: load the demo patients into a running sandbox, once."""

import argparse
import sys

from service.demo.load import load
from service.settings import Settings
from service.stories.placeholders import NothingMatches
from service.stories.remote import Refused, Remote, Unreachable


def main() -> int:
    """Load them; 1 when the service refused a story, 2 when it does not answer."""
    parser = argparse.ArgumentParser(prog="python -m service.demo", description="Load the demo patients.")
    parser.add_argument("--url", help="the service; by default the one of HIPWAY_HOST and HIPWAY_PORT")
    args = parser.parse_args()
    try:
        with Remote(args.url or _own()) as service:
            loaded = load(service)
    except Unreachable as error:
        sys.stderr.write(f"hipway: {error}\n")
        return 2
    except (Refused, NothingMatches) as error:
        sys.stderr.write(f"hipway: the demo patients could not be loaded: {error}\n")
        return 1
    sys.stdout.write(f"{loaded} demo patients loaded\n")
    return 0


def _own() -> str:
    settings = Settings.from_environment()
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{settings.port}"


if __name__ == "__main__":
    sys.exit(main())
