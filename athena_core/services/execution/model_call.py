"""The asker: one turn of a model, through failures, over the providers of a route, to an answer with its price."""

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from operator import is_

import anyio
import msgspec
from msgspec.structs import astuple, replace

from athena_core import retry
from athena_core.clock import Clock, Ids
from athena_core.event import Value
from athena_core.providers.prices import FRAME_TOKENS, FREE, OUTPUT_TOKENS_LEAST, Prices
from athena_core.providers.provider import (
    CUT,
    CompletionBuilder,
    ModelCompletion,
    ModelRequest,
    Provider,
    ProviderFailure,
    complete,
    token_count,
)
from athena_core.values import Usage

RETRY_AFTER_SECONDS_MAX = 60.0
"""How long a provider may ask to wait; beyond it, or beyond the deadline, the next of the route is asked at once."""

BYTES_PER_TOKEN = 4
CALL_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")

OUTPUT_TOKENS_RESERVED = 8_192
"""What a call may say at most while there is a daily budget, of which this much is set aside."""

OnText = Callable[[str | None], None]
"""Sees every piece of text as it arrives; None means: forget what you saw of this turn, it is begun anew."""


class CallCost(Value):
    """What a call took and what it cost.

    ``usage`` has input, output and total; what the provider did not report was ``estimated`` from the size of the
    texts. Without a known price ``unpriced`` is true and there is no cost. ``price_version`` is absent for providers
    that cost nothing.
    """

    provider: str
    model: str
    usage: Usage
    estimated: bool
    cost_micro_usd: int | None
    unpriced: bool
    price_version: str | None
    request_id: str | None


class ModelAnswer(Value):
    """An answer, how hard it was to get, and what the call that gave it cost.

    ``attempts`` counts the calls to all providers, ``hops`` how often the next provider was asked. ``cut`` tells that
    the model had more to say than what was left of the run's own budget buys.
    """

    completion: ModelCompletion
    paid: CallCost
    attempts: int
    hops: int
    latency_ms: int
    cut: bool


ReserveCost = Callable[[str, str, int, int, int | None], Awaitable[int | None]]
"""Sets aside what a call may cost, before it is made: by provider and model, beside what was lost on failed calls of
the turn, between the least that makes sense and the most (None: of unknown price), in micro-USD. How much it may cost,
None for any sum."""


