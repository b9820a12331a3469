"""The local-exec provider: a command of this machine; the conversation goes in, what it prints is the output."""

import asyncio
import codecs
import os
import pwd
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import cast

import anyio

from athena_core.providers.provider import Delta, Finished, ModelRequest, ProviderFailure, TextDelta, clean, render

PATH = "/usr/local/bin:/usr/bin:/bin"
LANG = "C.UTF-8"
CHUNK_BYTES = 65_536
MAX_COMPLAINT_BYTES = 4_096
MAX_COMPLAINT_CHARS = 200
REAP_SECONDS = 5.0


class LocalExec:
    """Runs ``command`` once per call, without a shell and in a process group of its own.

    Standard input is the content of the only message, or, with several, ``role: content`` lines. The call ends when the
    command itself exits; whatever of its group is left then (or when the call is cancelled or fails) is killed. It sees
    no environment but PATH (three system directories), HOME and LANG, and reports no usage.
    """

    name = "local-exec"
    default_model = "local-exec"

    def __init__(self, command: str = "/bin/cat", arguments: tuple[str, ...] = ()) -> None:
        """Remember what to run."""
        self._argv = (command, *arguments)
        self._environment = {"PATH": PATH, "HOME": _home(), "LANG": LANG}

    async def stream(self, request: ModelRequest) -> AsyncIterator[Delta]:
        """Run the command and read what it prints."""
        messages = request.messages
        text = messages[0].content if len(messages) == 1 else render(messages)
        child = await self._start()
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
                raise ProviderFailure(f"local-exec: {child.ending()}", worth_retrying=False)
        finally:
            await child.end()
        yield Finished(reason="stop")

    async def close(self) -> None:
        """Nothing is held."""

    async def _start(self) -> "Child":
        loop = asyncio.get_running_loop()
        start = loop.subprocess_exec(Child, *self._argv, env=self._environment, start_new_session=True)
        try:
            _, child = await start
        except (OSError, ValueError) as error:
            problem = error.strerror if isinstance(error, OSError) else error
            raise ProviderFailure(f"local-exec: cannot start the command: {problem}", worth_retrying=False) from error
        return child


class Child(asyncio.SubprocessProtocol):
    """The running command: its output as a stream, the tail of its complaints, its end."""

    def __init__(self) -> None:
        """Nothing runs yet."""
        self.output = asyncio.StreamReader(limit=CHUNK_BYTES)
        self.exited = asyncio.Event()
        self._complaints = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The command runs; a reader who is slow slows it down."""
        self._transport = cast(asyncio.SubprocessTransport, transport)
        self._group = self._transport.get_pid()
        self.output.set_transport(cast(asyncio.ReadTransport, self._transport.get_pipe_transport(1)))

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """The command printed something; of its complaints only the tail is kept."""
        if fd == 1:
            self.output.feed_data(data)
        else:
            self._complaints = (self._complaints + data)[-MAX_COMPLAINT_BYTES:]

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        """A pipe is closed on the other side."""
        if fd == 1:
            self.output.feed_eof()

    def process_exited(self) -> None:
        """The command is done; what it left running would keep its pipes open."""
        self._kill()
        self.exited.set()

    def feed(self, data: bytes) -> None:
        """Write standard input and close it; buffered, so that a command that prints before it reads cannot block."""
        stdin = cast(asyncio.WriteTransport | None, self._transport.get_pipe_transport(0))
        if stdin is None or stdin.is_closing():
            return  # the command ended before it read; its exit status says the rest
        stdin.write(data)
        stdin.write_eof()

    @property
    def status(self) -> int | None:
        """The exit status; negative is the signal that ended it."""
        return self._transport.get_returncode()

    def ending(self) -> str:
        """How the command ended, and its last words."""
        status = self.status or 0
        words = clean(self._complaints.decode(errors="replace")).strip()[-MAX_COMPLAINT_CHARS:]
        return (f"exit status {status}" if status > 0 else f"killed by signal {-status}") + (words and f": {words}")

    async def end(self) -> None:
        """Kill the whole group unless the command is done, wait until it is reaped, and close the pipes."""
        if not self.exited.is_set():
            self._kill()
            with anyio.move_on_after(REAP_SECONDS, shield=True):
                await self.exited.wait()
        self._transport.close()

    def _kill(self) -> None:
        with suppress(ProcessLookupError, PermissionError):  # nobody is left (macOS: EPERM for a group of zombies)
            os.killpg(self._group, signal.SIGKILL)


def _home() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:  # a container's user without an entry
        return "/"
