"""The paths of FHIRPath Patch: a part of FHIRPath, read exactly, whose results are places of the resource.

    Patient.name[0].given            Observation.value.ofType(Quantity).unit
    Patient.identifier.where(system = 'urn:mrn' and period.exists().not()).first()

Taken are names, positions, and `where`, `first`, `last`, `ofType`, `as` and `extension`; within `where` also
`=`, `!=`, `and`, `or`, `exists`, `empty`, `not`, `startsWith`, texts, numbers and true and false. Everything
else is refused by its name. What is compared as a text is compared as it is written, dates included.

http://hl7.org/fhirpath/N1/
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import NoReturn, TypeAlias

#: characters of a path, and opening parentheses, of which each may be deeper than the one before
LONGEST = 500
DEEPEST = 20

#: what FHIRPath has and a path of a patch does not take, so that it may be named
_NOT_TAKEN = re.compile(
    "aggregate|all|allFalse|allTrue|anyFalse|anyTrue|ceiling|children|combine|contains|convertsToString|count|"
    "descendants|distinct|div|endsWith|exclude|getValue|hasValue|iif|implies|in|indexOf|intersect|is|isDistinct|"
    "length|lower|matches|memberOf|mod|now|repeat|replace|replaceMatches|resolve|round|select|single|skip|"
    "subsetOf|substring|supersetOf|tail|take|timeOfDay|toChars|today|toInteger|toString|trace|truncate|union|"
    "upper|xor"
)
_TOKEN = re.compile(
    r"\s*(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)|`(?P<quoted>[^`\\]+)`|'(?P<text>(?:[^'\\]|\\.)*)'"
    r"|(?P<number>\d{1,20}(?:\.\d{1,20})?)|(?P<sign>!=|[.()\[\],=])|(?P<this>\$this\b)|(?P<other>\S))"
)
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)")
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t", "f": "\f"}

#: functions that lead to places, and those that only tell something of them; with how many arguments
LEADING: Mapping[str, tuple[int, ...]] = {
    "where": (1,), "first": (0,), "last": (0,), "ofType": (1,), "as": (1,), "extension": (1,),
}  # fmt: skip
TELLING: Mapping[str, tuple[int, ...]] = {"exists": (0, 1), "empty": (0,), "not": (0,), "startsWith": (1,)}


class NotTaken(Exception):
    """The path is none, or has something that is not taken; the message names it and holds no value."""


@dataclass(frozen=True, slots=True)
class This:
    """What the path begins with: the resource, or within `where` each element."""


@dataclass(frozen=True, slots=True)
class Literal:
    """A text, a number, true or false."""

    value: str | Decimal | bool


@dataclass(frozen=True, slots=True)
class Member:
    """The elements of a name."""

    of: "Expression"
    name: str


@dataclass(frozen=True, slots=True)
class At:
    """The one at a position."""

    of: "Expression"
    index: int


@dataclass(frozen=True, slots=True)
class Call:
    """A function."""

    of: "Expression"
    name: str
    arguments: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Both:
    """Two sides of an operator."""

    operator: str
    left: "Expression"
    right: "Expression"


Expression: TypeAlias = "This | Literal | Member | At | Call | Both"


def read(text: str) -> Expression:
    """Return the path.

    Raises:
        NotTaken: it is no path, or has something that is not taken.
    """
    if len(text) > LONGEST:
        raise NotTaken(f"a path has at most {LONGEST} characters here")
    tokens = list(_tokens(text))
    if sum(token == _Token("sign", "(") for token in tokens) > DEEPEST:
        raise NotTaken(f"a path has at most {DEEPEST} opening parentheses here")
    reader = _Reader(tokens)
    path = reader.typed()
    reader.end()
    return path


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str


def _tokens(text: str) -> Iterator[_Token]:
    place = 0
    end = len(text.rstrip())
    while place < end:
        match = _TOKEN.match(text, place)
        assert match is not None
        assert match.lastgroup is not None
        if match.lastgroup == "other":
            _refuse_sign(match["other"])
        yield _Token(match.lastgroup, match[match.lastgroup])
        place = match.end()


def _refuse_sign(sign: str) -> NoReturn:
    if sign in "|&+-*/<>~^%@$":
        raise NotTaken(f"{sign} is not taken in the path of a patch")
    raise NotTaken("the path is no FHIRPath: a quote does not end, or a character has no meaning there")


class _Reader:
    """Reads the tokens of one path from left to right."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._at = 0

    def end(self) -> None:
        """Refuse what stands behind the path."""
        if self._at < len(self._tokens):
            self._refuse()

    def typed(self) -> Expression:
        """Read names, positions and functions, one behind the other, and a type."""
        value = self._further(self._begin())
        return Call(value, "as", (self._type(),)) if self._word("as") else value

    def _either(self) -> Expression:
        left = self._both()
        while self._word("or"):
            left = Both("or", left, self._both())
        return left

    def _both(self) -> Expression:
        left = self._compared()
        while self._word("and"):
            left = Both("and", left, self._compared())
        return left

    def _compared(self) -> Expression:
        left = self.typed()
        for sign in ("=", "!="):
            if self._sign(sign):
                return Both(sign, left, self.typed())
        return left

    def _begin(self) -> Expression:
        token = self._next()
        if token.kind == "this":
            return This()
        if token.kind == "text":
            return Literal(_ESCAPE.sub(_unescaped, token.text))
        if token.kind == "number":
            return Literal(Decimal(token.text))
        if token.kind == "name" and token.text in ("true", "false"):
            return Literal(token.text == "true")
        if token == _Token("sign", "("):
            inner = self._either()
            self._expect(")")
            return inner
        return self._named(This(), token)

    def _further(self, of: Expression) -> Expression:
        while True:
            if self._sign("."):
                of = self._named(of, self._next())
            elif self._sign("["):
                token = self._next()
                if token.kind != "number" or "." in token.text:
                    raise NotTaken("between [ and ] stands a whole number")
                self._expect("]")
                of = At(of, int(token.text))
            else:
                return of

    def _named(self, of: Expression, token: _Token) -> Expression:
        if token.kind not in ("name", "quoted"):
            self._at -= 1
            self._refuse()
        if token.kind == "quoted" or not self._sign("("):
            return Member(of, token.text)
        taken = {**LEADING, **TELLING}.get(token.text)
        if taken is None:
            self._refuse_function(token.text)
        arguments: list[Expression] = []
        if not self._sign(")"):
            arguments.append(self._type() if token.text in ("ofType", "as") else self._either())
            self._expect(")")
        if len(arguments) not in taken:
            raise NotTaken(f"{token.text}() is given another number of arguments than it takes")
        return Call(of, token.text, tuple(arguments))

    def _type(self) -> Expression:
        token = self._next()
        if token.kind == "name" and token.text in ("FHIR", "System") and self._sign("."):
            token = self._next()
        if token.kind not in ("name", "quoted"):
            raise NotTaken("ofType and as are given the name of a type")
        return Literal(token.text)

    def _next(self) -> _Token:
        if self._at >= len(self._tokens):
            raise NotTaken("the path ends early")
        self._at += 1
        return self._tokens[self._at - 1]

    def _sign(self, text: str) -> bool:
        return self._is(_Token("sign", text))

    def _word(self, text: str) -> bool:
        return self._is(_Token("name", text))

    def _is(self, token: _Token) -> bool:
        found = self._at < len(self._tokens) and self._tokens[self._at] == token
        self._at += found
        return found

    def _expect(self, text: str) -> None:
        if not self._sign(text):
            if self._at >= len(self._tokens):
                raise NotTaken("the path ends early")
            self._refuse()

    def _refuse(self) -> NoReturn:
        token = self._tokens[self._at]
        if token.kind == "name" and _NOT_TAKEN.fullmatch(token.text):
            raise NotTaken(f"{token.text} is not taken in the path of a patch")
        raise NotTaken(f"part {self._at + 1} of the path stands where it has no meaning")

    @staticmethod
    def _refuse_function(name: str) -> NoReturn:
        shown = f"{name}()" if _NOT_TAKEN.fullmatch(name) else "a function of the path"
        taken = ", ".join(f"{each}()" for each in (*LEADING, *TELLING))
        raise NotTaken(f"{shown} is not taken in the path of a patch; it takes {taken}")


def _unescaped(match: re.Match[str]) -> str:
    if match[1][0] == "u" and len(match[1]) == 5:
        return chr(int(match[1][1:], 16))
    return _ESCAPED.get(match[1], match[1])
