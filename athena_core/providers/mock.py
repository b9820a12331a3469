"""The mock provider: echoes the conversation at once and without cost."""

from collections.abc import AsyncIterator

from athena_core.providers.provider import Delta, Finished, ModelRequest, TextDelta, UsageReport, render
from athena_core.values import PERSONA_REVIEW, Usage

PIECES = 4
PASSING = (
    '{"schemaVersion":1,"mergeGate":"pass",'
    '"reportMarkdown":"# Review of the mock provider\\n\\nIt finds nothing, whatever it is shown.\\n","findings":[]}'
)
"""The answer to the prompt of a persona run."""


class MockProvider:
    """A provider that answers ``Echo: `` and the conversation, in a few pieces. Its usage counts characters.

    It passes every review.
    """

    name = "mock"
    default_model = "mock-model"
    configured = True

    async def stream(self, request: ModelRequest) -> AsyncIterator[Delta]:
        context = render(request.messages)
        asked = request.messages[-1].content if request.messages else ""
        output = PASSING if asked.startswith(PERSONA_REVIEW) else "Echo: " + context
        step = -(-len(output) // PIECES)
        for start in range(0, len(output), step):
            yield TextDelta(text=output[start : start + step])
        size = Usage(input_tokens=len(context), output_tokens=len(output), total_tokens=len(context) + len(output))
        yield UsageReport(usage=size)
        yield Finished(reason="stop")

    async def models(self) -> tuple[str, ...]:
        return (self.default_model,)

    async def close(self) -> None:
        """Do nothing; no resources are held."""
