"""The destinations of requests: hosts of ``allowedEgress`` at public addresses.

Tool ``http`` and the egress proxy share these rules.
"""

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import NamedTuple, TypeAlias
from urllib.parse import urlsplit

from athena_core.credentials.host_pattern import PORTS, normal
from athena_core.definitions.profile import Egress
from athena_core.tools.refusal import ToolRefused

ADDRESSES_TRIED_MAX = 3
"""Maximum number of addresses of a name that are tried."""
PRINTABLE = re.compile(r"[!-\[\]-~]+")  # no space and no backslash: URL parsers disagree about them
GLOBAL_V6 = IPv6Network("2000::/3")
CLOSED_V6 = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))
CLOSED_V4 = tuple(
    map(IPv4Network, ("192.0.0.0/24", "168.63.129.16/32"))
)  # protocol assignments, and a cloud's internal service with a public address

Address: TypeAlias = IPv4Address | IPv6Address
Resolve: TypeAlias = Callable[[str, int], Awaitable[list[str]]]
"""A function that returns the addresses of a host and port. It may raise OSError."""


class HttpTarget(NamedTuple):
    """The parsed destination of a request. The URL is rebuilt from these parts only."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """The host, with the port unless it is the scheme's default."""
        return self.host if self.port == PORTS[self.scheme] else f"{self.host}:{self.port}"


def target_of(url: str) -> HttpTarget:
    """Parse a URL. Raise ToolRefused if parsers could disagree about it."""
    if not PRINTABLE.fullmatch(url):
        raise ToolRefused("The URL contains spaces, backslashes or non-ASCII characters. Percent-encode them.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ToolRefused(
            "The URL is malformed. Use http:// or https://, a host, an optional port, and a path."
        ) from None
    scheme = parts.scheme.lower()
    if scheme not in PORTS:
        raise ToolRefused(f"The scheme {scheme[:20]!r} is not allowed. Use http or https.")
    if "@" in parts.netloc:
        raise ToolRefused("The URL contains a user name or password. Remove them; credentials are not sent.")
    host = normal(parts.hostname or "")
    if host is None or ":" in host:
        raise ToolRefused(
            f"{(parts.hostname or '')[:100]!r} is not a host. "
            "Use an ASCII name, or an IPv4 address of four decimal numbers."
        )
    if port == 0:
        raise ToolRefused("Port 0 is not valid. Use 1 to 65535, or none.")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return HttpTarget(scheme, host, port or PORTS[scheme], path if path.startswith("/") else "/" + path)


def is_host(host: str, pattern: str) -> bool:
    """Return True if a lower-case host matches a name; ``*.`` matches one or more labels."""
    suffix = pattern.lower().removeprefix("*")
    return host.endswith(suffix) if pattern.startswith("*.") else host == suffix


def check_allowed(target: HttpTarget, egress: tuple[Egress, ...]) -> None:
    """Raise ToolRefused unless an entry allows the host and port; ``*.`` matches one or more labels."""
    for entry in egress:
        matches = is_host(target.host, entry.host)
        if matches and entry.port in (None, target.port):
            return
    known = ", ".join(f"{entry.host}:{entry.port}" if entry.port else entry.host for entry in egress[:20])
    raise ToolRefused(
        f"{target.host}:{target.port} is not in allowedEgress ({known or 'it is empty'}). "
        "Use a host from it, or ask an operator to add this one to the profile."
    )


def is_public(address: Address) -> bool:
    """Return True for an internet address: not of this machine, a local network, or a cloud's internal service."""
    if isinstance(address, IPv6Address):
        return address in GLOBAL_V6 and not any(address in network for network in CLOSED_V6)
    return (
        address.is_global
        and not address.is_multicast
        and not address.is_reserved
        and not any(address in network for network in CLOSED_V4)
    )


def not_public(host: str, address: Address) -> ToolRefused:
    """Return the refusal of a host with an address that is not public."""
    return ToolRefused(
        f"{host} has the address {address}, which is not public. Only public addresses are "
        "allowed, also for hosts in allowedEgress. Choose another host."
    )


def addresses(found: list[str]) -> list[Address]:
    """Return the addresses that a resolver found, without zones."""
    return [ip_address(text.partition("%")[0]) for text in found]


async def resolved(host: str, port: int) -> list[str]:
    """Return the addresses of a host by the resolver of the system. Raise OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def failure(error: OSError) -> str:
    """Return a short description of a network failure."""
    return "the name cannot be resolved" if isinstance(error, socket.gaierror) else error.strerror or str(error)
