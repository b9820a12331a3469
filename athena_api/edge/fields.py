"""Header fields with a form of their own: lists of names with weights, and the session cookie of the console.

Where the browser uses https, the name of the cookie begins with `__Host-`, so that a browser accepts it only from this
host, with `Secure` and for all paths. No other host of the domain can set or replace it.
"""

import re

QUALITY = "q="
WEIGHT = re.compile(r"[01](\.\d*)?", re.ASCII)
SESSION_COOKIE = "athena_session"
ATTRIBUTES = "Path=/; HttpOnly; SameSite=Strict"


def weights(field: str | None) -> dict[str, float]:
    """Return the names of a field such as ``Accept`` in their order, with their weights. A malformed weight is 1."""
    names: dict[str, float] = {}
    for part in (field or "").lower().split(","):
        name, *parameters = (word.strip() for word in part.split(";"))
        if name:
            given = (word.removeprefix(QUALITY) for word in parameters if word.startswith(QUALITY))
            names[name] = next((float(weight) for weight in given if WEIGHT.fullmatch(weight)), 1.0)
    return names


def accepted(field: str | None) -> dict[str, bool]:
    """Return the names of a field such as ``Accept`` in their order; False for those with the weight 0."""
    return {name: weight > 0 for name, weight in weights(field).items()}


def cookie_name(*, tls: bool) -> str:
    """Return the name of the session cookie."""
    return f"__Host-{SESSION_COOKIE}" if tls else SESSION_COOKIE


def session_cookie(token: str, seconds: int, *, tls: bool) -> str:
    """Return the value of ``Set-Cookie`` that stores a session for ``seconds``."""
    return f"{cookie_name(tls=tls)}={token}; {ATTRIBUTES}; Max-Age={seconds}" + ("; Secure" if tls else "")


def cleared_cookie(*, tls: bool) -> str:
    """Return the value of ``Set-Cookie`` that deletes the session cookie."""
    return session_cookie("", 0, tls=tls)


CLEARED_COOKIES = (cleared_cookie(tls=True), cleared_cookie(tls=False))
"""The values of ``Set-Cookie`` that delete the session cookie under both of its names."""
