"""Calls of models: one turn, with retries and fallback providers, to an answer with its cost."""

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

import anyio
import msgspec
from msgspec.structs import replace

from athena_core import retry
from athena_core.clock import Clock, Ids
from athena_core.event import Value
from athena_core.providers.prices import (
    FRAME_TOKENS,
    FREE,
    OUTPUT_TOKENS_LEAST,
    OUTPUT_TOKENS_RESERVED,
    CallCost,
    Meter,
    Prices,
    size_of,
    tokens_in,
)
from athena_core.providers.provider import (
    CUT,
    CompletionBuilder,
    ModelCompletion,
    ModelRequest,
    Provider,
    ProviderFailure,
    complete,
)

RETRY_AFTER_SECONDS_MAX = 60.0
"""The longest wait that a provider may ask for.

Beyond it, or beyond the deadline, the next provider is asked at once.
"""

CALL_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")

OnText = Callable[[str | None], None]
"""Receives every piece of text as it arrives. None withdraws the text of this turn, which begins again."""


class ModelAnswer(Value):
    """The answer of a model, with its cost and the effort to get it.

    ``attempts`` counts the calls to all providers, ``hops`` the changes of provider. ``cut`` means that the answer was
    cut off at what the run's own budget could pay for.
    """

    completion: ModelCompletion
    paid: CallCost
    attempts: int
    hops: int
    latency_ms: int
    cut: bool


ReserveCost = Callable[[str, str, int, int, int | None], Awaitable[int | None]]
"""Reserves the cost of a call before it is made, and returns how much it may cost, None for any sum.

Arguments: provider, model, cost of the turn's failed calls, least sensible cost, highest cost (None if the price is
unknown). Costs are in micro-USD.
"""


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
        """Connect the parts; ``sleep`` waits for some seconds."""
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
        """Ask the providers and models of the route in turn, until one answers; the request's own model is ignored.

        ``attempts`` is per provider, ``retries_left`` bounds the retries of all together. No attempt begins once failed
        ones cost ``left_micro_usd``. Failed and cancelled attempts with output or a reported usage are added to
        ``in_vain``. ``reserve`` is called before each call that is not free. Raise the last ProviderFailure, with the
        number of attempts and hops, or any error of ``reserve``.
        """
        started = self._clock.monotonic()
        in_vain = [] if in_vain is None else in_vain
        tried = retries = known = 0
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
                if on_text is not None and len(in_vain) > known and any(call.partial for call in in_vain[known:]):
                    on_text(None)
                known = len(in_vain)
                try:
                    completion, meter = await self._call(name, asking, on_text, in_vain)
                except ProviderFailure as caught:
                    failure = caught.after(failure, attempts=tried, hops=hops)
                else:
                    paid = self._cost(asking, completion, meter, name, whole=True)
                    most = self._tokens_bought(request, name, model, left) if completion.reason == CUT else None
                    return ModelAnswer(
                        completion=self._with_call_ids(request, completion),
                        paid=paid,
                        cut=most is not None and (paid.usage.output_tokens or 0) >= most,
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
        """Return the cost of a call: the least that makes sense, and the most."""
        taken = tokens_at_most(request)
        least = self._prices.ceiling(name, model, taken, OUTPUT_TOKENS_LEAST)
        return least or 0, self._prices.ceiling(name, model, taken, OUTPUT_TOKENS_RESERVED)

    def _capped(
        self, request: ModelRequest, name: str, model: str, left_micro_usd: int | None, granted: int | None
    ) -> ModelRequest:
        """Return the request to one model, with output capped at what the run's and the daily budget can pay for."""
        bought = self._tokens_bought(request, name, model, left_micro_usd)
        if granted is not None:
            today = self._prices.output_tokens(name, model, tokens_at_most(request), granted)
            bought = today if bought is None else bought if today is None else min(bought, today)
        if bought is None and model == request.model:
            return request
        return replace(request, model=model, max_output_tokens=None if bought is None else max(bought, 1))

    def _tokens_bought(self, request: ModelRequest, name: str, model: str, left_micro_usd: int | None) -> int | None:
        """Return how many output tokens the run's budget can still pay for, at least one; None without a bound."""
        if left_micro_usd is None:
            return None
        bought = self._prices.output_tokens(name, model, estimated_tokens(request), left_micro_usd)
        return None if bought is None else max(bought, 1)

    async def _call(
        self, name: str, request: ModelRequest, on_text: OnText | None, in_vain: list[CallCost]
    ) -> tuple[ModelCompletion, Meter]:
        """Make one call. If it is cut off, keep its cost and text."""
        provider = self._providers.get(name)
        if provider is None:
            raise ProviderFailure(f"provider {name!r} is not registered", worth_retrying=False)
        spoken = CompletionBuilder(name, request.max_output_chars, self._clock.monotonic)
        try:
            return await complete(provider, request, on_text, spoken), spoken.meter
        except BaseException:  # a cancelled call was paid for, too
            if spoken.begun or spoken.meter.usage is not None:
                cut = spoken.completion("failed")
                paid = self._cost(request, cut, spoken.meter, name, whole=False)
                in_vain.append(replace(paid, partial=cut.text))
            raise

    def _delay(self, failure: ProviderFailure, attempt: int) -> float | None:
        """Return the seconds until the next attempt: jitter plus the provider's wish; None if it is not worth it."""
        if not failure.worth_retrying:
            return None
        asked = failure.wait_seconds or 0.0
        wait = asked + self._ids.fraction() * retry.REQUEST.after(attempt)
        left = anyio.current_effective_deadline() - anyio.current_time()
        return None if asked > RETRY_AFTER_SECONDS_MAX or wait >= left else wait

    def _cost(
        self, request: ModelRequest, completion: ModelCompletion, meter: Meter, provider: str, *, whole: bool
    ) -> CallCost:
        model, most = request.model, request.max_output_tokens
        usage, estimated = meter.counted(_request_size(request), whole=whole, output_max=most)
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
            first_token_ms=completion.first_token_ms,
        )

    def _with_call_ids(self, request: ModelRequest, completion: ModelCompletion) -> ModelCompletion:
        """Return the completion with tool calls whose ids are unique in the conversation."""
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
    """Return the route: the provider, then the fallbacks that still exist, each with its default model."""
    others = (name for name in fallbacks if name != provider and name in providers)
    return ((provider, model), *((name, providers[name].default_model) for name in others))


def total_cost(calls: Iterable[CallCost]) -> int:
    """Return what calls cost together, in micro-USD; calls without a price count as 0."""
    return sum(call.cost_micro_usd or 0 for call in calls)


def estimated_tokens(request: ModelRequest) -> int:
    """Return the estimated tokens of a request."""
    return tokens_in(_request_size(request))


def tokens_at_most(request: ModelRequest) -> int:
    """Return a bound for the tokens of a request: a token is at least a byte."""
    return _request_size(request) + FRAME_TOKENS


def _request_size(request: ModelRequest) -> int:
    size = sum(size_of(message.content) for message in request.messages)
    size += sum(size_of(call.name + call.arguments) for message in request.messages for call in message.calls)
    return size + sum(len(msgspec.json.encode(part)) for part in (request.tools, request.schema) if part)
