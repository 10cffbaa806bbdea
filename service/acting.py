"""Who acts, as a signed cookie says: the same for pages and for what their links lead to."""

from itsdangerous import BadSignature, URLSafeSerializer

COOKIE = "hipway-acting"


def seal(secret: str, person: str) -> str:
    """Return the cookie for a choice.

    Args:
        person: the id of a Practitioner.
    """
    return str(_serializer(secret).dumps(person))


def opened(secret: str, cookie: str | None) -> str | None:
    """Return the id that a cookie holds; None for no cookie, and for a forged one."""
    if not cookie:
        return None
    try:
        return str(_serializer(secret).loads(cookie))
    except BadSignature:
        return None


def _serializer(secret: str) -> URLSafeSerializer:
    return URLSafeSerializer(secret, salt="acting-as")
