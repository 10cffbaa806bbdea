"""The narrative of a resource, asked by words: `_text`.

    hip "gluteus medius" (tear or rupture) not infect*

Words next to each other must all be there. The specification leaves the language to the server; and, or, not
and parentheses are those of its example.

http://hl7.org/fhir/R4/search.html#content
"""

import re

from service.fhir.criteria import sql
from service.fhir.criteria.asked import Asked
from service.fhir.criteria.escaping import plain
from service.fhir.criteria.sql import Sql
from service.store.indexing import narratives

MODIFIERS = ()

#: words of one expression, and parentheses within each other
MOST_WORDS, DEEPEST = 50, 10
#: words of all expressions of a criterion; a tsquery has at most 1 MiB, and a word takes up to 2 kB of it
MOST_OF_ALL = 500

_TOKEN = re.compile(r"""\s*(\(|\)|-?"[^"]*"|[^\s()"]+)""")


def matching(asked: Asked, choices: list[str]) -> Sql:
    """Return the condition that the words of the narrative fulfil one of the expressions.

    Raises:
        NotExchanged: an expression cannot be read, or is too long, or all of them are.
    """
    expressions = [_Expression(asked, plain(choice)) for choice in choices]
    wanted = " | ".join(f"({expression.read()})" for expression in expressions)
    if sum(expression.words for expression in expressions) > MOST_OF_ALL:
        raise asked.refused(f"has up to {MOST_OF_ALL} words in all")
    # A version without a narrative leaves the row of an earlier one where it is.
    text = (
        f"EXISTS (SELECT FROM search_narrative s WHERE s.key = {asked.of}.key AND s.seq = {asked.of}.seq "
        f"AND s.words @@ %s::tsquery {sql.FENCE if asked.of == 'r' else ''})"
    )
    return Sql(text, (wanted,))


class _Expression:
    """Reads an expression into the text of a tsquery, from left to right."""

    def __init__(self, asked: Asked, text: str) -> None:
        self._asked, self._depth = asked, 0
        #: how many were read
        self.words = 0
        self._tokens, at = list[str](), 0
        text = text.strip()
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                raise asked.refused("has a quotation mark that is not closed")
            self._tokens.append(match[1])
            at = match.end()
        self._tokens.reverse()

    def read(self) -> str:
        """Return all of it."""
        found = self._any()
        if self._tokens:
            raise self._asked.refused("has a parenthesis that is not opened")
        return found

    def _any(self) -> str:
        found = [self._all()]
        while self._takes("or"):
            found.append(self._all())
        return " | ".join(found)

    def _all(self) -> str:
        found = [self._one()]
        while self._tokens and self._next not in ("or", ")"):
            self._takes("and")
            found.append(self._one())
        return " & ".join(found)

    def _one(self) -> str:
        if not self._tokens:
            raise self._asked.refused("ends where words should follow")
        if self._takes("("):
            return self._within(")")
        if self._takes("not"):
            return self._within(None)
        token = self._tokens.pop()
        if token.startswith("-"):
            return f"!({self._phrase(token[1:])})"
        return self._phrase(token)

    def _within(self, end: str | None) -> str:
        """Return what stands within parentheses, or what is denied."""
        self._depth += 1
        if self._depth > DEEPEST:
            raise self._asked.refused(f"has at most {DEEPEST} parentheses and negations within each other")
        found = f"!({self._one()})" if end is None else f"({self._any()})"
        if end is not None and not self._takes(end):
            raise self._asked.refused("has a parenthesis that is not closed")
        self._depth -= 1
        return found

    def _phrase(self, token: str) -> str:
        """Return the condition that words follow each other; of a last one with * only its beginning."""
        words = narratives.words(token)
        self.words += len(words)
        if not words or self.words > MOST_WORDS:
            raise self._asked.refused(f"is made of up to {MOST_WORDS} words, with and, or, not between them")
        quoted = [f"'{word}'" for word in words]
        if token.endswith("*"):
            quoted[-1] += ":*"
        return f"({' <-> '.join(quoted)})"

    @property
    def _next(self) -> str:
        return self._tokens[-1].lower()

    def _takes(self, word: str) -> bool:
        if not self._tokens or self._next != word:
            return False
        self._tokens.pop()
        return True
