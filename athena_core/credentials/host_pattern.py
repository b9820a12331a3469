"""The hosts that a credential may be sent to: a name or an address, with a port, or ``*.`` and a name."""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple, Self

PORTS = {"http": 80, "https": 443}
PORT_MAX = 65_535
HOST_CHARS_MAX = 253
LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
HOST = re.compile(rf"({LABEL}\.)*[a-z0-9]([a-z0-9-]{{0,61}}[a-z0-9])?")
PATTERN = re.compile(r"(\*\.)?(\[[0-9a-f:.]{2,45}\]|[^][*:/@?#\s]+)(?::([0-9]{1,5}))?")
NUMERIC = re.compile(r"(.*\.)?([0-9]+|0x[0-9a-f]*)")  # resolvers read such names as addresses
REGISTRY = re.compile(r"(ac|co|com|edu|gob|gouv|gov|go|id|in|info|ltd|me|mil|ne|net|nom|or|org|plc|sch|web)\.[a-z]{2}")
"""A name of two labels below which a registry of a country sells names, as ``co.uk``."""
SHARED = frozenset(
    (
        "amazonaws.com", "appspot.com", "azure-api.net", "azurestaticapps.net", "azurewebsites.net",
        "blob.core.windows.net", "blogspot.com", "cloudapp.net", "cloudflare.net", "cloudfront.net",
        "cloudfunctions.net", "core.windows.net", "deno.dev", "digitaloceanspaces.com", "firebaseapp.com", "fly.dev",
        "github.io", "githubusercontent.com", "gitlab.io", "glitch.me", "googleapis.com", "googleusercontent.com",
        "herokuapp.com", "linodeobjects.com", "netlify.app", "ngrok-free.app", "ngrok.app", "ngrok.dev", "ngrok.io",
        "nip.io", "ondigitalocean.app", "onrender.com", "pages.dev", "r2.dev", "railway.app", "readthedocs.io",
        "repl.co", "replit.app", "run.app", "s3.amazonaws.com", "sslip.io", "supabase.co", "surge.sh",
        "trafficmanager.net", "trycloudflare.com", "uk.com", "us.com", "vercel.app", "web.app", "windows.net",
        "workers.dev",
    )
)  # fmt: skip
"""Names below which anybody can get one. The list is short: it stops a mistake, not a decision."""


class BadHost(ValueError):
    """A host that a credential cannot be tied to. The message is the reason and the remedy, without the text."""


class HostPattern(NamedTuple):
    """A host and port. With ``below`` every name below the host, one or more labels deep, but not the host."""

    host: str
    port: int | None
    below: bool

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse an entry of ``hosts``. Raise BadHost."""
        if not text.isascii():
            raise BadHost("contains non-ASCII characters. Write an international name in its form with 'xn--'.")
        if "://" in text or "/" in text or "@" in text:
            raise BadHost("is a URL. Give only the host, with a port unless it is the one of the scheme.")
        found = PATTERN.fullmatch(text.lower())
        if found is None:
            raise BadHost("is not a host. Use a name, '*.' and a name, an IPv4 address, or an IPv6 address in [].")
        below, host, port = found[1] is not None, normal(found[2]), found[3]
        if host is None:
            raise BadHost("is not a host. Use a name, an IPv4 address of four numbers, or an IPv6 address in [].")
        if port is not None and not 0 < int(port) <= PORT_MAX:
            raise BadHost(f"has no valid port. Use 1 to {PORT_MAX}.")
        if below:
            _check_below(host)
        return cls(host, None if port is None else int(port), below)

    def covers(self, scheme: str, host: str, port: int) -> bool:
        """Return True for a destination; an entry without a port covers the default port of the scheme."""
        if port != (self.port or PORTS.get(scheme)):
            return False
        return host.endswith(f".{self.host}") if self.below else host == self.host


def normal(host: str) -> str | None:
    """Return a host as it is compared: in lower case, without a final dot, addresses in one form; None if invalid."""
    host = host.lower().removesuffix(".")
    if host.startswith("[") and host.endswith("]"):
        try:
            return IPv6Address(host[1:-1]).compressed
        except ValueError:
            return None
    if (address := _address(host)) is not None:
        return address.compressed
    return host if len(host) <= HOST_CHARS_MAX and HOST.fullmatch(host) and not NUMERIC.fullmatch(host) else None


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _check_below(host: str) -> None:
    """Raise BadHost unless one owner has all names below the host."""
    if _address(host) is not None:
        raise BadHost("is an address with '*.'. Name the address alone.")
    if "." not in host:
        raise BadHost("covers a whole top-level domain. Put at least two labels after '*.'.")
    if host in SHARED or REGISTRY.fullmatch(host):
        raise BadHost("covers names of other owners. Name each host, or a domain of your own.")
