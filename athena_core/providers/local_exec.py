"""The local-exec provider: a local command reads the conversation and prints the output."""

import codecs
from collections.abc import AsyncIterator

from athena_core.mask import Mask
from athena_core.outside_text import last_words
from athena_core.providers.provider import Delta, Finished, ModelRequest, ProviderFailure, TextDelta, render
from athena_core.system.process import CHUNK_BYTES, CannotStart, Child, environment
from athena_core.text import clean


class LocalExecProvider:
    """A provider that runs ``command`` once per call, without a shell and in its own process group.

    Standard input is the content of the only message, or ``role: content`` lines for several messages. The call ends
    when the command exits. Then all its descendants are killed, also if the call fails or is cancelled. The environment
    is PATH (three system directories), HOME, LANG and settings of git. No usage is reported.
    """

    name = "local-exec"
    default_model = "local-exec"
    configured = True

    def __init__(self, command: str = "/bin/cat", arguments: tuple[str, ...] = (), *, mask: Mask | None = None) -> None:
        """Take the command. ``mask`` hides secrets in error texts."""
        self._mask = mask or Mask()
        self._argv = (command, *arguments)
        self._environment = environment()

    async def stream(self, request: ModelRequest) -> AsyncIterator[Delta]:
        """Run the command and yield its output."""
        messages = request.messages
        text = messages[0].content if len(messages) == 1 else render(messages)
        try:
            child = await Child.start(self._argv, self._environment)
        except CannotStart as error:
            problem = f"local-exec: cannot start the command: {error}. Check ATHENA_LOCAL_PROVIDER_CMD"
            raise ProviderFailure(problem, worth_retrying=False) from error
        try:
            child.feed(clean(text).encode())
            decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
            while piece := await child.output.read(CHUNK_BYTES):
                if decoded := decoder.decode(piece):
                    yield TextDelta(text=decoded)
            if rest := decoder.decode(b"", final=True):
                yield TextDelta(text=rest)
            await child.exited.wait()
            if child.status != 0:
                raise ProviderFailure(f"local-exec: {child.ending(last_words(self._mask))}", worth_retrying=False)
        finally:
            await child.end()
        yield Finished(reason="stop")

    async def models(self) -> tuple[str, ...]:
        """Return a name for the command, which is not given a model."""
        return (self.default_model,)

    async def close(self) -> None:
        """Do nothing; no resources are held."""
