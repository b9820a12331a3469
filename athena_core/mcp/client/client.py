"""A conversation with an MCP server: what it offers, and calls of its tools, each within a deadline.

The era is found out once: first a request of 2026-07-28, then the handshake. Models and directories are never offered
to a server, and questions to the person only if the caller can ask.
"""

import asyncio
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final, Self, TypeAlias

import msgspec
from msgspec import Raw

from athena_core.mask import Mask
from athena_core.mcp.client.failure import WORDS_MAX, FailureCode, McpFailure
from athena_core.mcp.client.listing import Listing, ListingReader
from athena_core.mcp.client.messages import (
    MESSAGE,
    AnswerType,
    DiscoverResult,
    FormAnswer,
    InitializeResult,
    InputRequired,
    ProgressParams,
    ServerInfo,
    VersionsSupported,
    outside,
    read,
)
from athena_core.mcp.client.questions import QUESTIONS_MAX, Ask, McpQuestion, question_of
from athena_core.mcp.client.result import McpResult, read_result
from athena_core.mcp.client.wire import ELICIT, McpWire
from athena_core.mcp.versions import (
    CAPABILITIES_KEY,
    CLIENT_KEY,
    HANDSHAKES,
    MODERN,
    UNSUPPORTED_VERSION,
    VERSION_KEY,
)
from athena_core.outside_text import OutsideText
from athena_core.rpc.peer import PARSE_ERRORS, RequestFailed

PROGRESS_MAX = 1_000
"""Maximum number of reports of progress in one call. More are ignored."""
STATE_BYTES_MAX = 65_536
"""Maximum size of the state that a server gives along with a question."""
LISTING_SECONDS_MIN = 30.0
"""Least time for which a listing stays valid, whatever the server says."""
STATE_WAIT_SECONDS = 0.25
"""Wait before a call is repeated for a server that asks nothing."""
PROBE_PART: Final = 0.4
"""Part of the time to open in which a server may leave the first request of 2026-07-28 without an answer."""
NOT_MODERN: Final = frozenset[FailureCode]({"ended", "http-status", "invalid-message"})
"""Failures of the first request after which the handshake is tried."""
VERSIONS: Final = (MODERN, *HANDSHAKES)

Progress: TypeAlias = Callable[[float, float | None, OutsideText], None]
"""Notes progress: how much is done, of how much, and a message."""
NO_MESSAGE: Final = OutsideText("")


