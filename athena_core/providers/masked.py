"""The masked provider: hides secrets in the output of a model and in errors of its server."""

from collections.abc import AsyncGenerator, AsyncIterator

from msgspec.structs import replace

from athena_core.mask import Mask, StreamMask
from athena_core.providers.provider import (
    Delta,
    Finished,
    ModelRequest,
    Provider,
    ProviderFailure,
    TextDelta,
    ToolCallDelta,
    UsageReport,
)


class MaskedProvider:
    """A provider with masked output, even if a secret is split over several deltas."""

    def __init__(self, provider: Provider, mask: Mask) -> None:
        self.name = provider.name
        self.default_model = provider.default_model
        self.configured = provider.configured
        self._provider = provider
        self._mask = mask

    async def stream(self, request: ModelRequest) -> AsyncIterator[Delta]:
        """Start a call. The possible start of a secret is held back until more text arrives."""
        text, arguments = StreamMask(self._mask), dict[int, StreamMask]()
        last: UsageReport | None = None
        """The report after all output. It counts held text, too, so it is repeated behind that."""
        deltas = self._provider.stream(request)
        try:
            async for delta in deltas:
                if not isinstance(delta, Finished):
                    last = delta if isinstance(delta, UsageReport) else None
                match delta:
                    case TextDelta():
                        if said := text.more(delta.text):
                            yield TextDelta(text=said)
                    case ToolCallDelta():
                        held = arguments.setdefault(delta.index, StreamMask(self._mask))
                        yield replace(
                            delta,
                            id=delta.id and self._mask.hide(delta.id),
                            name=delta.name and self._mask.hide(delta.name),
                            arguments=held.more(delta.arguments),
                        )
                    case Finished():
                        if said := text.rest():
                            yield TextDelta(text=said)
                        for index, held in arguments.items():
                            if rest := held.rest():
                                yield ToolCallDelta(index=index, arguments=rest)
                        if last is not None:
                            yield last
                        yield Finished(
                            reason=self._mask.hide(delta.reason),
                            request_id=delta.request_id and self._mask.hide(delta.request_id),
                        )
                    case _:
                        yield delta
        except ProviderFailure as failure:
            raise self._masked(failure) from None
        finally:
            if isinstance(deltas, AsyncGenerator):
                await deltas.aclose()

    async def models(self) -> tuple[str, ...]:
        """Return the names of the models, masked."""
        try:
            return tuple(map(self._mask.hide, await self._provider.models()))
        except ProviderFailure as failure:
            raise self._masked(failure) from None

    def _masked(self, failure: ProviderFailure) -> ProviderFailure:
        problem = self._mask.hide(failure.message)
        return ProviderFailure(problem, worth_retrying=failure.worth_retrying, wait_seconds=failure.wait_seconds)

    async def close(self) -> None:
        await self._provider.close()
