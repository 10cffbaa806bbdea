"""`hipway sender add|list|renew|disable`: which systems may send to `/fhir` and read from it.

A token is printed once and kept nowhere but as a digest. Run it as the role that owns the tables.
"""

import argparse
import re
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from service.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy import Connection

TENANT = 0

SCOPES = ("read", "write")


def add(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "sender",
        help="say which systems may send and read",
        description="Give systems the tokens that /fhir asks for in production, list, renew and end them, in "
        "HIPWAY_DATABASE_URL. A token is printed once, on standard output alone. A system shows it as a "
        "Bearer token, or by Basic as the password of its name. Run it as the role that owns the tables.",
        epilog="example: hipway sender add laboratory --scope write > laboratory.token",
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True, dest="action")
    new = actions.add_parser("add", help="add a system and print its token")
    new.add_argument("name", metavar="NAME", help="who sent it, as pages and the record of accesses say")
    new.add_argument(
        "--scope", action="append", choices=SCOPES, help="what it may do; given twice: both (default: both)"
    )
    actions.add_parser("list", help="list the systems")
    renew = actions.add_parser("renew", help="print another token; the old ones end after a while")
    renew.add_argument("name", metavar="NAME")
    renew.add_argument(
        "--overlap",
        type=int,
        default=24,
        metavar="HOURS",
        help="how long both are good (default: %(default)s)",
    )
    actions.add_parser("disable", help="end every token of a system").add_argument("name", metavar="NAME")


def run(args: argparse.Namespace) -> int:
    """Do it and say what was done; 1 when there is nothing to do it to, 2 when it cannot be done."""
    from sqlalchemy.exc import SQLAlchemyError

    from service.doctor import connecting
    from service.store import accounts
    from service.store.database import Database
    from service.supervisor import supervise

    if args.action == "add" and not re.fullmatch(accounts.NAME, args.name):
        print(
            "hipway: a name is 1 to 64 lower-case letters, digits, dots, dashes, underlines and @.",
            file=sys.stderr,
        )
        return 2
    if args.action == "renew" and not 0 <= args.overlap <= 24 * 365:
        print("hipway: --overlap is a number of hours, at most a year.", file=sys.stderr)
        return 2
    work = _WORK[args.action]
    database = Database(supervise.database_url(Settings.from_environment()), pool_size=1)
    try:
        done, told, sentence = database.run(lambda tx: work(tx, args))
    except SQLAlchemyError as error:
        print(f"hipway: {connecting.sentence(error)}", file=sys.stderr)
        return 2
    finally:
        database.close()
    # After the commit: a token that is printed is good. What is said besides must not end up in its file.
    print(sentence, file=sys.stderr if told or not done else sys.stdout)
    if told:
        print(told)
    return 0 if done else 1


#: whether it was done, the token if there is one, and a sentence
_Done = tuple[bool, str, str]


def _add(tx: "Connection", args: argparse.Namespace) -> _Done:
    from service.auth import tokens
    from service.store import senders

    if any(known.name == args.name and known.tokens for known in senders.known(tx, tenant=TENANT)):
        return (
            False,
            "",
            f"hipway: there is a sender {args.name} already; `hipway sender renew` gives another token.",
        )
    scopes = sorted(set(args.scope or SCOPES))
    token = tokens.new()
    senders.issue(tx, args.name, scopes, tokens.digest(token), tenant=TENANT)
    return True, token, f"{args.name} may {' and '.join(scopes)}. Its token is shown this once:"


def _list(tx: "Connection", _args: argparse.Namespace) -> _Done:
    from service.store import senders

    lines = [
        f"{known.name}  {' and '.join(known.scopes)}  newest token of {known.issued:%Y-%m-%d}, "
        + (f"{known.tokens} good" if known.tokens else "disabled")
        for known in senders.known(tx, tenant=TENANT)
    ]
    return True, "", "\n".join(lines) or "There are no senders."


def _renew(tx: "Connection", args: argparse.Namespace) -> _Done:
    from service.auth import tokens
    from service.store import senders

    before = next((known for known in senders.known(tx, tenant=TENANT) if known.name == args.name), None)
    if before is None or not before.tokens:
        return False, "", f"hipway: there is no sender {args.name}."
    senders.end(tx, args.name, after=timedelta(hours=args.overlap), tenant=TENANT)
    token = tokens.new()
    senders.issue(tx, args.name, before.scopes, tokens.digest(token), tenant=TENANT)
    return (
        True,
        token,
        f"The old tokens of {args.name} end in {args.overlap} h. The new one is shown this once:",
    )


def _disable(tx: "Connection", args: argparse.Namespace) -> _Done:
    from service.store import senders

    ended = senders.end(tx, args.name, tenant=TENANT)
    if not ended:
        return False, "", f"hipway: there is no sender {args.name} with a good token."
    return True, "", f"{args.name} may send and read no more; {ended} tokens ended."


_WORK: dict[str, Callable[["Connection", argparse.Namespace], _Done]] = {
    "add": _add,
    "list": _list,
    "renew": _renew,
    "disable": _disable,
}
