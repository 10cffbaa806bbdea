"""`hipway vignettes DIR`: play patient stories against a service and compare every answer."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from service.stories.remote import Remote
    from service.stories.story import Story

BAR_WIDTH = 30


def add(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "vignettes",
        help="play patient stories against a service and compare every answer",
        description="Play each story of a folder against a sandbox and compare stages, holds, transitions "
        "and outputs of every step. All patient data of that sandbox are removed. Exit code 1: it differs.",
        epilog="example: hipway vignettes tests/stories --only V02",
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="the folder with the stories")
    parser.add_argument("--url", help="the service; without it one is started on scratch data")
    parser.add_argument(
        "--only", action="append", default=[], metavar="ID", help="only this story; repeatable"
    )


def run(args: argparse.Namespace) -> int:
    """Play the stories; 0 when all are exact, 1 when one is not, 2 when they cannot be played."""
    from service.stories import scratch, story
    from service.stories.remote import Remote, Unreachable

    try:
        stories = story.folder(args.folder, only=args.only)
        with _service(args.url) as url, Remote(url) as remote:
            if remote.clock() is None:
                print(f"hipway: {remote.url} is not a sandbox: its clock cannot be set.", file=sys.stderr)
                return 2
            exact = sum(_play(each, remote, done, len(stories)) for done, each in enumerate(stories))
    except (story.NotAStory, Unreachable, scratch.NotStarted) as error:
        print(f"hipway: {error}.", file=sys.stderr)
        return 2
    _draw(len(stories), len(stories), "")
    print(f"{exact} of {len(stories)} exact")
    return 0 if exact == len(stories) else 1


@contextmanager
def _service(url: str | None) -> Iterator[str]:
    if url:
        yield url
        return
    from service.stories import scratch

    print("hipway: starting a service on scratch data ...", file=sys.stderr)
    with scratch.running() as own:
        yield own


def _play(story: "Story", remote: "Remote", done: int, total: int) -> bool:
    """Play one story, print what differs, and return whether nothing does."""
    from service.stories.placeholders import NothingMatches
    from service.stories.play import play
    from service.stories.remote import Refused

    lines: list[str] = []
    number = 0
    try:
        for played in play(story, remote):
            number = played.step.number
            _draw(done, total, f"{story.id} step {number}")
            if played.differences:
                lines += [
                    f"  step {number}  {played.step.at}  {played.step.story}",
                    *(f"    {line}" for line in played.differences),
                ]
    except (Refused, NothingMatches) as error:
        lines += [f"  step {number + 1}", *(f"    ! {line}" for line in str(error).splitlines())]
    if lines:
        _clear()
        print(f"{story.id}  {story.title}", *lines, sep="\n", flush=True)
    elif not sys.stderr.isatty():
        print(f"{story.id}  exact", flush=True)
    return not lines


def _draw(done: int, total: int, what: str) -> None:
    """Draw the bar over itself; a log or a pipe gets lines per story instead."""
    if sys.stderr.isatty():
        full = BAR_WIDTH * done // total
        bar = "█" * full + "░" * (BAR_WIDTH - full)
        end = "\n" if done == total else ""
        sys.stderr.write(f"\r\x1b[K{bar} {done}/{total} {what}{end}")
        sys.stderr.flush()


def _clear() -> None:
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()
