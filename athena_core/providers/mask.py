"""The mask: keys of ours that a server says back to us do not get any further."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable

from msgspec.structs import replace

from athena_core.providers.provider import (
    Delta,
    Finished,
    ModelRequest,
    Provider,
    ProviderFailure,
    TextDelta,
    ToolCallDelta,
)

HIDDEN = "***"
MIN_KEY_CHARS = 8
"""Shorter keys are not hidden: ordinary text would suffer."""


class Mask:
    """Some keys, and how they are hidden."""

    def __init__(self, keys: Iterable[str] = ()) -> None:
        """Remember the keys; a key that holds another one goes first."""
        self._keys = sorted({key for key in keys if len(key) >= MIN_KEY_CHARS}, key=len, reverse=True)

    def __bool__(self) -> bool:
        """Whether there is anything to hide."""
        return bool(self._keys)

    def hide(self, text: str) -> str:
        """The text with ``***`` in the place of keys."""
        for key in self._keys:
            text = text.replace(key, HIDDEN)
        return text

    def begun(self, text: str) -> int:
        """How many characters at the end of a text are the beginning of a key."""
        return max((_overlap(text, key) for key in self._keys), default=0)


def _overlap(text: str, key: str) -> int:
    longest = min(len(text), len(key) - 1)
    return next((length for length in range(longest, 0, -1) if text.endswith(key[:length])), 0)


class Masked:
    """A provider whose words are masked, also where a key is spread over several deltas."""

    def __init__(self, provider: Provider, mask: Mask) -> None:
        """Stand before a provider."""
        self.name = provider.name
        self.default_model = provider.default_model
        self._provider = provider
        self._mask = mask

    async def stream(self, request: ModelRequest) -> AsyncIterator[Delta]:
        """Start one call; what may be the beginning of a key is held back until more is known."""
        text, arguments = Held(self._mask), dict[int, Held]()
        deltas = self._provider.stream(request)
        try:
            async for delta in deltas:
                match delta:
                    case TextDelta():
                        if said := text.more(delta.text):
                            yield TextDelta(text=said)
                    case ToolCallDelta():
                        held = arguments.setdefault(delta.index, Held(self._mask))
                        yield replace(
                            delta,
                            id=delta.id and self._mask.hide(delta.id),
                            name=delta.name and self._mask.hide(delta.name),
                            arguments=held.more(delta.arguments),
                        )
                    case Finished():
                        if text.rest:
                            yield TextDelta(text=text.rest)
                        for index, held in arguments.items():
                            if held.rest:
                                yield ToolCallDelta(index=index, arguments=held.rest)
                        yield Finished(
                            reason=self._mask.hide(delta.reason),
                            request_id=delta.request_id and self._mask.hide(delta.request_id),
                        )
                    case _:
                        yield delta
        except ProviderFailure as failure:
            problem = self._mask.hide(failure.message)
            raise ProviderFailure(
                problem, worth_retrying=failure.worth_retrying, wait_seconds=failure.wait_seconds
            ) from None
        finally:
            if isinstance(deltas, AsyncGenerator):
                await deltas.aclose()

    async def close(self) -> None:
        """Close the provider."""
        await self._provider.close()


class Held:
    """Text that arrives in pieces; its ``rest`` may be the beginning of a key."""

    def __init__(self, mask: Mask) -> None:
        """Nothing has arrived."""
        self._mask = mask
        self.rest = ""

    def more(self, piece: str) -> str:
        """Take a piece; what may go on."""
        text = self._mask.hide(self.rest + piece)
        begun = self._mask.begun(text)
        self.rest = text[len(text) - begun :]
        return text[: len(text) - begun]
