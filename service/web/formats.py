"""Dates and numbers as a language writes them, by the data of Unicode (CLDR): https://cldr.unicode.org/."""

import re
from datetime import date, datetime, time
from decimal import Decimal
from functools import lru_cache

from babel import Locale
from babel.dates import format_date, format_time
from babel.numbers import format_decimal

_NUMBER = re.compile(r"(?<![\w.])-?\d+\.\d+(?![\w.])")
_DAY = re.compile(r"(?<![\w-])\d{4}-\d{2}-\d{2}(?![\w-])")

#: how a whole date is written where a value says when it was found
DAY = "d MMM y"


@lru_cache(maxsize=4096)
def _date(day: date, pattern: str, language: str) -> str:
    # A page says the same few days hundreds of times.
    return str(format_date(day, pattern, locale=Locale.parse(language)))


@lru_cache(maxsize=4096)
def _time(of_day: time, language: str) -> str:
    return str(format_time(of_day, "HH:mm", locale=Locale.parse(language)))


class Formats:
    """How one language writes what is the same in all of them."""

    def __init__(self, language: str, day: str = DAY) -> None:
        """Take up a language; `day` is the pattern of a date beside a value."""
        self._language = language
        self._locale = Locale.parse(language)
        self._day = day

    def date(self, day: date, pattern: str) -> str:
        """Return the date by a pattern of CLDR, as `EEE d MMM y`."""
        return _date(day, pattern, self._language)

    def time(self, moment: datetime) -> str:
        """Return the time of the day; the moment is in the zone in which it is told."""
        # With a zone Babel would turn the moment into it once more, which of times before 1900 it cannot.
        return _time(time(moment.hour, moment.minute), self._language)

    def number(self, value: float | Decimal) -> str:
        """Return the number as precise as it is, without marks between thousands."""
        exact = Decimal(f"{value:g}") if isinstance(value, float) else value
        return str(
            format_decimal(exact, locale=self._locale, decimal_quantization=False, group_separator=False)
        )

    def inside(self, text: str) -> str:
        """Return a text with the decimal numbers and the dates in it as the language writes them."""
        text = _NUMBER.sub(lambda found: self.number(Decimal(found[0])), text)
        return _DAY.sub(self._written, text)

    def _written(self, found: re.Match[str]) -> str:
        try:
            return self.date(date.fromisoformat(found[0]), self._day)
        except ValueError:
            return found[0]