class CallReceiver:
    """The receiver of progress and questions during one call. The deadline stands while a person is asked."""

    def __init__(
        self,
        token: int,
        timer: asyncio.Timeout,
        progress: Progress | None,
        ask: Ask | None,
        is_closed: Callable[[], bool],
    ) -> None:
        """``is_closed`` returns True once this end closes the conversation."""
        self.token = token if progress is not None else None
        self.asks = ask is not None
        self.failure: BaseException | None = None
        self.task: asyncio.Task[Raw] | None = None
        self._timer = timer
        self._progress = progress
        self._ask = ask
        self._is_closed = is_closed
        self._reports = 0
        self._questions = 0
        self._left = 0.0
        self._asking: set[asyncio.Task[Any]] = set()

    def progressed(self, params: Raw) -> None:
        self._reports += 1
        if self._progress is None or self._reports > PROGRESS_MAX:
            return
        try:
            found = read(params, ProgressParams)
        except PARSE_ERRORS:
            return
        self._progress(found.progress, found.total, found.message or NO_MESSAGE)

    async def asked(self, params: Raw) -> object:
        """Answer a question. An exception of the caller's function ends the call.

        The function may close the conversation, which does not cancel it.
        """
        self._questions += 1
        if self._ask is None or self._questions > QUESTIONS_MAX:
            return FormAnswer("decline")
        task = asyncio.get_running_loop().create_task(self._answer(self._ask, question_of(params)))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not self._is_closed():
                task.cancel()
            raise

    async def _answer(self, ask: Ask, question: McpQuestion) -> FormAnswer:
        try:
            with self._standing():
                values = await ask(question)
        except Exception as error:  # noqa: BLE001 - raised by the call
            self._fail(error)
            return FormAnswer("cancel")
        return FormAnswer("decline") if values is None else FormAnswer("accept", question.with_defaults(values))

    async def asked_all(self) -> None:
        """Wait for the questions that are still open. Raise what the caller's function raised."""
        if self._asking:
            await asyncio.wait(self._asking)
        if self.failure is not None:
            raise self.failure

    def finish(self) -> None:
        """Cancel the questions that are still open once the call has ended."""
        for task in self._asking:
            task.cancel()

    def _fail(self, error: Exception) -> None:
        self.failure = self.failure or error
        if self.task is not None:
            self.task.cancel()

    @contextmanager
    def _standing(self) -> Iterator[None]:
        """Let the deadline of the call stand while a person is asked."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        if not self._asking and (when := self._timer.when()) is not None:
            self._left = when - loop.time()
            self._timer.reschedule(None)
        self._asking.add(task)
        try:
            yield
        finally:
            self._asking.discard(task)
            if not self._asking and not self._timer.expired():
                self._timer.reschedule(loop.time() + self._left)


class McpClient:
    """A conversation with one server. After ``ended`` is set, a new client is needed."""

    def __init__(
        self, server: str, wire: McpWire, *, version: str, asks: bool = False, mask: Mask | None = None
    ) -> None:
        """Take the server's name, Athena's version, and whether calls may ask. ``mask`` is for words of the server."""
        self.server = server
        self.server_info = ServerInfo()
        self.protocol_version = ""
        self._changed = False
        self._stale_at = math.inf
        self._wire = wire
        self._version = version
        self._asks = asks
        self._mask = mask or Mask()
        self._tokens = 0
        self._closed = False

    @property
    def transport(self) -> str:
        """The way to the server: ``stdio`` or ``http``."""
        return self._wire.transport

    @property
    def listing_changed(self) -> bool:
        """True if the server said that its tools changed since the last listing.

        Over HTTP and from 2026-07-28 on servers need not say it. There a listing also gets too old.
        """
        return self._changed or asyncio.get_running_loop().time() >= self._stale_at

    @property
    def modern(self) -> bool:
        """True from 2026-07-28 on."""
        return self.protocol_version == MODERN

    @property
    def ended(self) -> McpFailure | None:
        """Why the conversation ended; None as long as it goes on."""
        return self._wire.ended

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the conversation, and a program with all its processes. It may be called again."""
        self._closed = True
        await self._wire.close()

    async def open(self, seconds: float) -> None:
        """Connect and agree on a version. Raise McpFailure; the conversation has ended then."""
        try:
            async with self._deadline("its start", seconds):
                await self._wire.open(self.server, self._mask, self._note_change)
                await self._agree(seconds)
        except BaseException:
            await self.close()
            raise

    async def listing(self, seconds: float) -> Listing:
        """Return the tools as they are listed now. Raise McpFailure."""
        reader = ListingReader(headers=self.modern and self.transport == "http")
        cursor: str | None = None
        self._changed = False
        async with self._deadline("tools/list", seconds):
            while True:
                raw = await self._request("tools/list", {} if cursor is None else {"cursor": cursor})
                try:
                    cursor = reader.add(raw)
                except ValueError as error:
                    raise self._failure("invalid-message", f"Its answer to tools/list has {error}.") from None
                if cursor is None:
                    break
                await asyncio.sleep(0)
        tools = tuple(reader.tools.values())
        self._wire.note_tools(tools)
        if self.modern or self.transport == "http":
            age = max(reader.ttl_seconds, LISTING_SECONDS_MIN)
            self._stale_at = asyncio.get_running_loop().time() + age
        return Listing(self.server_info, self.protocol_version, tools, reader.skipped)

    async def call(
        self,
        name: str,
        arguments: dict[str, Any],
        *,
        seconds: float,
        on_progress: Progress | None = None,
        ask: Ask | None = None,
    ) -> McpResult:
        """Call a tool. Raise McpFailure, and what ``ask`` raised. The deadline stands while ``ask`` runs."""
        self._tokens += 1
        async with self._deadline("tools/call", seconds) as timer:
            ask = ask if self._asks else None
            receiver = CallReceiver(self._tokens, timer, on_progress, ask, lambda: self._closed)
            params: dict[str, Any] = {"name": name, "arguments": arguments}
            try:
                for _ in range(QUESTIONS_MAX + 1):
                    raw = await self._request("tools/call", params, receiver)
                    if not self.modern or self._decode(raw, AnswerType, "tools/call").result_type != "input_required":
                        return self._result(raw)
                    params = {"name": name, "arguments": arguments} | await self._input(raw, receiver)
            except McpFailure:
                if self._closed:  # perhaps by a question, whose run was parked
                    await receiver.asked_all()
                raise
            finally:
                receiver.finish()
        raise self._failure("too-many-questions", f"It asked more than {QUESTIONS_MAX} times in one call.")

    def _result(self, raw: Raw) -> McpResult:
        try:
            return read_result(raw)
        except ValueError as error:
            raise self._failure("invalid-message", f"Its answer to tools/call has {error}.") from None

    async def _input(self, raw: Raw, receiver: CallReceiver) -> dict[str, Any]:
        """Answer the questions inside of an answer. Return the parameters that the next call has in addition."""
        found = self._decode(raw, InputRequired, "tools/call")
        state = found.request_state
        if state is not None and len(state) > STATE_BYTES_MAX:
            raise self._failure("result-too-large", f"It gave a state of more than {STATE_BYTES_MAX} characters.")
        asked = found.input_requests or {}
        if len(asked) > QUESTIONS_MAX:
            raise self._failure("too-many-questions", f"It asked more than {QUESTIONS_MAX} questions at once.")
        if not asked:
            await asyncio.sleep(STATE_WAIT_SECONDS)
        answers: dict[str, object] = {}
        for key, one in asked.items():
            if one.method.exact != ELICIT:
                method = one.method.line(self._mask, 100)
                raise self._failure("not-offered", f"It asked for {method}, which is not offered.")
            try:
                answers[key] = await receiver.asked(Raw(bytes(one.params)))
            except RequestFailed:
                answers[key] = FormAnswer("decline")
            if receiver.failure is not None:
                raise receiver.failure
        added: dict[str, Any] = {"inputResponses": answers} if answers else {}
        return added if state is None else added | {"requestState": state}

    # Versions

    async def _agree(self, seconds: float) -> None:
        """Find out the era. A server that dies of the first request is started again for the handshake."""
        try:
            async with asyncio.timeout(seconds * PROBE_PART):
                if await self._discover():
                    return
        except TimeoutError:
            pass
        except McpFailure as failure:
            if failure.code not in NOT_MODERN or not await self._wire.reopen():
                raise
        try:
            await self._initialize()
        except RequestFailed as error:
            if error.code == UNSUPPORTED_VERSION and await self._discover():  # it was only slow
                return
            raise self._refused("initialize", error) from None

    async def _discover(self) -> bool:
        """Ask for the versions of the server. Return False if it has none of 2026-07-28."""
        self._wire.version = self.protocol_version = MODERN
        for again in (True, False):
            try:
                raw = await self._wire.request("server/discover", self._modern_params({}))
                found = read(raw, DiscoverResult)
            except RequestFailed as error:
                if MODERN in self._supported(error) and again:
                    continue
                return False
            except PARSE_ERRORS:
                return False
            if MODERN not in found.supported_versions:
                return False
            self.server_info = (found.meta and found.meta.server_info) or self.server_info
            return True
        return False

    def _supported(self, error: RequestFailed) -> list[str]:
        """Return the versions in an error about the version. Raise McpFailure if none of them is known here."""
        if error.code != UNSUPPORTED_VERSION:
            return []
        try:
            found = msgspec.convert(error.data, VersionsSupported, dec_hook=outside).supported
        except msgspec.ValidationError:
            return []
        supported = [one.exact for one in found]
        if supported and not set(supported) & set(VERSIONS):
            raise self._other_version(OutsideText(", ".join(supported)))
        return supported

    async def _initialize(self) -> None:
        self._wire.version = None
        params = {
            "protocolVersion": HANDSHAKES[0],
            "capabilities": self._capabilities(),
            "clientInfo": self._client_info(),
        }
        raw = await self._wire.request("initialize", params)
        found = self._decode(raw, InitializeResult, "initialize")
        if found.protocol_version.exact not in HANDSHAKES:
            raise self._other_version(found.protocol_version)
        self._wire.version = self.protocol_version = found.protocol_version.exact
        self.server_info = found.server_info or self.server_info
        await self._wire.notify("notifications/initialized")
        self._wire.listen()

    def _capabilities(self) -> dict[str, Any]:
        return {"elicitation": {"form": {}}} if self._asks else {}

    def _client_info(self) -> dict[str, str]:
        return {"name": "athena", "title": "Athena", "version": self._version}

    def _modern_params(self, params: dict[str, Any]) -> dict[str, Any]:
        meta = {
            VERSION_KEY: MODERN,
            CLIENT_KEY: self._client_info(),
            CAPABILITIES_KEY: self._capabilities(),
        }
        return params | {"_meta": meta}

    # Requests

    def _note_change(self) -> None:
        self._changed = True

    async def _request(self, method: str, params: dict[str, Any], receiver: CallReceiver | None = None) -> Raw:
        if self.modern:
            params = self._modern_params(params)
        if receiver is not None and receiver.token is not None:
            params = params | {"_meta": params.get("_meta", {}) | {"progressToken": receiver.token}}
        task = asyncio.get_running_loop().create_task(self._wire.request(method, params, receiver))
        if receiver is not None:
            receiver.task = task
        try:
            return await task
        except RequestFailed as error:
            raise self._refused(method, error) from None
        except asyncio.CancelledError:
            if receiver is not None and receiver.failure is not None:
                raise receiver.failure from None
            raise

    def _deadline(self, what: str, seconds: float) -> "CallDeadline":
        return CallDeadline(self.server, what, seconds)

    def _decode(self, raw: Raw, kind: type[MESSAGE], method: str) -> MESSAGE:
        try:
            return read(raw, kind)
        except PARSE_ERRORS:
            detail = f"Its answer to {method} has another shape than the protocol."
            raise self._failure("invalid-message", detail) from None

    def _refused(self, method: str, error: RequestFailed) -> McpFailure:
        words = error.message.line(self._mask, WORDS_MAX)
        return self._failure("refused", f"It answered {method} with error {error.code}: {words}")

    def _other_version(self, spoken: OutsideText) -> McpFailure:
        words = spoken.line(self._mask, WORDS_MAX)
        return self._failure("protocol-version", f"It speaks {words} and none of {', '.join(VERSIONS)}.")

    def _failure(self, code: FailureCode, detail: str) -> McpFailure:
        return McpFailure(self.server, code, detail)


class CallDeadline:
    """A deadline whose end is a McpFailure."""

    def __init__(self, server: str, what: str, seconds: float) -> None:
        self._timer = asyncio.timeout(seconds)
        self._failure = McpFailure(server, "silent", f"It sent no answer to {what} within {seconds:g} s.")

    async def __aenter__(self) -> asyncio.Timeout:
        return await self._timer.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._timer.__aexit__(kind, error, trace)
        except TimeoutError:
            raise self._failure from None