class ModelCaller:
    """Asks models. The deadline is the caller's cancel scope."""

    def __init__(
        self,
        providers: Mapping[str, Provider],
        prices: Prices,
        clock: Clock,
        ids: Ids,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        """Take the parts; ``sleep`` waits for some seconds."""
        self._providers = providers
        self._prices = prices
        self._clock = clock
        self._ids = ids
        self._sleep = sleep

    async def ask(
        self,
        request: ModelRequest,
        route: Sequence[tuple[str, str]],
        *,
        attempts: int,
        retries_left: int | None = None,
        left_micro_usd: int | None = None,
        on_text: OnText | None = None,
        in_vain: list[CallCost] | None = None,
        reserve: ReserveCost | None = None,
    ) -> ModelAnswer:
        """Ask the first provider and model of the route, and after its failure the next; the request's model is unused.

        ``attempts`` are those of each provider, ``retries_left`` bounds the repeated ones of all together, and none is
        begun once the failed ones cost ``left_micro_usd``. To ``in_vain`` is added what attempts cost that failed or
        were cancelled, as far as their providers reported it. Each call that is not free is announced to ``reserve``.
        Raises the last ProviderFailure, which then tells the number of attempts and hops; what ``reserve`` raises.
        """
        started = self._clock.monotonic()
        in_vain = [] if in_vain is None else in_vain
        tried = retries = 0
        failure: ProviderFailure | None = None
        for hops, (name, model) in enumerate(route):
            for attempt in range(1, attempts + 1):
                tried += 1
                left = None if left_micro_usd is None else left_micro_usd - total_cost(in_vain)
                granted = None
                if reserve is not None and name not in FREE:
                    least, most = self._bounds(request, name, model)
                    granted = await reserve(name, model, total_cost(in_vain), least, most)
                asking = self._capped(request, name, model, left, granted)
                try:
                    completion = await self._call(name, asking, on_text, in_vain)
                except ProviderFailure as caught:
                    failure = caught
                    failure.attempts, failure.hops = tried, hops
                else:
                    paid, most = (
                        self._cost(request, completion, name, model),
                        self._tokens_bought(request, name, model, left),
                    )
                    return ModelAnswer(
                        completion=self._with_call_ids(request, completion),
                        paid=paid,
                        cut=completion.reason == CUT and most is not None and (paid.usage.output_tokens or 0) >= most,
                        attempts=tried,
                        hops=hops,
                        latency_ms=round((self._clock.monotonic() - started) * 1000),
                    )
                if left_micro_usd is not None and total_cost(in_vain) >= left_micro_usd:
                    raise failure
                wait = self._delay(failure, attempt)
                if wait is None or attempt == attempts or retries == retries_left:
                    break
                retries += 1
                await self._sleep(wait)
        if failure is None:
            raise ValueError("a route names at least one provider, and it is asked at least once")
        raise failure

    def _bounds(self, request: ModelRequest, name: str, model: str) -> tuple[int, int | None]:
        """What a call may cost: the least that makes sense, and the most."""
        taken = tokens_at_most(request)
        least = self._prices.ceiling(name, model, taken, OUTPUT_TOKENS_LEAST)
        return least or 0, self._prices.ceiling(name, model, taken, OUTPUT_TOKENS_RESERVED)

    def _capped(
        self, request: ModelRequest, name: str, model: str, left_micro_usd: int | None, granted: int | None
    ) -> ModelRequest:
        """The request to one model, with as much output as what is left of the run's budget, and of the day's, buys."""
        today = None
        if granted is not None:
            today = self._prices.output_tokens(name, model, tokens_at_most(request), granted)
        bought = (self._tokens_bought(request, name, model, left_micro_usd), today)
        known = [tokens for tokens in bought if tokens is not None]
        return replace(request, model=model, max_output_tokens=max(min(known), 1) if known else None)

    def _tokens_bought(self, request: ModelRequest, name: str, model: str, left_micro_usd: int | None) -> int | None:
        """How much output what is left of the run's budget buys, at least a token; None where nothing bounds it."""
        if left_micro_usd is None:
            return None
        bought = self._prices.output_tokens(name, model, estimated_tokens(request), left_micro_usd)
        return None if bought is None else max(bought, 1)

    async def _call(
        self, name: str, request: ModelRequest, on_text: OnText | None, in_vain: list[CallCost]
    ) -> ModelCompletion:
        """One call; text of a call that fails is taken back, and what it cost is kept."""
        provider = self._providers.get(name)
        if provider is None:
            raise ProviderFailure(f"no provider {name!r} is registered", worth_retrying=False)
        shown, spoken = False, CompletionBuilder(name, request.max_output_chars)

        def show(text: str) -> None:
            nonlocal shown
            shown = True
            if on_text is not None:
                on_text(text)

        try:
            return await complete(provider, request, show, spoken)
        except BaseException as error:  # a cancelled call was paid, too
            if spoken.usage is not None:
                in_vain.append(self._cost(request, spoken.completion("failed"), name, request.model))
            if shown and on_text is not None and isinstance(error, ProviderFailure):
                on_text(None)
            raise

    def _delay(self, failure: ProviderFailure, attempt: int) -> float | None:
        """The seconds until the next attempt: full jitter, after what the provider asked for; None if not worth it."""
        if not failure.worth_retrying:
            return None
        asked = failure.wait_seconds or 0.0
        wait = asked + self._ids.fraction() * retry.REQUEST.after(attempt)
        left = anyio.current_effective_deadline() - anyio.current_time()
        return None if asked > RETRY_AFTER_SECONDS_MAX or wait >= left else wait

    def _cost(self, request: ModelRequest, completion: ModelCompletion, provider: str, model: str) -> CallCost:
        usage, estimated = counted_usage(request, completion)
        cost = self._prices.cost(provider, model, usage)
        return CallCost(
            provider=provider,
            model=model,
            usage=usage,
            estimated=estimated,
            cost_micro_usd=cost,
            unpriced=cost is None,
            price_version=None if provider in FREE else self._prices.version,
            request_id=completion.request_id,
        )

    def _with_call_ids(self, request: ModelRequest, completion: ModelCompletion) -> ModelCompletion:
        """The answer whose tool calls have ids of their own, also among those of the conversation."""
        if not completion.calls:
            return completion
        taken = {call.id for message in request.messages for call in message.calls}
        calls = []
        for call in completion.calls:
            named = call
            if call.id in taken or not CALL_ID.fullmatch(call.id):
                named = replace(call, id=self._ids.new("call"))
            taken.add(named.id)
            calls.append(named)
        return replace(completion, calls=tuple(calls))


def route(
    provider: str, model: str, fallbacks: Sequence[str], providers: Mapping[str, Provider]
) -> tuple[tuple[str, str], ...]:
    """Whom to ask in turn: the provider, then each of the others that still exists, with its default model."""
    others = (name for name in fallbacks if name != provider and name in providers)
    return ((provider, model), *((name, providers[name].default_model) for name in others))


def total_cost(calls: Iterable[CallCost]) -> int:
    """What calls cost together, in micro-USD; those without a price count as nothing."""
    return sum(call.cost_micro_usd or 0 for call in calls)


def counted_usage(request: ModelRequest, completion: ModelCompletion) -> tuple[Usage, bool]:
    """The usage of a call, and whether something of it had to be estimated (a token is taken to be four bytes).

    Nothing is taken off an account by a count below 0: it is no count.
    """
    usage = completion.usage or Usage()
    reported = astuple(usage)
    counts = tuple(map(token_count, reported))
    if not all(map(is_, counts, reported)):
        usage = Usage(**dict(zip(Usage.__struct_fields__, counts, strict=True)))
    if usage.input_tokens is not None and usage.output_tokens is not None:
        if usage.total_tokens is None:
            usage = replace(usage, total_tokens=usage.input_tokens + usage.output_tokens)
        return usage, False
    taken, given = usage.input_tokens, usage.output_tokens
    if taken is None:
        taken = estimated_tokens(request)
    if given is None:
        texts = [completion.text, *(call.name + call.arguments for call in completion.calls)]
        given = _tokens(sum(map(_size, texts)))
    return replace(usage, input_tokens=taken, output_tokens=given, total_tokens=taken + given), True


def estimated_tokens(request: ModelRequest) -> int:
    """The tokens that a request will take, estimated."""
    return _tokens(_request_size(request))


def tokens_at_most(request: ModelRequest) -> int:
    """The tokens that a request cannot exceed: a token is at least a byte."""
    return _request_size(request) + FRAME_TOKENS


def _request_size(request: ModelRequest) -> int:
    size = sum(_size(message.content) for message in request.messages)
    size += sum(_size(call.name + call.arguments) for message in request.messages for call in message.calls)
    return size + sum(len(msgspec.json.encode(part)) for part in (request.tools, request.schema) if part)


def _size(text: str) -> int:
    return len(text.encode(errors="replace"))


def _tokens(size: int) -> int:
    return -(-size // BYTES_PER_TOKEN)
