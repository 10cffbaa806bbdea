"""`hipway account add|list|password|disable|enable`: who may sign in.

Run it as the role that owns the tables: the role of the service can make no accounts. A password is read from
the terminal or from a file, never from the command line, which everybody on the machine can see.
"""

import argparse
import getpass
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from service.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from service.store.accounts import Account

TENANT = 0


def add(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "account",
        help="say who may sign in",
        description="Add, list and disable accounts, and set their passwords, in HIPWAY_DATABASE_URL. Each "
        "is bound to a Practitioner, whose roles say what one may do. Run it as the role that owns them. "
        "Disabling an account or changing its password ends all of its sessions.",
        epilog="example: hipway account add m.vogt --practitioner vogt",
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True, dest="action")
    new = actions.add_parser("add", help="add an account", epilog="example: see hipway account --help")
    new.add_argument("name", metavar="NAME", help="as it is typed at the sign-in")
    new.add_argument("--practitioner", metavar="ID", required=True, help="the id of the Practitioner")
    how = new.add_mutually_exclusive_group()
    how.add_argument("--password-file", type=Path, metavar="FILE", help="its one line; else you are asked")
    how.add_argument("--no-password", action="store_true", help="signs on at the hospital only")
    actions.add_parser("list", help="list the accounts")
    password = actions.add_parser("password", help="set the password of an account")
    password.add_argument("name", metavar="NAME")
    password.add_argument(
        "--password-file", type=Path, metavar="FILE", help="its one line; else you are asked"
    )
    for action, words in (("disable", "let nobody sign in with it"), ("enable", "let people sign in again")):
        actions.add_parser(action, help=words).add_argument("name", metavar="NAME")


def run(args: argparse.Namespace) -> int:
    """Do it and say what was done; 1 when there is nothing to do it to, 2 when it cannot be done."""
    from sqlalchemy.exc import SQLAlchemyError

    from service.doctor import connecting
    from service.store.database import Database
    from service.supervisor import supervise

    try:
        work = _WORK[args.action](args)
    except _Mistake as mistake:
        print(f"hipway: {mistake}", file=sys.stderr)
        return 2
    database = Database(supervise.database_url(Settings.from_environment()), pool_size=1)
    try:
        done, sentence = database.run(work)
    except SQLAlchemyError as error:
        print(f"hipway: {connecting.sentence(error)}", file=sys.stderr)
        return 2
    finally:
        database.close()
    print(sentence, file=sys.stdout if done else sys.stderr)
    return 0 if done else 1


class _Mistake(Exception):
    """What was asked for cannot be done; the text says why."""


#: a piece of work in a transaction: whether it was done, and a sentence
_Work = Callable[["Connection"], tuple[bool, str]]


def _add(args: argparse.Namespace) -> _Work:
    from service.auth import passwords
    from service.fhir.references import ID
    from service.store import accounts, resources

    if not re.fullmatch(accounts.NAME, args.name):
        raise _Mistake("An account is 1 to 64 lower-case letters, digits, dots, dashes, underlines and @.")
    if not re.fullmatch(ID, args.practitioner):
        raise _Mistake("--practitioner is the id of a Practitioner, as vogt of Practitioner/vogt.")
    kept = None if args.no_password else passwords.hashed(_password(args))

    def work(tx: "Connection") -> tuple[bool, str]:
        if not accounts.add(tx, args.name, args.practitioner, kept, tenant=TENANT):
            return False, f"hipway: there is an account {args.name} already; nothing was changed."
        stored = resources.current(tx, "Practitioner", args.practitioner, tenant=TENANT)
        known = stored is not None and not stored.deleted
        hint = (
            ""
            if known
            else f" There is no Practitioner/{args.practitioner} yet: until there is, it shows nothing."
        )
        return True, f"Added {args.name}, who is Practitioner/{args.practitioner}.{hint}"

    return work


def _list(_args: argparse.Namespace) -> _Work:
    from service.store import accounts

    def work(tx: "Connection") -> tuple[bool, str]:
        lines = [_line(account) for account in accounts.known(tx, tenant=TENANT)]
        return True, "\n".join(lines) or "There are no accounts."

    return work


def _line(account: "Account") -> str:
    from service.store import sessions

    how = "password" if account.password else "hospital sign-on only"
    # Sessions are kept no longer, so what was before is not known.
    never = f"not signed in in the last {sessions.REMEMBERED.days} days"
    last = f"last signed in {account.last:%Y-%m-%d %H:%M} UTC" if account.last else never
    state = f"disabled {account.disabled:%Y-%m-%d}" if account.disabled else last
    return f"{account.name}  Practitioner/{account.practitioner}  {how}  {state}"


def _set_password(args: argparse.Namespace) -> _Work:
    from service.auth import passwords
    from service.store import accounts, sessions

    kept = passwords.hashed(_password(args))

    def work(tx: "Connection") -> tuple[bool, str]:
        if not accounts.set_password(tx, args.name, kept, tenant=TENANT):
            return False, f"hipway: there is no account {args.name}."
        ended = sessions.end_all(tx, args.name, tenant=TENANT)
        return True, f"{args.name} has another password; {ended} sessions ended."

    return work


def _disable(args: argparse.Namespace) -> _Work:
    from service.store import accounts, sessions

    def work(tx: "Connection") -> tuple[bool, str]:
        if not accounts.disable(tx, args.name, tenant=TENANT):
            return False, f"hipway: there is no account {args.name}."
        ended = sessions.end_all(tx, args.name, tenant=TENANT)
        return True, f"Nobody signs in as {args.name} any more; {ended} sessions ended."

    return work


def _enable(args: argparse.Namespace) -> _Work:
    from service.store import accounts

    def work(tx: "Connection") -> tuple[bool, str]:
        if not accounts.enable(tx, args.name, tenant=TENANT):
            return False, f"hipway: there is no account {args.name}."
        return True, f"{args.name} may sign in again."

    return work


def _password(args: argparse.Namespace) -> str:
    """Return a password that is taken, from the file or from the terminal, where it is typed twice."""
    from service.auth import passwords

    if args.password_file is not None:
        try:
            password = args.password_file.read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")
        except (OSError, ValueError):
            raise _Mistake(f"{args.password_file} cannot be read.") from None
    else:
        if not sys.stdin.isatty():
            raise _Mistake("There is no terminal to type a password at; name a file with --password-file.")
        password = getpass.getpass(f"Password of {args.name}: ")
        if getpass.getpass("The same again: ") != password:
            raise _Mistake("The two are not the same; nothing was changed.")
    if fault := passwords.fault(password, args.name):
        raise _Mistake(
            _FAULTS[fault].format(n=len(password), least=passwords.SHORTEST, most=passwords.LONGEST)
        )
    return str(password)


#: what is wrong with a password
_FAULTS = {
    "short": "The password has {n} characters; take at least {least}.",
    "long": "The password has {n} characters; take at most {most}.",
    "name": "The password holds the name of the account; take another.",
    "repeats": "The password repeats a few characters; take another.",
}


_WORK: dict[str, Callable[[argparse.Namespace], _Work]] = {
    "add": _add,
    "list": _list,
    "password": _set_password,
    "disable": _disable,
    "enable": _enable,
}
