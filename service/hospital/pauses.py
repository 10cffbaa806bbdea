"""How long to wait before a server is asked again: longer each time, and never all at once."""

from collections.abc import Callable

#: a number from 0 to 1, such as `random.random`
Chance = Callable[[], float]

#: of one patient
FIRST_S = 5.0
LONGEST_S = 3600.0

#: so many bad answers in a row, and the server is left alone
ENOUGH = 3
#: how long, at first and at most
SERVER_FIRST_S = 5.0
SERVER_LONGEST_S = 300.0

#: attempts at one patient before a person has to look, where trying again may help at all
ATTEMPTS = 8


def again(attempt: int, chance: Chance) -> float:
    """Return the pause after this attempt at one patient: doubled each time, half of it by chance.

    Half by chance, because what failed together would else come back together:
    https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/
    """
    return _grown(attempt - 1, FIRST_S, LONGEST_S, chance)


def server(failures: int, chance: Chance) -> float:
    """Return for how long a server is left alone after so many bad answers in a row; 0: it is not."""
    if failures < ENOUGH:
        return 0.0
    return _grown(failures - ENOUGH, SERVER_FIRST_S, SERVER_LONGEST_S, chance)


def _grown(times: int, first_s: float, longest_s: float, chance: Chance) -> float:
    whole = min(first_s * 2.0 ** min(times, 30), longest_s)
    return whole / 2 + whole / 2 * chance()
