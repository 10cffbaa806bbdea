"""One thing that was looked at."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was seen, and what to do about it. Never holds a password."""

    what: str
    seen: str
    #: what must be done; empty: nothing
    fix: str = ""
    #: what would be better, and why; empty: nothing
    advice: str = ""
