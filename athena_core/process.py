"""The child process: a command without a shell, in a group of its own that does not outlive it."""

import asyncio
import os
import pwd
import select
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import cast

import anyio

from athena_core.text import clean

PATH = "/usr/local/bin:/usr/bin:/bin"
LANG = "C.UTF-8"
CHUNK_BYTES = 65_536
MAX_COMPLAINT_BYTES = 4_096
MAX_COMPLAINT_CHARS = 200
REAP_SECONDS = 5.0
SWEEPS_MAX = 10
KILL_MILLISECONDS = 100


def environment() -> dict[str, str]:
    """All that a command is told of ours: PATH (three system directories), HOME and LANG."""
    return {"PATH": PATH, "HOME": _home(), "LANG": LANG}


class CannotStart(Exception):
    """The command does not exist, or may not be run; the text says why."""


class Child(asyncio.SubprocessProtocol):
    """The running command: its output as a stream, the tail of its complaints, its end."""

    def __init__(self) -> None:
        """Nothing runs yet."""
        self.output = asyncio.StreamReader(limit=CHUNK_BYTES)
        self.exited = asyncio.Event()
        self._complaints = b""

    @classmethod
    async def start(
        cls,
        argv: tuple[str, ...],
        environment: Mapping[str, str],
        *,
        directory: Path | None = None,
        fed: bool = True,
        merged: bool = False,
    ) -> "Child":
        """Start the command; ``fed``: it gets standard input, ``merged``: complaints are output. Raises CannotStart."""
        start = asyncio.get_running_loop().subprocess_exec(
            cls,
            *argv,
            env=environment,
            cwd=directory,
            stdin=asyncio.subprocess.PIPE if fed else asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.STDOUT if merged else asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        try:
            _, child = await start
        except (OSError, ValueError) as error:
            raise CannotStart(str(error.strerror if isinstance(error, OSError) else error)) from error
        return child

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
        return (f"exit status {status}" if status >= 0 else f"killed by signal {-status}") + (words and f": {words}")

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


def end_escaped(mark: str) -> None:
    """Kill every process whose environment holds ``mark`` (``NAME=value``), in whatever group or session it hid.

    Needs Linux's /proc, elsewhere it does nothing; a process that forgot its environment is not found. Blocking.
    """
    wanted = mark.encode()
    for _ in range(SWEEPS_MAX):  # what one sweep missed, because it was born meanwhile, the next one finds
        if not any([_end_marked(int(place.name), wanted) for place in Path("/proc").glob("[0-9]*")]):
            return


def _end_marked(pid: int, mark: bytes) -> bool:
    """Kill one process if it is marked; a handle makes sure that it is still the same."""
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return False  # gone
    try:
        if mark not in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
            return False
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        waiter = select.poll()
        waiter.register(handle, select.POLLIN)
        waiter.poll(KILL_MILLISECONDS)
    except OSError:
        return False  # gone, or somebody else's
    finally:
        os.close(handle)
    return True


def _home() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:  # a container's user without an entry
        return "/"
