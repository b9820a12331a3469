"""The tool http: requests to the hosts that the profile lists, at public addresses, without redirects."""

import asyncio
import base64
import codecs
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import urlsplit

import anyio
import httpx2
import msgspec

from athena_core.providers.mask import HELD_CHARS_MAX, Mask
from athena_core.statuses import PHRASES
from athena_core.text import clean
from athena_core.tools.refusal import ToolRefused
from athena_core.tools.tool import EVIDENCE, ToolContext, ToolResult, parameters, tool_evidence
from athena_core.values import Egress, EvidenceType, HttpPolicy, ToolSpec

TIMEOUT_MS = 30_000
"""How long a request may take in all unless the profile says ``timeoutMs``."""
RESPONSE_BYTES = 1_000_000
"""How much of a body is taken unless the profile says ``responseBytesMax``."""
URL_CHARS_MAX = 8_000
BODY_CHARS_MAX = 1_000_000
HEADER_CHARS_MAX = 1_000
ADDRESSES_TRIED_MAX = 3
REQUEST_HEADERS = (
    "accept", "accept-language", "content-type", "idempotency-key", "if-match", "if-modified-since", "if-none-match",
    "range",
)  # fmt: skip
"""Headers that a model may send; none of them carries a credential."""
RESPONSE_HEADERS = (
    "content-type", "content-length", "content-encoding", "content-range", "date", "etag", "last-modified", "link",
    "location", "retry-after",
)  # fmt: skip
"""Headers of a response that a model is told."""
READING = frozenset({"GET", "HEAD"})
CHARSETS = {"": "utf-8", "utf-8": "utf-8", "us-ascii": "utf-8", "iso-8859-1": "latin-1", "windows-1252": "cp1252"}
PRINTABLE = re.compile(r"[!-\[\]-~]+")  # no blank, no backslash: they are what parsers of URLs disagree on
HEADER_VALUE = re.compile(r"[ -~]*")
HOST = re.compile(r"([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
NUMERIC = re.compile(r"(.*\.)?(\d+|0x[0-9a-f]*)")

GLOBAL_V6 = IPv6Network("2000::/3")
CLOSED_V6 = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))
CLOSED_V4 = tuple(
    map(IPv4Network, ("192.0.0.0/24", "168.63.129.16/32"))
)  # protocols; a cloud's inside with a public face

Address: TypeAlias = IPv4Address | IPv6Address
Resolve: TypeAlias = Callable[[str, int], Awaitable[list[str]]]
"""The addresses of a host and port; may raise OSError."""

