"""Identity of the caller: one header that a proxy vouches for (contract 3.1, D8); what it may do is decided later."""

from collections.abc import Iterable

from athena_api.asgi import App, Receive, Scope, Send
from athena_api.replies import failure, status_of
from athena_core.errors import AthenaError, IdentityAmbiguous, IdentityInvalid, IdentityMissing
from athena_core.roles import IDENTITY, Roster
from athena_core.values import IDENTITY_CHARS_MAX, LOCAL

OPEN_PATHS = frozenset(("/livez", "/readyz", "/docs", "/openapi.json"))
OPEN_FOLDER = "/static/"


class IdentityMiddleware:
    """Puts the caller into ``scope["athena.identity"]``, or answers why it cannot.

    Stands before the router, behind the layer that sets ``scope["athena.trace"]`` and answers it as a header. An open
    path gets no identity.
    """

    def __init__(self, app: App, *, header: str, roster: Roster) -> None:
        """Wrap ``app``; where the roster is not enabled every caller is the local Admin."""
        self.app = app
        self.header = header.lower().encode()
        self.roster = roster

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Identify one request."""
        if scope["type"] == "http":
            if not self.roster.enabled:
                scope["athena.identity"] = LOCAL
            elif not is_open(scope["method"], scope["path"]):
                try:
                    subject = subject_of(scope["headers"], self.header)
                except AthenaError as error:
                    await _refuse(error, scope["athena.trace"], send)
                    return
                scope["athena.identity"] = self.roster.identity(subject)
        await self.app(scope, receive, send)


def is_open(method: str, path: str) -> bool:
    """Whether a request needs no identity (contract D7)."""
    return path in OPEN_PATHS or path.startswith(OPEN_FOLDER) or method == "OPTIONS"


def subject_of(headers: Iterable[tuple[bytes, bytes]], header: bytes) -> str:
    """The identity in the raw header fields: exactly one field, exactly one name. Raises AthenaError."""
    values: list[bytes] = []
    twin = False  # some proxies and frameworks take `_` for `-`: a client could slip a second name past the proxy
    for field, value in headers:
        if len(field) == len(header):
            lower = field.lower()
            if lower == header:
                values.append(value)
            elif lower.replace(b"_", b"-") == header:
                twin = True
    name = header.decode()
    if not values or len(values) == 1 and not twin and not values[0].strip():
        raise IdentityMissing(f"the header {name} with the caller's identity is required")
    if len(values) > 1 or twin:
        raise IdentityAmbiguous(f"the header {name} must be there once, in one spelling")
    subject = values[0].decode("latin-1")
    if not IDENTITY.fullmatch(subject):
        raise IdentityInvalid(
            f"the header {name} must hold one name of 1 to {IDENTITY_CHARS_MAX} letters, digits or ._@:+|-"
        )
    return subject


async def _refuse(error: AthenaError, trace_id: str, send: Send) -> None:
    body = failure(error, trace_id)
    headers = [
        (b"content-type", b"application/json; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": status_of(error), "headers": headers})
    await send({"type": "http.response.body", "body": body})
