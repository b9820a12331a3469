"""One model call through the gateway: reserved, passed on in both directions, and counted."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from athena_core.clock import Clock
from athena_core.gateway.answers import Answer, complete_usage
from athena_core.gateway.exchange import GatewayExchange
from athena_core.gateway.ledger import CallOutcome, EndedCall, Ledger
from athena_core.gateway.refusals import CallBudgetReached, Refusal
from athena_core.gateway.upstream import ANSWER_DROPPED, HiddenSecrets, ModelServer, passed
from athena_core.gateway.wires import ModelCall, OutputLimit, Wire
from athena_core.outside_text import OutsideText
from athena_core.providers.connection import (
    MAX_ERROR_BODY_BYTES,
    ConnectionBroken,
    RawAnswer,
    ServerSilent,
    decoded,
    table,
    text,
)
from athena_core.providers.prices import (
    FRAME_TOKENS,
    FREE,
    OUTPUT_TOKENS_LEAST,
    OUTPUT_TOKENS_RESERVED,
    OUTPUT_TOKENS_WRITTEN,
    CallCost,
    Prices,
)
from athena_core.providers.provider import MAX_REQUEST_ID_CHARS, ProviderFailure
from athena_core.text import one_line

REQUEST_IDS = ("x-request-id", "request-id")
REFUSED_KEYS = frozenset({401, 403})
BODILESS = frozenset({204, 205})
SERVER_CODES = frozenset({"athena_server", "athena_server_silent", "athena_server_odd"})
CUT = "The client hung up, or Athena ended the work."


class Call:
    """A call of an agent. ``asked`` and ``served`` are set once its body is read and its model allowed."""

    def __init__(
        self,
        number: int,
        exchange: GatewayExchange,
        wire: Wire,
        upstream: ModelServer,
        ledger: Ledger,
        prices: Prices,
        clock: Clock,
    ) -> None:
        self.asked: ModelCall | None = None
        self.served = ""
        self._number = number
        self._exchange = exchange
        self._wire = wire
        self._upstream = upstream
        self._ledger = ledger
        self._prices = prices
        self._clock = clock
        self._began = clock.monotonic()
        self._first_token_ms: int | None = None
        self._granted: int | None = None
        self._output_max: int | None = None
        """The most output tokens of all answers to the request as it is sent; None without a limit."""
        self._size = 0
        self._sent = False
        self._client_left = False
        self._status: int | None = None
        self._request_id: str | None = None
        self._answer: Answer | None = None
        self._outcome: CallOutcome = "cut"
        self._problem = CUT
        self._foreign_model = False

    async def make(self, asked: ModelCall, served: str) -> None:
        """Reserve, send and pass the answer on. Raise Refusal, CallBudgetReached, OSError or an error of the ledger.

        A client that hangs up cuts a stream off. An answer in one piece is read to its end, because it is paid anyway.
        """
        self.asked, self.served = asked, served
        self._size = len(asked.members.body)
        least, most = self._bounds(asked)
        headers = self._exchange.headers
        async with self._watching(asked.streamed):
            self._granted = await self._ledger.reserve(self._number, self._upstream.provider, served, least, most)
            path, body = self._wire.target_of(
                asked, served, self._affordable(asked.limit), official=self._upstream.official
            )
            self._size = len(body)
            try:
                self._sent = True
                async with self._upstream.post(path, asked.query, headers, body) as raw:
                    await self._pass_on(raw)
            except ProviderFailure as failure:
                raise _refusal(failure) from None

    def refused(self, refusal: Refusal) -> None:
        """Note that the gateway itself answered the call, or cut its answer off."""
        self._problem = refusal.message
        self._foreign_model = refusal.code == "athena_model"
        if refusal.code in SERVER_CODES:
            self._outcome = "failed"
        else:
            self._outcome = "cut" if self._exchange.answering else "refused"

    def ended(self) -> EndedCall:
        """Return the end of the call."""
        answer = self._answer
        if answer is not None and answer.problem is not None:
            self._outcome, self._problem = "failed", answer.problem
        elif answer is not None and answer.ended:
            self._outcome, self._problem = "answered", ""
        return EndedCall(
            call=self._number,
            asked=self.asked.model if self.asked else "",
            outcome=self._outcome,
            problem=OutsideText(one_line(self._hidden(self._problem))),
            cost=self._cost() if self._is_paid() else None,
            latency_ms=round((self._clock.monotonic() - self._began) * 1_000),
            foreign_model=self._foreign_model,
        )

    def _is_paid(self) -> bool:
        """Return True if the server counts the call: it began to answer, or the call was cut while it worked on it."""
        if self._status is None:
            return self._sent and self._outcome == "cut"
        return self._answer is not None

    def _cost(self) -> CallCost:
        provider = self._upstream.provider
        usage, estimated = complete_usage(self._answer, self._size, self._output_max)
        cost = self._prices.cost(provider, self.served, usage)
        answered = self._answer.request_id if self._answer else None
        request_id = one_line(self._hidden(self._request_id or answered or ""))[:MAX_REQUEST_ID_CHARS]
        return CallCost(
            provider=provider,
            model=self.served,
            usage=usage,
            estimated=estimated,
            cost_micro_usd=cost,
            unpriced=cost is None,
            price_version=None if provider in FREE else self._prices.version,
            request_id=request_id or None,
            first_token_ms=self._first_token_ms,
        )

    def _hidden(self, said: str) -> str:
        """Return words of the server without its credential."""
        return self._upstream.secrets.hide(said.encode(errors="replace")).decode()

    def _bounds(self, asked: ModelCall) -> tuple[int, int | None]:
        """Return the cost of the call: the least that makes sense, and the most. A token is at least a byte."""
        tokens, answers, least = asked.limit
        given = OUTPUT_TOKENS_WRITTEN if tokens is None else tokens
        few = max(min(given, OUTPUT_TOKENS_LEAST), least)
        provider, taken = self._upstream.provider, self._taken
        return (
            self._prices.ceiling(provider, self.served, taken, few * answers) or 0,
            self._prices.ceiling(provider, self.served, taken, max(given, few) * answers),
        )

    def _affordable(self, limit: OutputLimit) -> int | None:
        """Return the limit of each answer that the granted sum pays for; None if the request needs no other one."""
        provider, model = self._upstream.provider, self.served
        paid = (
            None if self._granted is None else self._prices.output_tokens(provider, model, self._taken, self._granted)
        )
        if paid is None:
            self._output_max = None if limit.tokens is None else limit.tokens * limit.answers
            return None
        tokens = min(max(paid // limit.answers, 1), limit.tokens or OUTPUT_TOKENS_WRITTEN)
        self._output_max = tokens * limit.answers
        return None if tokens == limit.tokens else tokens

    @property
    def _taken(self) -> int:
        """The most tokens of the request itself."""
        return self._size + FRAME_TOKENS

    @asynccontextmanager
    async def _watching(self, streamed: bool) -> AsyncIterator[None]:
        """Notice a client that hangs up."""
        making = asyncio.current_task()
        watching = asyncio.create_task(self._exchange.hung_up())

        def left(watched: asyncio.Task[None]) -> None:
            if watched.cancelled():
                return
            self._client_left = True
            if making is not None and (streamed or not self._sent):
                making.cancel()

        watching.add_done_callback(left)
        try:
            yield
        finally:
            watching.remove_done_callback(left)
            watching.cancel()

    async def _pass_on(self, raw: RawAnswer) -> None:
        """Pass the answer on and read it beside. Raise Refusal before it begins, CallBudgetReached later."""
        self._status = raw.status
        self._request_id = next(filter(None, map(raw.header, REQUEST_IDS)), None)
        good = 200 <= raw.status < 300
        if good:
            self._answer = self._wire.answer(raw.media_type, self._live)
        self._outcome, self._problem = "failed", "The answer ended too early." if good else f"HTTP {raw.status}"
        _check(raw)
        secrets, error = self._upstream.secrets, bytearray()
        hidden = HiddenSecrets(secrets)
        headers = [(name, secrets.hide(value)) for name, value in passed(raw.headers, ANSWER_DROPPED)]
        length = "" if raw.header("transfer-encoding") else raw.header("content-length")
        self._exchange.begin(raw.status, headers, int(length) if length.isdecimal() else None)
        try:
            async for piece in raw.pieces():
                if self._answer is not None:
                    self._read(self._answer, piece)
                elif len(error) < MAX_ERROR_BODY_BYTES:
                    error += piece
                await self._write(hidden.more(piece))
                if self._answer is not None:
                    await self._pay(self._answer)
        except BaseException as broken:
            if isinstance(broken, asyncio.CancelledError):
                self._outcome, self._problem = "cut", CUT
            if self._answer is not None:
                self._answer.break_off()
            raise
        if self._answer is not None:
            self._answer.close()
        await self._write(hidden.rest())
        self._exchange.finish()
        if said := _message(bytes(error)):
            self._problem += f": {said}"

    async def _write(self, piece: bytes) -> None:
        if not self._client_left:
            try:
                await self._exchange.write(piece)
            except OSError:
                if self.asked is None or self.asked.streamed:
                    self._outcome, self._problem = "cut", CUT
                    raise
                self._client_left = True

    def _read(self, answer: Answer, piece: bytes) -> None:
        """Read a piece of the answer, before it is passed on: a client that hangs up meanwhile may have it."""
        answer.feed(piece)
        if self._first_token_ms is None and answer.meter.output_bytes:
            self._first_token_ms = round((self._clock.monotonic() - self._began) * 1_000)

    async def _pay(self, answer: Answer) -> None:
        """Ask for more money if the answer has used up its sum. Raise CallBudgetReached."""
        if self._granted is None or answer.ended and not answer.meter.late_bytes:
            return
        provider, model = self._upstream.provider, self.served
        usage, _ = complete_usage(answer, self._size, self._output_max)
        cost = self._prices.cost(provider, model, usage) or 0
        if cost < self._granted:
            return
        few, many = (
            self._prices.ceiling(provider, model, 0, tokens) or 0
            for tokens in (OUTPUT_TOKENS_LEAST, OUTPUT_TOKENS_RESERVED)
        )
        self._granted = await self._ledger.reserve(self._number, provider, model, cost + few, cost + many)
        if self._granted is not None and self._granted <= cost:
            raise CallBudgetReached

    def _live(self, piece: str) -> None:
        self._ledger.live(self._number, piece)


def _check(raw: RawAnswer) -> None:
    """Raise Refusal for an answer that is not passed on."""
    if 300 <= raw.status < 400:
        words = "The model server answered with a redirect, which Athena does not follow. Correct its base URL."
        raise Refusal("athena_server_odd", words)
    if raw.status in REFUSED_KEYS:
        words = f"The model server refused Athena's key (HTTP {raw.status}). Correct the key in the settings of Athena."
        raise Refusal("athena_server_odd", words)
    if raw.status in BODILESS:
        raise Refusal("athena_server_odd", f"The model server answered HTTP {raw.status} to a model call.")
    if raw.header("content-encoding").strip().lower() not in {"", "identity"}:
        raise Refusal("athena_server_odd", "The model server compressed its answer. Switch compression off there.")


def _refusal(failure: ProviderFailure) -> Refusal:
    """Return the answer to a client whose call failed at the server."""
    match failure:
        case ServerSilent():
            return Refusal("athena_server_silent", failure.message)
        case ConnectionBroken():
            return Refusal("athena_server", failure.message)
        case _:
            return Refusal("athena_server_odd", failure.message)


def _message(body: bytes) -> str:
    """Return the message in the body of an error."""
    error = table(decoded(body)).get("error")
    return text(error) or text(table(error).get("message")) or ""
