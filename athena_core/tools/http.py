"""The tool http: requests to the hosts of the profile, at public addresses, without redirects.

A request carries the credentials of the profile that cover its host. Models never get their secrets.
"""

import asyncio
import base64
import codecs
import re
import ssl
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, NamedTuple

import anyio
import httpx2
import msgspec

from athena_core.credentials.credentials import Credentials
from athena_core.definitions.profile import HttpPolicy
from athena_core.enums import EvidenceType
from athena_core.mask import HELD_CHARS_MAX, Mask
from athena_core.statuses import PHRASES
from athena_core.text import clean
from athena_core.tools.destination import (
    ADDRESSES_TRIED_MAX,
    Address,
    HttpTarget,
    Resolve,
    addresses,
    check_allowed,
    failure,
    is_public,
    not_public,
    resolved,
    target_of,
)
from athena_core.tools.http_credentials import (
    COMPRESSED,
    WITHHELD,
    RequestCredentials,
    is_compressed,
    missing_names,
    reveals,
)
from athena_core.tools.refusal import ToolRefused
from athena_core.tools.tool import EVIDENCE, ToolContext, ToolResult, parameters, tool_evidence
from athena_core.values import ToolSpec

TIMEOUT_MS = 30_000
"""Timeout of a whole request, unless the profile sets ``timeoutMs``."""
RESPONSE_BYTES = 1_000_000
"""Maximum size of a response body, unless the profile sets ``responseBytesMax``."""
URL_CHARS_MAX = 8_000
BODY_CHARS_MAX = 1_000_000
HEADER_CHARS_MAX = 1_000
REQUEST_HEADERS = (
    "accept", "accept-language", "content-type", "idempotency-key", "if-match", "if-modified-since", "if-none-match",
    "range",
)  # fmt: skip
"""Headers that a model may send. None of them carries a credential."""
RESPONSE_HEADERS = (
    "content-type", "content-length", "content-encoding", "content-range", "date", "etag", "last-modified", "link",
    "location", "retry-after",
)  # fmt: skip
"""Headers of a response that the model gets."""
READING = frozenset({"GET", "HEAD"})
CHARSETS = {"": "utf-8", "utf-8": "utf-8", "us-ascii": "utf-8", "iso-8859-1": "latin-1", "windows-1252": "cp1252"}
HEADER_VALUE = re.compile(r"[ -~]*")
SPEC = ToolSpec(
    name="http",
    description=(
        "Send one HTTP request to an allowed host. Redirects are not followed: a 3xx is the result. "
        "Send no credentials: the server adds the ones of the profile. "
        f"Allowed headers: {', '.join(REQUEST_HEADERS)}."
    ),
    parameters=parameters(
        "url",
        url={"type": "string", "minLength": 1, "maxLength": URL_CHARS_MAX, "description": "http:// or https://"},
        method={"enum": ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"], "description": "Default: GET."},
        headers={"type": "object", "additionalProperties": {"type": "string", "maxLength": HEADER_CHARS_MAX}},
        body={"type": "string", "maxLength": BODY_CHARS_MAX, "description": "Not with GET and HEAD."},
        evidence=EVIDENCE,
    ),
)


class HttpTool:
    """A tool that sends a request to a host of ``allowedEgress`` with a method of ``toolPolicies.http.methods``.

    A name is resolved once. If one of its addresses is not public, the call is refused. Otherwise one of these
    addresses is used, with the name as ``Host`` and for TLS. Proxies, cookies and credentials of the environment are
    not used. The default method is GET. GET and HEAD may be repeated.
    """

    spec = SPEC

    def __init__(
        self, credentials: Credentials | None = None, *, allow_loopback: bool = False, resolve: Resolve | None = None
    ) -> None:
        """Use the system's resolver. Only tests set ``allow_loopback`` or ``resolve``."""
        self._credentials = credentials or Credentials()
        self._allow_loopback = allow_loopback
        self._resolve = resolve or resolved

    def repeatable(self, arguments: Mapping[str, Any]) -> bool:
        """Return True if the method only reads."""
        return arguments.get("method", "GET") in READING

    def carries(self, arguments: Mapping[str, Any], names: Iterable[str]) -> tuple[str, ...]:
        """Return which of the named credentials a call carries, sorted by name."""
        try:
            return self._carried(target_of(arguments["url"]), names).names
        except ToolRefused:  # it will be refused
            return ()

    def _carried(self, target: HttpTarget, names: Iterable[str]) -> RequestCredentials:
        return RequestCredentials.of(self._credentials, names, target.scheme, target.host, target.port)

    async def call(self, arguments: Mapping[str, Any], bench: ToolContext) -> ToolResult:
        """Send the request and read the response up to the limits. Raise ToolRefused."""
        policy = bench.policies.http or HttpPolicy()
        method = arguments.get("method", "GET")
        if method not in policy.methods:
            raise ToolRefused(
                f"Method {method} is not allowed, only {', '.join(policy.methods)}. "
                "Use one of these, or ask an operator to add it to toolPolicies.http.methods."
            )
        if "body" in arguments and method in READING:
            raise ToolRefused(f"{method} requests cannot have a body. Remove it, or send the data in the query string.")
        headers = _headers(arguments.get("headers", {}))
        target = target_of(arguments["url"])
        check_allowed(target, bench.allowed_egress)
        if missing := missing_names(self._credentials, bench.credentials):
            raise ToolRefused(
                f"The profile names the credential {missing[0]!r}, which does not exist on this server. An operator "
                "can add it to the credentials file, or create a profile without it."
            )
        carried = self._carried(target, bench.credentials)
        carried.check(bench.carries, headers)
        timeout_ms = policy.timeout_ms or TIMEOUT_MS
        try:
            with anyio.fail_after(timeout_ms / 1_000):
                found = await self._addresses(target, carried)
                signed = await carried.sign(headers, target.path)
                target = target._replace(path=signed.path)
                request = _Request(target, method, signed.headers, arguments.get("body"), self._tls)
                answer = await request.send(found, policy.response_bytes_max or RESPONSE_BYTES)
        except TimeoutError:
            remedy = "Request less, or ask an operator to raise toolPolicies.http.timeoutMs."
            return ToolResult(content=f"The request timed out after {timeout_ms} ms. {remedy}", is_error=True)
        except (OSError, httpx2.HTTPError) as error:
            return ToolResult(content=f"{target.authority}: {_words(error)}", is_error=True)
        label = arguments.get("evidence")
        if not carried.carried:
            return answer.result(label, bench.mask)
        return await asyncio.to_thread(answer.result, label, bench.mask, carries=True)  # up to a second for a megabyte

    async def _addresses(self, target: HttpTarget, carried: RequestCredentials) -> list[Address]:
        """Return the checked addresses of the host. Raise ToolRefused or OSError.

        Addresses that are not public need credentials that may all go there, and nothing else opens them.
        """
        found = addresses(await self._resolve(target.host, target.port))
        for address in found:
            public = is_public(address)
            carried.check_transport(target.scheme, target.host, public=public)
            opened = carried.private or (self._allow_loopback and address.is_loopback and not carried.carried)
            if not (public or opened):
                raise not_public(target.host, address)
        return found[:ADDRESSES_TRIED_MAX]

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return httpx2.create_ssl_context(trust_env=False)


class _Request:
    """A request on its own connection."""

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
        """Try the addresses in turn until one accepts the connection."""
        client = httpx2.AsyncClient(verify=self._tls, trust_env=False, follow_redirects=False, timeout=None)
        async with client:
            for index, address in enumerate(addresses):
                try:
                    return await self._send(client, address, bytes_max)
                except httpx2.ConnectError:
                    if index == len(addresses) - 1:
                        raise
        raise OSError("the name has no address")

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
    """A response. ``read`` is the raw body, and some bytes after its shown part for the mask."""

    status: int
    headers: Mapping[str, str]
    read: bytes
    bytes_max: int

    @property
    def body(self) -> bytes:
        """The shown part of the body."""
        return self.read[: self.bytes_max]

    @property
    def cut(self) -> bool:
        """True if the body continues after its shown part."""
        return len(self.read) > self.bytes_max

    def result(self, label: str | None, mask: Mask, *, carries: bool = False) -> ToolResult:
        """Return the result. Its evidence is the body if that is JSON or binary, else the whole text for the model.

        If the request carried credentials, an answer that may repeat a secret in another form is not shown.
        """
        phrase = PHRASES.get(self.status, "")
        lines = [f"HTTP {self.status} {phrase}".rstrip()]
        lines += [f"{name}: {self.headers[name]}" for name in RESPONSE_HEADERS if name in self.headers]
        if 300 <= self.status < 400 and "location" in self.headers:
            lines.append("[the redirect was not followed; request the location if you need it]")
        if self.cut:
            lines.append(f"[the body was cut after {len(self.body)} bytes]")
        text, escaped = self._text(), False
        kind: EvidenceType = "text"
        if carries and is_compressed(self.headers.get("content-encoding", ""), self.read):
            lines.append(COMPRESSED)
            body = ""
        elif text is not None:
            after = self.read[self.bytes_max :].decode(errors="replace")
            body = mask.hide_part(clean(text + after), 0, len(text)) if after else mask.hide(clean(text))
            escaped = carries and reveals(mask.hide(clean(text + after)), mask)
        elif mask.holds(self.read):
            lines.append("[the body is not text and holds a secret; it is not shown]")
            body = ""
        else:
            lines.append("[the body is not text; it follows in base64]")
            kind, body = "binary", base64.b64encode(self.body).decode()
        head = clean("\n".join(lines))
        if escaped or (carries and reveals(mask.hide(head), mask)):
            head, body = f"{lines[0]}\n{WITHHELD}", ""
        content = head + ("\n\n" + body if body else "")
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


def _headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers in lower case. Raise ToolRefused."""
    normal = {name.lower(): value for name, value in headers.items()}
    if refused := sorted(normal.keys() - set(REQUEST_HEADERS)):
        raise ToolRefused(
            f"Header {clean(refused[0])[:100]!r} is not allowed, only {', '.join(REQUEST_HEADERS)}. Remove it."
        )
    for name, value in normal.items():
        if not HEADER_VALUE.fullmatch(value):
            raise ToolRefused(f"Header {name!r} contains characters other than printable ASCII. Encode or remove it.")
    return normal


def _is_json(body: str) -> bool:
    try:
        msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return False
    return True


def _words(error: OSError | httpx2.HTTPError) -> str:
    """Return a short description of a network failure, without texts of libraries."""
    match error:
        case httpx2.ConnectError():
            return "cannot connect"
        case httpx2.HTTPError():
            return f"the connection broke ({type(error).__name__})"
        case _:
            return failure(error)
