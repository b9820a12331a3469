"""The transport of a command: the client, over HTTP or to the application in this process, by operation id."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import msgspec

from athena_cli.exit_codes import Exit, Failed, Misused, Unreachable
from athena_cli.operations import OPERATIONS, CommandOperation
from athena_cli.output.options import LATEST
from athena_cli.output.short_ids import OF_ANY, OF_RECORDS, RUN, is_part, whole_id
from athena_cli.output.values import date_time
from athena_cli.render import note
from athena_cli.words import sentences
from athena_client import AsyncCore, AthenaError, InvalidAnswer
from athena_client import Unreachable as NoAnswer
from athena_client.wire import authorities, bearer_of, certificate_fault, server_url, was_refused
from athena_core.roles import IDENTITY, RESERVED_PREFIX, is_reserved
from athena_core.settings import LOCAL_SERVER_URL, Settings

PATIENCE_SECONDS = {"checkMcpServer": 660.0}
"""Seconds that a server may work on an operation without a sign of life, such as the start of an MCP server."""
RETRY_SECONDS = 2.0
"""How long a command repeats a request that nothing answers, or that the server could not handle."""

LOCAL_URL = "http://127.0.0.1"
START = "start one with athena api serve, or set ATHENA_API_BASE_URL"

FIND_IDS = OPERATIONS["findIds"]
NOT_FOUND = 404


class StreamItem(NamedTuple):
    """An item of a stream: a JSON record and its cursor.

    ``record`` is None if the item only advances the cursor. ``cursor`` is None for live text, which is not recorded.
    """

    cursor: str | None
    record: bytes | None


class Transport:
    """A client of a control plane for commands. Created by ``connect``. Its errors are exits."""

    def __init__(
        self, client: AsyncCore, url: str, local: "LocalTransport | None" = None, past: str | None = None
    ) -> None:
        self._client = client
        self._past = past
        """The moment that reads are about; once one has been answered, its position, so that all are about the same."""
        self._announced = past is None
        self._url = url
        self._local = local
        self.following: str | None = None
        """The next cursor of the last CSV response, which carries it in a header."""
        self.position = 0
        """The position of the log that the last response reflects."""

    @property
    def server(self) -> str | None:
        """The address of the server; None if the application in this process answered."""
        return self._url if self._local is None or self._local.on_server else None

    async def request(
        self,
        operation_id: str,
        *,
        path: Mapping[str, str] | None = None,
        query: Mapping[str, str | None] | None = None,
        body: Mapping[str, object] | None = None,
        if_match: str | None = None,
        wait: bool = True,
    ) -> bytes:
        """Send a request and return the ``data`` of the response as JSON, or CSV. Raise Failed, Misused or Unreachable.

        ``wait=False`` asks a run-like operation to respond at once.
        """
        path = await self._whole_ids(path or {}, OF_RECORDS)
        query = await self._whole_ids(query or {}, OF_RECORDS)
        body = None if body is None else await self._whole_ids(body, OF_RECORDS)
        operation = OPERATIONS[operation_id]
        if self._past is not None and not operation.past:
            raise Misused(f"--as-of: {operation.method} {operation.path} has no past", "leave it out")
        headers = {} if if_match is None else {"if-match": if_match}
        if operation.accepted and not wait:
            headers["prefer"] = "respond-async"
        try:
            answer = await self._client.send(
                operation.method,
                template_of(operation),
                parameters=path or {},
                query=query if self._past is None else {**query, "asOf": self._past},
                body=body,
                headers=headers,
                waits=operation.accepted,
                patience=PATIENCE_SECONDS.get(operation_id, 0.0),
            )
        except AthenaError as error:
            whole = await self._whole_ids(path, OF_ANY) if error.status == NOT_FOUND else path
            if whole != path:
                return await self.request(
                    operation_id, path=whole, query=query, body=body, if_match=if_match, wait=wait
                )
            raise exit_of(error, [*(path or ())], self._url) from error
        except ValueError as error:
            raise Misused(str(error)) from error
        self.following = answer.headers.get("athena-next-cursor")
        self.position = int(answer.headers.get("athena-position", "0"))
        self._stop_at(answer.headers)
        return answer.data.removesuffix(b"\n")

    def _stop_at(self, headers: Mapping[str, str]) -> None:
        """Print the moment of the first answer about the past. All further requests are about its position.

        Raise Failed if the server has not understood what was asked.
        """
        if self._announced:
            return
        time = headers.get("athena-as-of")
        if time is None and self.position:
            raise Failed("the server is too old to read the past", "leave out --as-of, or upgrade it")
        self._announced, self._past = True, str(self.position)
        at = "before the first event" if time is None else f"at {date_time(time)}"
        note(f"As it was {at}, position {self.position:,}")

    async def _whole_ids(self, members: Mapping[str, Any], named: Mapping[str, str]) -> dict[str, Any]:
        """Return members of a request with whole ids instead of parts, and of ``latest``. Raise Misused or Failed."""
        whole = dict(members)
        for name, value in members.items():
            if value == LATEST and named.get(name) == RUN:
                whole[name] = await self.newest_run()
            elif name in named and isinstance(value, str) and is_part(value):
                find, past = template_of(FIND_IDS), {"asOf": self._past}
                try:
                    answer = await self._client.send("GET", find, parameters={"part": value}, query=past)
                except AthenaError:  # an older server, or a caller who may not: the part is judged as it is
                    continue
                whole[name] = whole_id(value, answer.data, named[name])
        return whole

    async def newest_run(self) -> str:
        """Return the id of the newest run. Raise Failed if there is none."""
        found = msgspec.json.decode(await self.request("listRuns", query={"limit": "1"}))["items"]
        if not found:
            raise Failed('there are no runs yet; start one with: athena run "hello"')
        return str(found[0]["runId"])

    async def follow(
        self,
        operation_id: str,
        *,
        query: Mapping[str, str | None],
        cursor: str | None,
        path: Mapping[str, str] | None = None,
        lost: Callable[[str], None],
    ) -> AsyncGenerator[StreamItem, None]:
        """Yield the items of a stream after a cursor until cancelled, and reconnect as needed.

        Call ``lost`` with the reason when a connection ends. Raise Unreachable only before the first connection, Failed
        if the server rejects the stream, and Misused.
        """
        query = await self._whole_ids(query, OF_RECORDS)
        stream = self._client.stream(
            template_of(OPERATIONS[operation_id]),
            bytes,
            parameters=path or {},
            query={**query, "after": cursor},
            transient=bytes,
            on_lost=lost,
        )
        try:
            async for item in stream.read():
                yield StreamItem(stream.cursor, None) if item is None else StreamItem(item.cursor, item.item)
        except AthenaError as error:
            raise exit_of(error, [*(path or ())], self._url) from error
        except ValueError as error:
            raise Misused(str(error)) from error


class LocalTransport(httpx2.AsyncBaseTransport):
    """A transport to the application in this process, which starts at the first request.

    With ``url``, the first request goes to that server, and the application is used only if the connection is refused.
    Once a server has answered, or a byte was sent, the choice never changes. A read starts the application only on an
    existing log, so that it creates nothing.
    """

    def __init__(
        self,
        settings: Settings,
        start: Callable[[], Awaitable[httpx2.AsyncBaseTransport]],
        url: str | None,
        *,
        existing: bool = False,
    ) -> None:
        """Start the application by ``start``. With ``existing`` no request creates a log."""
        self._settings = settings
        self._start = start
        self._url = url
        self._existing = existing
        self._chosen: httpx2.AsyncBaseTransport | None = None
        self._choosing = asyncio.Lock()
        self._server = httpx2.AsyncHTTPTransport(verify=authorities(url or LOCAL_URL), trust_env=False)

    @property
    def on_server(self) -> bool:
        """True once a server has answered."""
        return self._chosen is self._server

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request to the chosen transport. The first one chooses; others wait for it."""
        if self._chosen is None:
            async with self._choosing:
                if self._chosen is None:
                    return await self._choose(request)
        return await self._chosen.handle_async_request(request)

    async def _choose(self, request: httpx2.Request) -> httpx2.Response:
        if self._url is not None:
            try:
                response = await self._server.handle_async_request(request)
            except httpx2.ConnectError as error:
                if not was_refused(error):
                    raise
            else:
                self._chosen = self._server
                return response
        self._announce(reading=request.method == "GET")
        self._chosen = await self._start()
        return await self._chosen.handle_async_request(request)

    def _announce(self, *, reading: bool) -> None:
        """Print where the command works instead of on a server. Raise Exit if a read would find nothing there."""
        place, exists = state_of(self._settings)
        if (reading or self._existing) and not exists:
            if self._url is None:
                raise Misused(f"no state in {place}", "set ATHENA_STATE_DIR to the directory of a log")
            raise Unreachable(f"no server at {self._url} and no state in {place}", START)
        if self._url is not None:
            note(f"{'Reading' if reading else 'Working in'} {place} without a server: none is at {self._url}")

    async def aclose(self) -> None:
        """Close the connections to the server."""
        await self._server.aclose()


