"""The words of a narrative with their places, as the database compares them: without case and accents.

There is no dictionary and no stemming, since the language of a narrative is seldom said.

https://www.postgresql.org/docs/current/datatype-textsearch.html
"""

import html
import re

from service.store.indexing.reading import fold

#: Characters of a narrative whose words are kept, as they are compared: one may become many. A vector has at
#: most 1 MiB, and these take less than 700 kB with their places.
MOST = 100_000
#: of a word, in characters; the database takes 2,046 bytes
LONGEST_WORD = 500
#: the database tells no further places apart, and keeps so many of one word
MOST_PLACES, PLACES_OF_A_WORD = 16_383, 255

# A tag holds no other one, so that what only looks like many beginnings is read once.
_TAG = re.compile(r"<[^<>]*>")
#: within a word, as in HbA<sub>1c</sub>: what is shown without a gap is one word
_INLINE = re.compile(r"</?(?:a|b|em|i|small|span|strong|sub|sup|tt)(?:[\s/][^<>]*)?>")
_SOFT_HYPHEN = "\xad"
_WORD = re.compile(r"\w+")


def words(text: str) -> list[str]:
    """Return the words of a text in their order."""
    return _words(fold(text))


def vector(div: str) -> str | None:
    """Return the words of XHTML, as the text of a tsvector; None: it has none."""
    places: dict[str, list[int]] = {}
    plain = html.unescape(_TAG.sub(" ", _INLINE.sub("", div)))[:MOST]
    for place, word in enumerate(_words(fold(plain)[:MOST]), 1):
        found = places.setdefault(word, [])
        if len(found) < PLACES_OF_A_WORD:
            found.append(min(place, MOST_PLACES))
    # A word has no character that would have to be escaped.
    return " ".join(f"'{word}':{','.join(map(str, at))}" for word, at in places.items()) or None


def _words(folded: str) -> list[str]:
    return [word[:LONGEST_WORD] for word in _WORD.findall(folded.replace(_SOFT_HYPHEN, ""))]