SPEC = ToolSpec(
    name="http",
    description=(
        "Send one HTTP request to a host that is allowed. Redirects are not followed: a 3xx is the result. "
        f"Headers that may be sent: {', '.join(REQUEST_HEADERS)}."
    ),
    parameters=parameters(
        "url",
        url={"type": "string", "minLength": 1, "maxLength": URL_CHARS_MAX, "description": "http:// or https://"},
        method={"enum": ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"], "description": "GET if left out."},
        headers={"type": "object", "additionalProperties": {"type": "string", "maxLength": HEADER_CHARS_MAX}},
        body={"type": "string", "maxLength": BODY_CHARS_MAX, "description": "Not with GET and HEAD."},
        evidence=EVIDENCE,
    ),
)


class HttpTarget(NamedTuple):
    """Where a request goes, taken apart once; it is put together again from these parts only."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """The host, with the port unless it is the scheme's own."""
        return self.host if self.port == PORTS[self.scheme] else f"{self.host}:{self.port}"


PORTS = {"http": 80, "https": 443}


class HttpTool:
    """Sends a request to a host of ``allowedEgress``, with a method of ``toolPolicies.http.methods`` (else GET).

    A name is resolved once; if any of its addresses is not public, the call is refused, else one of just these is
    connected to, with the name as ``Host`` and for TLS. Proxies, cookies and credentials of the environment are not
    used. GET and HEAD may be repeated.
    """

    spec = SPEC

    def __init__(self, allow_loopback: bool = False, resolve: Resolve | None = None) -> None:
        """Only tests reach their own machine (``allow_loopback``) or know better than the system's resolver."""
        self._allow_loopback = allow_loopback
        self._resolve = resolve or _resolve

    def repeatable(self, arguments: Mapping[str, Any]) -> bool:
        """If it only reads."""
        return arguments.get("method", "GET") in READING

    async def call(self, arguments: Mapping[str, Any], bench: ToolContext) -> ToolResult:
        """Send it and read the answer up to the limits. Raises ToolRefused."""
        policy = bench.policies.http or HttpPolicy()
        method = arguments.get("method", "GET")
        if method not in policy.methods:
            raise ToolRefused(
                f"Method {method} is not allowed, only {', '.join(policy.methods)}. "
                "Use one of these, or have it added to toolPolicies.http.methods."
            )
        if "body" in arguments and method in READING:
            raise ToolRefused(f"{method} has no body. Leave it out, or put it into the query of the URL.")
        headers = _headers(arguments.get("headers", {}))
        target = _target(arguments["url"])
        _allowed(target, bench.allowed_egress)
        timeout_ms = policy.timeout_ms or TIMEOUT_MS
        try:
            with anyio.fail_after(timeout_ms / 1_000):
                addresses = await self._addresses(target)
                request = _Request(target, method, headers, arguments.get("body"), self._tls)
                answer = await request.send(addresses, policy.response_bytes_max or RESPONSE_BYTES)
        except TimeoutError:
            remedy = "Ask for less, or have toolPolicies.http.timeoutMs raised."
            return ToolResult(content=f"No answer within {timeout_ms} ms. {remedy}", is_error=True)
        except (OSError, httpx2.HTTPError) as error:
            return ToolResult(content=f"{target.authority}: {_words(error)}", is_error=True)
        return answer.result(arguments.get("evidence"), bench.mask)

    async def _addresses(self, target: HttpTarget) -> list[Address]:
        """The addresses of the host, every one of them checked. Raises ToolRefused and OSError."""
        found = [ip_address(text.partition("%")[0]) for text in await self._resolve(target.host, target.port)]
        for address in found:
            if not (is_public(address) or (self._allow_loopback and address.is_loopback)):
                raise ToolRefused(
                    f"{target.host} has the address {address}, which is not a public one. Only public addresses are "
                    "reached, also for hosts in allowedEgress. Choose another host."
                )
        return found[:ADDRESSES_TRIED_MAX]

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return httpx2.create_ssl_context(trust_env=False)


class _Request:
    """One request on a connection of its own."""

    def __init__(
        self, target: HttpTarget, method: str, headers: dict[str, str], body: str | None, tls: ssl.SSLContext
    ) -> None:
        self._target = target
        self._method = method
        self._headers = {
            **headers,
            "host": target.authority,
            "accept-encoding": "identity",
            "connection": "close",
            "user-agent": "athena",
        }
        self._body = None if body is None else body.encode()
        self._tls = tls

    async def send(self, addresses: list[Address], bytes_max: int) -> "_Answer":
        """Try the addresses in turn until one takes the connection."""
        client = httpx2.AsyncClient(verify=self._tls, trust_env=False, follow_redirects=False, timeout=None)
        async with client:
            for index, address in enumerate(addresses):
                try:
                    return await self._send(client, address, bytes_max)
                except httpx2.ConnectError:
                    if index == len(addresses) - 1:
                        raise
        raise OSError("it has no address")

    async def _send(self, client: httpx2.AsyncClient, address: Address, bytes_max: int) -> "_Answer":
        target = self._target
        host = f"[{address}]" if address.version == 6 else str(address)
        url = httpx2.URL(scheme=target.scheme, host=host, port=target.port, raw_path=target.path.encode())
        body = bytearray()
        async with client.stream(
            self._method, url, headers=self._headers, content=self._body, extensions={"sni_hostname": target.host}
        ) as response:
            async for piece in response.aiter_raw():
                body += piece
                if len(body) > bytes_max + HELD_CHARS_MAX:
                    break
            return _Answer(response.status_code, response.headers, bytes(body), bytes_max)


class _Answer(NamedTuple):
    """What came back; the body is as it was on the wire, and goes on a bit behind what is shown of it."""

    status: int
    headers: Mapping[str, str]
    read: bytes
    bytes_max: int

    @property
    def body(self) -> bytes:
        """What is shown of the body."""
        return self.read[: self.bytes_max]

    @property
    def cut(self) -> bool:
        """Whether the body goes on."""
        return len(self.read) > self.bytes_max

    def result(self, label: str | None, mask: Mask) -> ToolResult:
        """What the model is told, and the evidence: the body alone if it is JSON or bytes, else all that is told."""
        phrase = PHRASES.get(self.status, "")
        lines = [f"HTTP {self.status} {phrase}".rstrip()]
        lines += [f"{name}: {self.headers[name]}" for name in RESPONSE_HEADERS if name in self.headers]
        if 300 <= self.status < 400 and "location" in self.headers:
            lines.append("[the redirect is not followed; ask for the location if you want it]")
        if self.cut:
            lines.append(f"[the body is cut after {len(self.body)} bytes]")
        text = self._text()
        kind: EvidenceType = "text"
        if text is not None:
            after = self.read[self.bytes_max :].decode(errors="replace")
            body = mask.hide_part(clean(text + after), 0, len(text)) if after else mask.hide(clean(text))
        elif mask.holds(self.read):
            lines.append("[the body is no text and holds a secret; it is not shown]")
            body = ""
        else:
            lines.append("[the body is no text; it follows in base64]")
            kind, body = "binary", base64.b64encode(self.body).decode()
        content = clean("\n".join(lines)) + ("\n\n" + body if body else "")
        if kind == "text" and _is_json(body):
            kind = "json"
        return ToolResult(
            content=content,
            is_error=self.status >= 400,
            truncated=self.cut,
            shown=tool_evidence(label, content if kind == "text" else body, kind, workspace=False),
        )

    def _text(self) -> str | None:
        if self.headers.get("content-encoding", "identity").lower() != "identity":
            return None
        found = re.search(r'charset="?([\w-]{1,40})', self.headers.get("content-type", ""), re.IGNORECASE)
        charset = CHARSETS.get(found[1].lower() if found else "")
        if charset is None:
            return None
        try:
            return codecs.getincrementaldecoder(charset)().decode(self.body, final=not self.cut)
        except UnicodeDecodeError:
            return None


def _target(url: str) -> HttpTarget:
    """Take a URL apart. Raises ToolRefused for whatever could be read in two ways."""
    if not PRINTABLE.fullmatch(url):
        raise ToolRefused("The URL holds blanks, backslashes or other than ASCII. Percent-encode them.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ToolRefused("The URL is malformed. Send http:// or https://, a host, maybe a port, a path.") from None
    scheme = parts.scheme.lower()
    if scheme not in PORTS:
        raise ToolRefused(f"The scheme {scheme[:20]!r} is not allowed. Use http or https.")
    if "@" in parts.netloc:
        raise ToolRefused("The URL holds a user name or password. Leave them out; credentials are not sent.")
    host = (parts.hostname or "").lower().removesuffix(".")
    numeric = NUMERIC.fullmatch(host)
    if numeric and _address(host) is None or len(host) > 253 or not HOST.fullmatch(host):
        raise ToolRefused(
            f"{host[:100]!r} is no host. Use a name (in ASCII), or an IPv4 address of four decimal numbers."
        )
    if port == 0:
        raise ToolRefused("Port 0 is no port. Use 1 to 65535, or none.")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return HttpTarget(scheme, host, port or PORTS[scheme], path if path.startswith("/") else "/" + path)


def _allowed(target: HttpTarget, egress: tuple[Egress, ...]) -> None:
    """Raise ToolRefused unless an entry names the host (``*.`` stands for one name or more) and no other port."""
    for entry in egress:
        suffix = entry.host.lower().removeprefix("*")
        matches = target.host.endswith(suffix) if entry.host.startswith("*.") else target.host == suffix
        if matches and entry.port in (None, target.port):
            return
    known = ", ".join(f"{entry.host}:{entry.port}" if entry.port else entry.host for entry in egress[:20])
    raise ToolRefused(
        f"{target.host}:{target.port} is not in allowedEgress ({known or 'which is empty'}). "
        "Use a host that is, or have it added to the profile."
    )


def _headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers of a model, in lower case. Raises ToolRefused."""
    normal = {name.lower(): value for name, value in headers.items()}
    if refused := sorted(normal.keys() - set(REQUEST_HEADERS)):
        raise ToolRefused(
            f"Header {clean(refused[0])[:100]!r} may not be sent, only {', '.join(REQUEST_HEADERS)}. Leave it out."
        )
    for name, value in normal.items():
        if not HEADER_VALUE.fullmatch(value):
            raise ToolRefused(f"Header {name!r} holds other than printable ASCII. Encode it, or leave it out.")
    return normal


def _address(text: str) -> Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def is_public(address: Address) -> bool:
    """Whether an address belongs to the open internet: not to this machine, its networks, or a cloud's inside."""
    if isinstance(address, IPv6Address):
        return address in GLOBAL_V6 and not any(address in network for network in CLOSED_V6)
    return (
        address.is_global
        and not address.is_multicast
        and not address.is_reserved
        and not any(address in network for network in CLOSED_V4)
    )


async def _resolve(host: str, port: int) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _is_json(body: str) -> bool:
    try:
        msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return False
    return True


def _words(error: OSError | httpx2.HTTPError) -> str:
    """What went wrong, without the text of libraries."""
    match error:
        case socket.gaierror():
            return "the name cannot be resolved"
        case httpx2.ConnectError():
            return "cannot connect"
        case httpx2.HTTPError():
            return f"the connection broke ({type(error).__name__})"
        case _:
            return error.strerror or str(error)