def state_of(settings: Settings) -> tuple[str, bool]:
    """Return the place of the log as people write it, and whether a log is there. A database counts as one."""
    if settings.database_url is not None:
        return "the database of ATHENA_DATABASE_URL", True
    path, here = settings.state_dir, Path.cwd()
    shown = f"./{path.relative_to(here)}" if path.is_relative_to(here) else str(path)
    return shown, (path / "log.db").exists()


@asynccontextmanager
async def connect(settings: Settings, *, detached: bool = False, past: str | None = None) -> AsyncIterator[Transport]:
    """Yield the transport that the settings choose: ``api``, ``local``, or ``auto``.

    ``auto`` is ``local`` if nothing listens at the usual address, and ``api`` if an address was set. ``detached``
    requires a server, because the work outlives the command. Reads are as of ``past``. Raise Misused.
    """
    if detached and settings.cli_transport == "local":
        raise Misused("--async requires a server to continue the run", "leave out --transport local")
    async with AsyncExitStack() as stack:
        url, chosen = _chosen(settings, stack, detached=detached)
        with _bad_address(settings):
            client = AsyncCore(
                url,
                settings.cli_identity or None,
                token=settings.token,
                timeout=settings.cli_api_timeout_ms / 1000,
                deadline=RETRY_SECONDS,
                verify=tls_context(settings, url),
                transport=chosen,
                identity_header=settings.auth_identity_header,
            )
        yield Transport(await stack.enter_async_context(client), url, chosen, past)


