"""A whole number out of a text that somebody sent: as it stands, or none at all."""


def read(text: str, *, most: int) -> int | None:
    """Return the number; None where anything but the ten digits stands there, or more than `most` of them.

    `int` alone takes signs, spaces, underscores and the digits of every script, and any length.
    """
    return int(text) if text.isascii() and text.isdigit() and len(text) <= most else None
