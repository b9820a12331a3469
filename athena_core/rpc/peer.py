"""A peer: the other end of a JSON-RPC 2.0 conversation over lines, which both ends may begin requests in.

The reader takes one line at a time, so a slow handler slows the other end down. Traffic that breaks the protocol ends
the conversation with a named ending. Answers, notifications and the beginning of requests are handled in their order.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Literal, NamedTuple, Protocol, Self, TypeAlias, get_args

import msgspec
from msgspec import UNSET, Raw, UnsetType

from athena_core.outside_text import OutsideText
from athena_core.system.process import LineTooLong
from athena_core.text import preview

LINE_BYTES_MAX = 16 << 20
OPENINGS_MAX = 500_000
DETAIL_CHARS_MAX = 300
ID_CHARS_MAX = 1_000
PARSE_ERRORS = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)

METHOD_NOT_FOUND, INVALID_PARAMS, INTERNAL_ERROR = -32601, -32602, -32603
REQUEST_CANCELLED, TOO_MANY = -32800, -32000

EndState: TypeAlias = Literal[
    "stopped",
    "output-closed",
    "line-too-long",
    "invalid-json",
    "invalid-message",
    "unknown-answer",
    "input-blocked",
    "silent",
    "protocol-version",
    "mode-changed",
]
"""Why a conversation ended. Only ``stopped`` is the wish of this end."""
END_STATES: tuple[EndState, ...] = get_args(EndState)

Later: TypeAlias = Callable[[], Awaitable[object]]
"""Waits for the result of an accepted request. It is called once, and cancelled if the request is."""


class Ending(NamedTuple):
    """The end of a conversation. ``detail`` is a sentence that quotes nothing of the traffic."""

    state: EndState
    detail: str


class PeerEnded(Exception):
    """The conversation ended before the answer. The message is the state and the detail."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(f"{ending.state}: {ending.detail}")
        self.ending = ending