@asynccontextmanager
async def connect_http(settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    """Yield the HTTP client of the transport that the settings choose, for paths outside of the API.

    It works on an existing log only. A response may stay silent for as long as it takes. Raise Misused.
    """
    async with AsyncExitStack() as stack:
        url, chosen = _chosen(settings, stack, existing=True)
        with _bad_address(settings):
            headers = httpx2.Headers(bearer_of(settings.token, url, settings.cli_identity or None))
            if settings.cli_identity:
                headers[settings.auth_identity_header] = settings.cli_identity
            client = httpx2.AsyncClient(
                base_url=server_url(url),
                headers=headers,
                timeout=httpx2.Timeout(settings.cli_api_timeout_ms / 1000, read=None, pool=None),
                verify=tls_context(settings, url) or authorities(url),
                transport=chosen,
                trust_env=False,
                limits=httpx2.Limits(max_connections=None),
            )
        yield await stack.enter_async_context(client)


def _chosen(
    settings: Settings, stack: AsyncExitStack, *, detached: bool = False, existing: bool = False
) -> tuple[str, LocalTransport | None]:
    """Return the address of the server, and the transport instead of sockets. Raise Misused for a bad identity."""
    if settings.token and settings.cli_identity:
        raise Misused("ATHENA_TOKEN: set either this or --identity, not both", "a token contains its identity")
    if settings.cli_identity and not IDENTITY.fullmatch(settings.cli_identity):
        raise Misused(f"--identity: {settings.cli_identity!r} is not a valid identity", "see ATHENA_CLI_IDENTITY")
    if is_reserved(settings.cli_identity):
        reserved = f"begins with {RESERVED_PREFIX}, as the server's own actors do"
        raise Misused(f"--identity: {settings.cli_identity!r} {reserved}", "use another identity")

    async def local() -> httpx2.AsyncBaseTransport:
        from athena_cli.in_process import in_process

        return await stack.enter_async_context(in_process(settings))

    url = settings.api_base_url or LOCAL_SERVER_URL
    if settings.cli_transport == "local":
        return LOCAL_URL, LocalTransport(settings, local, None, existing=existing)
    if settings.cli_transport == "auto" and not detached and not settings.api_base_url:
        return url, LocalTransport(settings, local, url, existing=existing)
    return url, None


@contextmanager
def _bad_address(settings: Settings) -> Iterator[None]:
    """Raise Misused instead of errors about the address of the server."""
    try:
        yield
    except (httpx2.InvalidURL, ValueError) as error:
        raise Misused(f"ATHENA_API_BASE_URL: {error} (it is {settings.api_base_url!r})") from error


def tls_context(settings: Settings, url: str) -> ssl.SSLContext | None:
    """Return the context that trusts only the authorities of ATHENA_API_CA_FILE; None without it. Raise Misused."""
    path = settings.api_ca_file
    if path is None or not url.startswith("https://"):
        return None
    try:
        return ssl.create_default_context(cafile=path)
    except ssl.SSLError as error:
        raise Misused(f"ATHENA_API_CA_FILE: {path} is not a file of certificates in PEM") from error
    except OSError as error:
        raise Misused(f"ATHENA_API_CA_FILE: {path} cannot be read: {error.strerror}") from error


def template_of(operation: CommandOperation) -> str:
    """Return the path of an operation as the client takes it, such as ``/runs/{runId}``."""
    segments = operation.path.split("/")
    return "/".join(f"{{{part[1:]}}}" if part.startswith(":") else part for part in segments)


def exit_of(error: AthenaError, names: Sequence[str], url: str) -> Exit:
    """Return the exit of a command for an error of the client. ``names`` are the path parameters of the request."""
    if isinstance(error, NoAnswer) and error.status is None:
        note = f"API transport failed for {error.request}: {error.message}"
        if (reason := certificate_fault(error)) is not None:
            remedy = "for a private authority, set ATHENA_API_CA_FILE to its certificate"
            return Unreachable(f"the certificate of {url} is not accepted: {reason}", remedy, note=note)
        if isinstance(error.__cause__, httpx2.ConnectError):
            return Unreachable(f"no server at {url}", START, note=note)
        return Unreachable(f"the server at {url} does not answer", "see athena doctor", note=note)
    if isinstance(error, NoAnswer | InvalidAnswer):
        remedy = "set ATHENA_API_BASE_URL or --api-base-url"
        return Unreachable(f"{url} is not an Athena server", remedy, note=f"{error.request}: {error.message}")
    body = {
        "code": error.code,
        "message": error.message,
        "retryable": error.retryable,
        "traceId": error.trace_id,
        **({} if error.retry_with is None else {"retryWith": error.retry_with}),
        **({} if error.details is None else {"details": error.details}),
    }
    return sentences.exit_of(body, error.status or 500, error.request, names)
