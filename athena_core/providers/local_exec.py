"""The local-exec provider: a command of this machine; the conversation goes in, what it prints is the output."""

import codecs
from collections.abc import AsyncIterator

from athena_core.providers.mask import Mask
from athena_core.providers.provider import Delta, Finished, ModelRequest, ProviderFailure, TextDelta, render
from athena_core.system.process import CHUNK_BYTES, CannotStart, Child, environment
from athena_core.text import clean


class LocalExecProvider:
    """Runs ``command`` once per call, without a shell and in a process group of its own.

    Standard input is the content of the only message, or, with several, ``role: content`` lines. The call ends when the
    command itself exits; all that it started is killed then, or when the call is cancelled or fails. Its environment is
    PATH (three system directories), HOME, LANG and settings of git. It reports no usage.
    """

    name = "local-exec"
    default_model = "local-exec"

    def __init__(self, command: str = "/bin/cat", arguments: tuple[str, ...] = (), *, mask: Mask | None = None) -> None:
        """Remember what to run; ``mask`` hides secrets in what it says about errors."""
        self._hide = (mask or Mask()).hide
        self._argv = (command, *arguments)
        self._environment = environment()

    async def stream(self, request: ModelRequest) -> AsyncIterator[Delta]:
        """Run the command and read what it prints."""
        messages = request.messages
        text = messages[0].content if len(messages) == 1 else render(messages)
        try:
            child = await Child.start(self._argv, self._environment)
        except CannotStart as error:
            problem = f"local-exec: cannot start the command: {error}"
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
                raise ProviderFailure(f"local-exec: {child.ending(self._hide)}", worth_retrying=False)
        finally:
            await child.end()
        yield Finished(reason="stop")

    async def close(self) -> None:
        """Nothing is held."""
