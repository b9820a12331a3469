"""The application: from the first byte of a request to the endpoint or a page."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.routing import Route

from athena_api.edge.access_log import AccessLog, AccessRecord
from athena_api.edge.asgi import Receive, Scope, Send
from athena_api.edge.browser import BrowserChecks, preflight
from athena_api.edge.byte_budget import ByteBudget
from athena_api.edge.exchange import AnswerChannel, ConnectionLimits, lines_of, with_cache_headers
from athena_api.edge.identity import Identification
from athena_api.edge.replies import JSON_TYPE, failure, hide, status_of
from athena_api.edge.request_filter import RequestFilter
from athena_api.endpoint.endpoint import Endpoint
from athena_api.lifespan import plane_lifespan, roles_loaded
from athena_api.mcp.door import PATH as MCP_PATH
from athena_api.mcp.door import McpDoor
from athena_api.operations import OPERATIONS
from athena_api.pages import PAGES, static, unserved
from athena_api.plane import ControlPlane
from athena_api.wiring import wire
from athena_core.clock import Clock, Ids, SystemClock, SystemIds
from athena_core.decider import record
from athena_core.domain import plane
from athena_core.errors import AthenaError, ConfigError
from athena_core.event import Meta
from athena_core.log.sqlite.shortage import ERRORS as SHORTAGES
from athena_core.log.writer_threads import LogDriver
from athena_core.proxies import TrustedProxies
from athena_core.services.execution.liveness import FROZEN_SECONDS
from athena_core.settings import Settings
from athena_core.system.watchdog import name_operation
from athena_core.values import Identity

AGENT = b"user-agent"
NOTED = frozenset((AGENT, b"traceparent", b"tracestate"))
"""The header fields that this layer reads. The fields of a trace are echoed, unless they hold a secret."""
JSON_HEAD = b"content-type: %b\r\ncontent-length: %%d\r\n" % JSON_TYPE.encode()
CERTIFICATE_LOOP = "tls.certificate"
READING = ("GET", "HEAD")  # pages have no other methods: those get 404 in the envelope, as everywhere


class AthenaApp:
    """The one layer above the endpoint: it gives every request an identity, a trace id and a line in the log."""

    def __init__(
        self,
        gate: RequestFilter,
        endpoint: Endpoint,
        pages: Starlette,
        plane: ControlPlane,
        clock: Clock,
        ids: Ids,
        log: AccessLog,
        identification: Identification | None,
    ) -> None:
        """Serve the parts of ``plane``. End the streams of tokens that end."""
        self.plane = plane
        self.endpoint = endpoint
        self._pages = pages
        self._mcp = McpDoor(plane, endpoint)
        self._identification = identification
        if identification is not None:
            plane.streams.may_read = self._may_still_read
            plane.tokens.ended = lambda: plane.streams.review(lambda who, operation: identification.in_force(who))
        self.gate = gate
        settings = plane.settings
        self.limits = ConnectionLimits(
            header_bytes=settings.header_bytes_max,
            headers=settings.headers_max,
            url_bytes=settings.url_bytes_max,
            header_seconds=settings.header_timeout_ms / 1000,
            body_seconds=settings.body_timeout_ms / 1000,
            send_seconds=settings.send_timeout_ms / 1000,
        )
        self.bodies = ByteBudget(settings.bodies_in_flight_bytes_max)
        self.known_head = endpoint.known_head
        self.default_lines = b""
        """The header fields that every answer begins with."""
        self._clock = clock
        self._ids = ids
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. API requests go to the endpoint, ``/mcp`` to its door, others to Starlette."""
        if scope["type"] != "http":
            await self._pages(scope, receive, send)
            return
        started, trace = self._clock.monotonic(), self._ids.trace()
        scope["athena.trace"] = trace
        refusal: list[tuple[bytes, bytes]] = []
        agent, added = None, b"x-trace-id: %b\r\n" % trace.encode()
        for field in scope["headers"]:
            if field[0] in NOTED:
                if field[0] == AGENT:
                    agent = field[1]
                elif hide(text := field[1].decode("latin-1")) == text:
                    added += lines_of((field,))
        channel = AnswerChannel(scope, send, added)
        method, path = scope["method"], scope["path"]
        try:
            try:
                shared = self.gate.check(scope, refusal)
            except AthenaError as error:
                body = failure(error, trace)
                await channel.respond(status_of(error), JSON_HEAD % len(body) + lines_of(refusal), body)
                return
            if method == "OPTIONS":
                await channel.respond(204, lines_of(preflight(shared)), b"")
                return
            if shared:
                channel.share(shared)
            if path == MCP_PATH:
                await self._mcp(scope, receive, channel.send)
            elif method in READING and (path in PAGES or path.startswith("/static/")):
                name_operation(path if path in PAGES else "/static")
                await self._pages(scope, receive, channel.send)
            else:
                await self.endpoint.answer(scope, receive, channel)
        finally:
            self._note(scope, channel, agent, self._clock.monotonic() - started)

    def _note(self, scope: Scope, channel: AnswerChannel, agent: bytes | None, seconds: float) -> None:
        """Count and log a request."""
        method, path, identity = scope["method"], scope["path"], scope.get("athena.identity")
        self.plane.traffic.request(scope.get("athena.operation"), method, path, channel.status, seconds)
        self._log.request(
            AccessRecord(
                self._clock.now(),
                scope["athena.trace"],
                method,
                path,
                channel.status,
                seconds * 1000,
                identity.subject if identity else None,
                channel.size,
                scope["athena.client"] if "athena.client" in scope else peer_of(scope["client"]),
                agent,
                scope.get("athena.run_id"),
            )
        )

    async def reload(self) -> None:
        """Read the files again that may change while the server runs."""
        await self.reload_roles()
        await self.reload_certificate()
        await self.plane.credentials.reload()
        await self.plane.agents.reload(self.plane.log.problems)
        await self.plane.mcp_servers.reload(self.plane.log.problems)

    async def reload_certificate(self) -> None:
        """Read the TLS certificate again. Keep the old one if the new one cannot be used. Open connections go on."""
        certificate, problems = self.plane.certificate, self.plane.log.problems
        if certificate is None:
            return
        try:
            await asyncio.to_thread(certificate.reload, self._clock.now())
        except ConfigError as error:
            error.retryable = True  # the problem is logged as a warning
            problems.report(CERTIFICATE_LOOP, error, "reload")
            return
        problems.recovered(CERTIFICATE_LOOP, "reload")
        self.check_certificate()

    def check_certificate(self) -> None:
        """Report a certificate that has expired."""
        certificate, problems = self.plane.certificate, self.plane.log.problems
        if certificate is None:
            return
        if (expired := certificate.warning(self._clock.now(), soon_ms=0)) is None:
            problems.recovered(CERTIFICATE_LOOP, "expiry")
            return
        error = ConfigError(expired)
        error.retryable = True
        problems.report(CERTIFICATE_LOOP, error, "expiry")

    async def reload_roles(self) -> None:
        """Reload the roles file, record that, and end the streams of callers that may no longer read."""
        access = self.plane.access
        try:
            if not access.roster.enabled or not access.roster.reload():
                return
            meta = Meta(actor="system:server", correlation=self._ids.trace())
            await self.plane.log.submit(record(plane.STREAM, roles_loaded(access.roster)), meta)
        except AthenaError as error:
            self._log.warning(f"the roles were not reloaded, so the old ones still apply: {error.message}")
        finally:
            self.plane.streams.review(self._may_still_read)

    def _may_still_read(self, who: Identity, operation: str) -> bool:
        if self._identification is None:
            return True
        try:
            now = self._identification.again(who)
        except AthenaError:
            return False
        return now.scope == who.scope and self.plane.access.allows(now, operation)

    def refusal(self, error: AthenaError, client: tuple[str, int] | None) -> tuple[bytes, list[tuple[bytes, bytes]]]:
        """Return body and headers of the answer to malformed input, and log it."""
        trace = self._ids.trace()
        body = failure(error, trace)
        status = status_of(error)
        self._log.request(
            AccessRecord(
                at=self._clock.now(),
                trace_id=trace,
                method="",
                path="",
                status=status,
                ms=0.0,
                identity=None,
                size=len(body),
                client=peer_of(client),
            )
        )
        headers = [
            (b"content-type", JSON_TYPE.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
            (b"x-trace-id", trace.encode()),
        ]
        return body, with_cache_headers(headers)


def peer_of(client: tuple[str, int] | None) -> str | None:
    """Return the address of a socket's peer, None on a Unix socket or in this process."""
    return client[0] or None if client else None


def build(
    settings: Settings,
    *,
    clock: Clock | None = None,
    ids: Ids | None = None,
    access_log: AccessLog | None = None,
    serving: bool = True,
    frozen_seconds: float = FROZEN_SECONDS,
    driver: LogDriver | None = None,
) -> AthenaApp:
    """Return the application for a state directory. Raise ConfigError. Its parts are ``plane``.

    ``driver`` replaces the threads of the log.
    """
    clock, ids = clock or SystemClock(), ids or SystemIds()
    parts = wire(
        settings, clock, ids, kind="server" if serving else "command", frozen_seconds=frozen_seconds, driver=driver
    )
    lines = access_log or AccessLog(clock)
    lines.mask = parts.mask

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with plane_lifespan(parts, serving=serving):
            yield
        lines.flush()

    pages = Starlette(
        routes=[*PAGES.values(), Route("/static/{path:path}", static)],
        lifespan=lifespan,
        exception_handlers=dict.fromkeys((*SHORTAGES, *parts.log.store.damaged), unserved),
    )
    pages.state.plane = parts
    proxies = TrustedProxies(settings.auth_trusted_proxies, settings.auth_proxy_secret)
    roster = parts.access.roster
    identification = None
    if roster.enabled:
        identification = Identification(
            header=settings.auth_identity_header,
            roster=roster,
            proxies=proxies,
            tokens=parts.tokens,
            failures=parts.authentication_limits,
            groups_header=settings.auth_groups_header,
            tls=settings.tls_cert_file is not None,
        )
    endpoint = Endpoint(parts, OPERATIONS, lines, PAGES)
    browsers = BrowserChecks(settings.allowed_hosts, settings.allowed_origins)
    gate = RequestFilter(browsers=browsers, proxies=proxies, identification=identification)
    return AthenaApp(gate, endpoint, pages, parts, clock, ids, lines, identification)