class RequestFailed(Exception):
    """An error that answers a request, from either end. ``data`` is JSON. The exception itself quotes nothing."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(f"error {code}")
        self.code = code
        self.message = OutsideText(message)
        self.data = data


class RequestTimedOut(Exception):
    """No answer within the deadline. The conversation goes on, and a late answer is ignored."""

    def __init__(self, method: str, seconds: float) -> None:
        super().__init__(f"no answer to {method} within {seconds:g} s")
        self.method = method


class TooManyRequests(Exception):
    """As many requests as allowed have no answer yet. Send the next one after an answer."""


class Pipes(Protocol):
    """The input and output of a peer."""

    async def read_line(self, bytes_max: int) -> bytes | None:
        """Return the next line without its end, None at the end. Raise LineTooLong."""

    async def write(self, data: bytes) -> None:
        """Write, and wait while the other end reads nothing."""


class PeerHandler(Protocol):
    """The methods that the other end may call.

    ProtocolBroken ends the conversation. So does any exception but RequestFailed, which open requests then raise.
    """

    async def request(self, method: str, params: Raw) -> Later:
        """Accept a request, in its order, and return the wait for its result. Raise RequestFailed."""

    async def notification(self, method: str, params: Raw) -> None:
        """Handle a notification, in its order."""


class PeerLimits(NamedTuple):
    """The limits of a conversation."""

    line_bytes: int = LINE_BYTES_MAX
    openings: int = OPENINGS_MAX
    """Maximum number of braces and brackets that open in a line: each object takes time of the event loop."""
    requests: int = 32
    """Maximum number of open requests of this end."""
    accepted: int = 32
    """Maximum number of open requests of the other end. More are answered with an error."""
    write_seconds: float = 10.0
    """Maximum time in which the other end reads nothing while its input is full."""


class CancelNotice(NamedTuple):
    """The notification that cancels a request: its method and the member that names the request."""

    method: str = "$/cancel_request"
    member: str = "requestId"


class RpcError(msgspec.Struct):
    """The error of an answer."""

    code: int
    message: str = ""
    data: Any = None


class RpcMessage(msgspec.Struct):
    """A line of either kind: a request, a notification or an answer."""

    jsonrpc: Literal["2.0"]
    id: int | str | None | UnsetType = UNSET
    method: str | UnsetType = UNSET
    params: Raw | UnsetType = UNSET
    result: Raw | UnsetType = UNSET
    error: RpcError | UnsetType | None = UNSET


class ProtocolBroken(Exception):
    """A message that ends the conversation. Handlers may raise it, too."""

    def __init__(self, state: EndState, detail: str) -> None:
        super().__init__(detail)
        self.ending = Ending(state, detail)


_MESSAGE = msgspec.json.Decoder(RpcMessage)
_NONE = Raw(b"null")


def read_message(line: bytes, limits: PeerLimits) -> RpcMessage:
    """Return a message of the other end. Raise ProtocolBroken."""
    if len(line) > limits.openings < line.count(b"{") + line.count(b"["):
        raise ProtocolBroken("invalid-message", f"It sent a line with more than {limits.openings} objects.")
    try:
        message = _MESSAGE.decode(line)
    except msgspec.ValidationError:
        raise ProtocolBroken("invalid-message", "It sent JSON that is not a JSON-RPC 2.0 message.") from None
    except PARSE_ERRORS:
        raise ProtocolBroken("invalid-json", "It sent a line that is not JSON.") from None
    if isinstance(message.id, str) and len(message.id) > ID_CHARS_MAX:
        raise ProtocolBroken("invalid-message", f"It sent an id of more than {ID_CHARS_MAX} characters.")
    return message


class Peer:
    """A conversation. Enter it to start reading; leaving it stops it and cancels every open request."""

    def __init__(
        self,
        pipes: Pipes,
        handler: PeerHandler,
        limits: PeerLimits = PeerLimits(),  # noqa: B008 - a value
        cancellation: CancelNotice = CancelNotice(),  # noqa: B008 - a value
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.ending: Ending | None = None
        self.ended = asyncio.Event()
        self._pipes = pipes
        self._handler = handler
        self._limits = limits
        self._cancellation = cancellation
        self._monotonic = monotonic
        self._failure: Exception | None = None
        self._next = 0
        self._open: dict[int, asyncio.Future[Raw]] = {}
        self._accepted: dict[int | str, asyncio.Task[None]] = {}
        self._reading: asyncio.Task[None] | None = None
        self._heard = monotonic()
        self._taking = False
        """True while a message of the other end is handled, which sends the next one only afterwards."""

    async def __aenter__(self) -> Self:
        self._reading = asyncio.get_running_loop().create_task(self._read())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end("stopped", "Athena ended the conversation.")
        tasks = [*self._accepted.values(), *([self._reading] if self._reading else ())]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def waiting(self) -> bool:
        """True if the other end waits for an answer of this end."""
        return bool(self._accepted)

    @property
    def asking(self) -> bool:
        """True if this end waits for an answer of the other end."""
        return any(not answer.done() for answer in self._open.values())

    def note_activity(self) -> None:
        """Count something else that the other end did, such as a call of a model, as a sign of life."""
        self._heard = self._monotonic()

    def end(self, state: EndState, detail: str) -> None:
        """End the conversation. The first ending counts. Open requests raise PeerEnded."""
        self._finish(Ending(state, preview(detail, DETAIL_CHARS_MAX)), None)

    async def request(
        self, method: str, params: object, *, seconds: float, silence_seconds: float | None = None
    ) -> Raw:
        """Send a request and return its result. Raise RequestFailed, RequestTimedOut, TooManyRequests, PeerEnded.

        With ``silence_seconds`` the conversation ends as ``silent`` if nothing arrives for that long, while the other
        end waits for no answer. An exception of the handler is raised here.
        """
        self._check()
        if len(self._open) >= self._limits.requests:
            raise TooManyRequests(f"{len(self._open)} requests have no answer yet")
        number = self._next
        answer: asyncio.Future[Raw] = asyncio.get_running_loop().create_future()
        self._next += 1
        self._open[number] = answer
        self._heard = self._monotonic()
        try:
            await self._send({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
            if not await self._answered(answer, seconds, silence_seconds):
                raise RequestTimedOut(method, seconds)
            return answer.result()
        finally:
            del self._open[number]
            if answer.done():
                answer.exception()  # so that it counts as retrieved
            elif self.ending is None:
                await self._send_cancellation(number)

    async def notify(self, method: str, params: object) -> None:
        """Send a notification. Raise PeerEnded."""
        self._check()
        await self._send({"jsonrpc": "2.0", "method": method, "params": params})

    async def _answered(self, answer: asyncio.Future[Raw], seconds: float, silence_seconds: float | None) -> bool:
        """Wait for an answer. Return False after the deadline."""
        deadline = self._monotonic() + seconds
        while not answer.done():
            now = self._monotonic()
            if now >= deadline:
                return False
            due = deadline
            if silence_seconds is not None:
                if self._accepted or self._taking:  # this end is the one that is silent
                    self._heard = now
                if now >= self._heard + silence_seconds:
                    self.end("silent", f"Nothing arrived for {silence_seconds:g} s.")
                    return True
                due = min(due, self._heard + silence_seconds)
            await asyncio.wait((answer,), timeout=due - now)
        return True

    async def _send_cancellation(self, number: int) -> None:
        with suppress(PeerEnded):
            method, member = self._cancellation
            await self._send({"jsonrpc": "2.0", "method": method, "params": {member: number}})

    async def _send(self, message: dict[str, object]) -> None:
        data = msgspec.json.encode(message) + b"\n"
        try:
            async with asyncio.timeout(self._limits.write_seconds):
                await self._pipes.write(data)
        except TimeoutError:
            self.end("input-blocked", f"It read nothing of its input for {self._limits.write_seconds:g} s.")
        self._check()

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self.ending is not None:
            raise PeerEnded(self.ending)

    def _finish(self, ending: Ending, failure: Exception | None) -> None:
        if self.ending is not None:
            return
        self.ending, self._failure = ending, failure
        for answer in self._open.values():
            if not answer.done():
                answer.set_exception(failure or PeerEnded(ending))
        current = asyncio.current_task()
        for task in self._accepted.values():
            if task is not current:
                task.cancel()
        self.ended.set()

    def _fail(self, failure: Exception) -> None:
        """End the conversation because a handler of this end failed. Its exception is raised by open requests."""
        self._finish(Ending("stopped", f"Handling a message failed: {type(failure).__name__}."), failure)

    async def _read(self) -> None:
        try:
            while self.ending is None and (line := await self._pipes.read_line(self._limits.line_bytes)) is not None:
                self._taking = True
                if line.strip():
                    await self._take(line)
                self._taking, self._heard = False, self._monotonic()
            self.end("output-closed", "It closed its output.")
        except LineTooLong:
            self.end("line-too-long", f"It sent a line of more than {self._limits.line_bytes} bytes.")
        except ProtocolBroken as broken:
            self.end(*broken.ending)
        except PeerEnded:
            pass  # it ended while this end was answering
        except Exception as failure:  # noqa: BLE001 - raised by the open requests
            self._fail(failure)

    async def _take(self, line: bytes) -> None:
        message = read_message(line, self._limits)
        if message.method is UNSET:
            self._take_answer(message)
            return
        params = _NONE if message.params is UNSET else Raw(bytes(message.params))
        if message.id is UNSET:
            await self._take_notification(message.method, params)
        elif message.id is None or message.id in self._accepted:
            raise ProtocolBroken("invalid-message", "It sent a request without an id, or with the id of an open one.")
        else:
            await self._take_request(message.id, message.method, params)

    def _take_answer(self, message: RpcMessage) -> None:
        number = message.id
        if number is None and isinstance(message.error, RpcError):
            raise ProtocolBroken("invalid-message", "It could not read a message of Athena.")
        if not isinstance(number, int) or not 0 <= number < self._next:
            raise ProtocolBroken("unknown-answer", "It answered a request that was never sent.")
        answer = self._open.get(number)
        if answer is None or answer.done():
            return  # late: its request timed out, was cancelled, or has an answer
        if isinstance(message.error, RpcError):
            error = message.error
            answer.set_exception(RequestFailed(error.code, error.message, error.data))
        elif message.result is UNSET:
            raise ProtocolBroken("invalid-message", "It sent an answer without a result.")
        else:
            answer.set_result(Raw(bytes(message.result)))

    async def _take_notification(self, method: str, params: Raw) -> None:
        if method != self._cancellation.method:
            await self._handler.notification(method, params)
            return
        with suppress(*PARSE_ERRORS):
            number = msgspec.json.decode(params, type=dict[str, Any]).get(self._cancellation.member)
            if isinstance(number, int | str) and number in self._accepted:
                self._accepted[number].cancel()

    async def _take_request(self, number: int | str, method: str, params: Raw) -> None:
        if len(self._accepted) >= self._limits.accepted:
            message = f"More than {self._limits.accepted} open requests. Wait for an answer."
            await self._refuse(number, RequestFailed(TOO_MANY, message))
            return
        try:
            later = await self._handler.request(method, params)
        except RequestFailed as error:
            await self._refuse(number, error)
            return
        task = asyncio.get_running_loop().create_task(self._answer(number, later))
        self._accepted[number] = task
        await asyncio.sleep(0)  # a task that is cancelled before its first step answers nothing

    async def _answer(self, number: int | str, later: Later) -> None:
        try:
            try:
                result = await later()
            except RequestFailed as error:
                await self._refuse(number, error)
            except asyncio.CancelledError:
                if self.ending is not None:
                    raise
                await self._refuse(number, RequestFailed(REQUEST_CANCELLED, "The request was cancelled."))
            else:
                await self._send({"jsonrpc": "2.0", "id": number, "result": result})
        except PeerEnded:
            pass
        except Exception as failure:  # noqa: BLE001 - raised by the open requests
            self._fail(failure)
        finally:
            self._accepted.pop(number, None)
            self._heard = self._monotonic()

    async def _refuse(self, number: int | str, error: RequestFailed) -> None:
        body: dict[str, object] = {"code": error.code, "message": error.message.exact}
        if error.data is not None:
            body["data"] = error.data
        await self._send({"jsonrpc": "2.0", "id": number, "error": body})
