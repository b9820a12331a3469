"""Browser checks: pages of other sites cannot use this server, and it answers only to its own host names."""

from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

from athena_core.errors import HostForbidden, OriginForbidden
from athena_core.proxies import LOOPBACK_NAMES

HOST_CHARS_MAX = 255
REMEMBERED_MAX = 1_000
ALLOWED_METHODS = b"GET, HEAD, POST, PUT, DELETE, OPTIONS"
ALLOWED_HEADERS = (
    b"accept, authorization, content-type, idempotency-key, if-match, if-none-match, last-event-id, mcp-method, "
    b"mcp-name, mcp-protocol-version, mcp-session-id, prefer, traceparent, tracestate"
)
EXPOSED_HEADERS = (
    b"athena-as-of, athena-next-cursor, athena-position, athena-resolved, athena-stale, deprecation, etag, "
    b"idempotency-replayed, link, location, mcp-session-id, preference-applied, retry-after, traceparent, tracestate, "
    b"x-trace-id"
)
PREFLIGHT_SECONDS = b"600"

Headers = list[tuple[bytes, bytes]]


class BrowserChecks:
    """The host names of this server, and the origins whose pages may use it."""

    def __init__(self, hosts: Iterable[str] = (), origins: Iterable[str] = ()) -> None:
        """Add names (without ports) and origins to the server's own."""
        self._extra = frozenset(host.lower() for host in hosts)
        self._hosts = LOOPBACK_NAMES | self._extra
        self._origins = frozenset(origin.encode() for origin in origins)
        self._known: set[bytes] = set()

    def answers_to(self, name: str) -> None:
        """Accept another host name: the address that the server listens on."""
        self._hosts |= {name.lower()}

    def check_host(self, values: list[bytes], *, reachable: bool) -> None:
        """Raise HostForbidden for an unknown host name. This stops pages that reach the server by DNS rebinding.

        A request without ``Host`` passes, because every browser sends one. If no browser can reach the socket,
        ``reachable`` is False. Then only names from the settings are checked.
        """
        if not values or not reachable and not self._extra:
            return
        if len(values) == 1:
            if values[0] in self._known:
                return
            if host_of(values[0]) in self._hosts:
                if len(self._known) < REMEMBERED_MAX:
                    self._known.add(values[0])
                return
        raise HostForbidden("This server does not answer to that host name. To allow it, set ATHENA_ALLOWED_HOSTS.")

    def check_origin(self, values: list[bytes], host: list[bytes]) -> Headers:
        """Return the CORS headers for a page that may read the answer. Raise OriginForbidden for other pages."""
        if not values:
            return []
        if len(values) == 1:
            origin = values[0]
            if origin in self._origins:
                return [
                    (b"access-control-allow-origin", origin),
                    (b"access-control-allow-credentials", b"true"),
                    (b"access-control-expose-headers", EXPOSED_HEADERS),
                    (b"vary", b"origin"),
                ]
            if host and origin.lower() in (b"http://" + host[0].lower(), b"https://" + host[0].lower()):
                return []
        raise OriginForbidden("Pages of that origin may not use this server. To allow it, set ATHENA_ALLOWED_ORIGINS.")


def preflight(headers: Headers) -> Headers:
    """Return the headers of the answer to OPTIONS for an allowed page of another site."""
    if not headers:
        return []
    return [
        *headers,
        (b"access-control-allow-methods", ALLOWED_METHODS),
        (b"access-control-allow-headers", ALLOWED_HEADERS),
        (b"access-control-max-age", PREFLIGHT_SECONDS),
    ]


def host_of(value: bytes) -> str | None:
    """Return the lower-case name or address in a ``Host`` field, or None if it is malformed."""
    if len(value) > HOST_CHARS_MAX:
        return None
    text = value.decode("latin-1")
    if not text.isascii() or any(character in text for character in "/?#@\\ \t,;"):
        return None
    try:
        parts = urlsplit(f"//{text}")
        _ = parts.port  # raises if the port is not a number
        name = parts.hostname
        return name if name is None or ":" not in name else str(ip_address(name))
    except ValueError:
        return None
