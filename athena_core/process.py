"""The child process: a command without a shell, in a group of its own that does not outlive it."""

import asyncio
import os
import pwd
import select
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from itertools import count
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
SWEEP_SECONDS = 1.0
MARK = "ATHENA_COMMAND"
KILL_MILLISECONDS = 100

_marks = count()


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
        starting = asyncio.ensure_future(
            asyncio.get_running_loop().subprocess_exec(
                cls,
                *argv,
                env=environment,
                cwd=directory,
                stdin=asyncio.subprocess.PIPE if fed else asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.STDOUT if merged else asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        )
        try:
            _, child = await asyncio.shield(starting)
        except (OSError, ValueError) as error:
            raise CannotStart(str(error.strerror if isinstance(error, OSError) else error)) from error
        except asyncio.CancelledError:  # it may run already, and asyncio would only end its first process
            with anyio.CancelScope(shield=True), suppress(OSError, ValueError):
                _, child = await starting
                await child.end()
            raise
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


class Mark:
    """A variable in the environment of a command, by which all that it started is found, wherever it hid."""

    def __init__(self) -> None:
        """Make one that no other command has or had."""
        self._since = time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else 0.0
        self.environment = {MARK: f"{os.getpid()}.{next(_marks)}.{self._since}"}
        self._wanted = f"{MARK}={self.environment[MARK]}".encode()

    def end_all(self) -> None:
        """Kill every marked process, in whatever group or session. Blocking, usually for a few milliseconds.

        Needs Linux's /proc, elsewhere it does nothing; a process that threw its environment away is not found.
        """
        until = time.monotonic() + SWEEP_SECONDS
        before: set[int] = set()
        while time.monotonic() < until:
            there = {int(place.name) for place in Path("/proc").glob("[0-9]*")}
            found = [pid for pid in there if self._end(pid)]
            if not found and there == before:  # one that ended before we looked may have left one that was born since
                return
            before = there

    def _end(self, pid: int) -> bool:
        """Kill one process if it is marked; whether to look again. A handle makes sure that it is still the same."""
        try:
            handle = os.pidfd_open(pid)
        except OSError:
            return False  # gone
        try:
            state, *_, started = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2].split()[:20]
            if state in b"ZX" or (int(started) + 1) / os.sysconf("SC_CLK_TCK") < self._since:
                return False  # dead, or older
            environment = Path(f"/proc/{pid}/environ").read_bytes()
            if self._wanted in environment.split(b"\0"):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
            elif environment:
                return False
            waiter = select.poll()  # killed, or about to become another program, whose environment comes in a moment
            waiter.register(handle, select.POLLIN)
            waiter.poll(KILL_MILLISECONDS if environment else 1)
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
