"""Child processes: a command without a shell, whose descendants are killed with it."""

import asyncio
import os
import pwd
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, cast

import anyio
from anyio import to_thread

from athena_core.system import supervisor
from athena_core.system.sandbox import Sandbox, SandboxRefused

PATH = "/usr/local/bin:/usr/bin:/bin"
LANG = "C.UTF-8"
CHUNK_BYTES = 65_536
MAX_COMPLAINT_BYTES = 20_000
"""Of the end of the error output that are kept: the last words, and what the mask looks at before them."""
GIT = {  # settings of a repository that name a program, or lead to one
    "safe.bareRepository": "explicit",
    "core.fsmonitor": "false",
    "core.hooksPath": os.devnull,
    "core.attributesFile": os.devnull,
    "core.pager": "cat",
    "core.editor": "false",
    "sequence.editor": "false",
    "core.askPass": "false",
    "core.sshCommand": "ssh",
    "core.alternateRefsCommand": "true",
    "credential.helper": "",
    "interactive.diffFilter": "cat",
    "merge.default": "text",
    "log.showSignature": "false",
    "commit.gpgSign": "false",
    "tag.gpgSign": "false",
    "push.gpgSign": "false",
    "gpg.program": "gpg",
    "gpg.openpgp.program": "gpg",
    "gpg.x509.program": "gpgsm",
    "gpg.ssh.program": "ssh-keygen",
    "protocol.ext.allow": "never",
    "submodule.recurse": "false",
    "fetch.recurseSubmodules": "false",
    "diff.submodule": "short",
}
EMPTY_TREES = {
    "sha1": "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
    "sha256": "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321",
}
START_SECONDS_MAX = 30.0
REAP_SECONDS = 5.0
SUPERVISED = sys.platform == "linux"
"""True if commands have a supervisor. On other systems only their process group is killed."""
SUPERVISOR = (sys.executable, "-I", "-S", supervisor.__file__)
SUPERVISOR_ENVIRONMENT = {"PATH": PATH, "LANG": LANG}
ADOPTION_SECONDS = 0.01
ADOPTION_ROUNDS = 500


def environment(object_format: str = "sha1") -> dict[str, str]:
    """Return the environment of a command: PATH (three system directories), HOME, LANG and settings of git.

    With it git reads only the settings of the repository, and ignores those that name a program, if a variable can
    override them. It reads no file attributes in a repository of ``object_format``, because they choose filters and
    drivers.
    """
    settings = {**GIT, "attr.tree": EMPTY_TREES[object_format]}
    return {
        "PATH": PATH,
        "HOME": _home(),
        "LANG": LANG,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_PAGER": "cat",
        "GIT_PROXY_COMMAND": "",
        "GIT_CONFIG_COUNT": str(len(settings)),
        **{f"GIT_CONFIG_KEY_{number}": key for number, key in enumerate(settings)},
        **{f"GIT_CONFIG_VALUE_{number}": value for number, value in enumerate(settings.values())},
    }


class CannotStart(Exception):
    """The command does not exist or may not be run. The message is the reason."""


class LineTooLong(Exception):
    """A line longer than its limit. The stream cannot be read any further."""


class LineReader:
    """Reads lines that end with a line feed. It holds at most one line and one chunk."""

    def __init__(self, stream: asyncio.StreamReader) -> None:
        self._stream = stream
        self._buffer = bytearray()
        self._searched = 0

    async def read(self, bytes_max: int) -> bytes | None:
        """Return the next line without its end, None at the end of the stream. Raise LineTooLong.

        A last line without a line feed is dropped: its writer ended within it. A cancelled call loses nothing.
        """
        while (end := self._buffer.find(b"\n", self._searched)) < 0:
            self._searched = len(self._buffer)
            if self._searched > bytes_max:
                raise LineTooLong
            chunk = await self._stream.read(CHUNK_BYTES)
            if not chunk:
                return None
            self._buffer += chunk
        if end > bytes_max:
            raise LineTooLong
        line = bytes(memoryview(self._buffer)[:end])
        del self._buffer[: end + 1]
        self._searched = 0
        return line


class Child(asyncio.SubprocessProtocol):
    """A running command: its output as a stream, the end of its error output, and its exit.

    On Linux the direct child is a supervisor. It ends like the command, once all descendants are dead.
    """

    _supervisors: ClassVar[set[int]] = set()
    _starting: ClassVar[int] = 0

    def __init__(self, report: int, sandbox: Sandbox | None) -> None:
        """Take the pipe that the supervisor reports on. ``end`` closes it."""
        self._sandbox = sandbox
        self.output = asyncio.StreamReader(limit=CHUNK_BYTES)
        self._lines = LineReader(self.output)
        self.exited = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._complaints = b""
        self._report = report
        self._reported = b""

    @classmethod
    async def start(
        cls,
        argv: tuple[str, ...],
        environment: Mapping[str, str],
        *,
        directory: Path | None = None,
        fed: bool = True,
        merged: bool = False,
        sandbox: Sandbox | None = None,
    ) -> "Child":
        """Start a command; ``fed``: with standard input, ``merged``: with errors in its output. Raise CannotStart.

        With ``sandbox`` it runs in a box. A command that the box cannot start ends at once, and ``problem`` says why.
        """
        options: tuple[str, ...] = ()
        if sandbox is not None:
            try:
                start = await to_thread.run_sync(sandbox.start, argv, directory)
            except SandboxRefused as error:
                raise CannotStart(str(error)) from error
            argv, options, directory, environment = start.argv, start.options, None, {**environment, **start.variables}
        begun = cls._start(argv, environment, directory, sandbox, options, fed=fed, merged=merged)
        starting = asyncio.ensure_future(begun)
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:  # it may run already, and asyncio would end only its first process
            with anyio.CancelScope(shield=True), suppress(CannotStart):
                await (await starting).end()
            raise

    @classmethod
    async def _start(
        cls,
        argv: tuple[str, ...],
        environment: Mapping[str, str],
        directory: Path | None,
        sandbox: Sandbox | None,
        options: tuple[str, ...],
        *,
        fed: bool,
        merged: bool,
    ) -> "Child":
        try:
            report, reporter = os.pipe()
        except OSError as error:
            raise CannotStart(error.strerror) from error
        os.set_blocking(report, False)
        passed: tuple[int, ...] = (reporter,)
        Child._starting += 1
        try:
            if SUPERVISED:  # only the command itself has its variables, not the processes that start it
                passed = (reporter, supervisor.order(environment, sandbox.supervised if sandbox else "", options))
                argv = (*SUPERVISOR, str(os.getpid()), *map(str, passed), *argv)
                environment = SUPERVISOR_ENVIRONMENT
            _, child = await asyncio.get_running_loop().subprocess_exec(
                lambda: cls(report, sandbox),
                *argv,
                env=environment,
                cwd=directory,
                stdin=asyncio.subprocess.PIPE if fed else asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.STDOUT if merged else asyncio.subprocess.PIPE,
                start_new_session=True,
                pass_fds=passed if SUPERVISED else (),
            )
        except (OSError, ValueError) as error:
            os.close(report)
            raise CannotStart(str(error.strerror if isinstance(error, OSError) else error)) from error
        finally:
            for number in passed:
                os.close(number)
            Child._starting -= 1
        if SUPERVISED and (problem := await child._problem()):
            await child.end()
            raise CannotStart(problem)
        return child

    async def _problem(self) -> str:
        """Return the reason why the supervisor could not start the command; empty if it runs."""
        loop, reported = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._report, reported.set)
        with anyio.move_on_after(START_SECONDS_MAX):
            await reported.wait()
        loop.remove_reader(self._report)
        if not reported.is_set():
            return f"the command did not start within {START_SECONDS_MAX:.0f} s"
        started = self._take_report()[:1]
        if not started:
            return "the supervisor of the command ended"
        return os.strerror(started[0]) if started != supervisor.OK else ""

    def _take_report(self) -> bytes:
        """Return the supervisor's report: a byte about the start, and one about the end."""
        with suppress(BlockingIOError):
            if self._report >= 0:
                self._reported += os.read(self._report, 2)
        return self._reported

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connect the output. A slow reader slows the command down."""
        self._transport = cast(asyncio.SubprocessTransport, transport)
        self._pid = self._transport.get_pid()
        self._supervisors.add(self._pid)
        self.output.set_transport(cast(asyncio.ReadTransport, self._transport.get_pipe_transport(1)))

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Handle output. Only the end of the error output is kept."""
        if fd == 1:
            self.output.feed_data(data)
        else:
            self._complaints = (self._complaints + data)[-MAX_COMPLAINT_BYTES:]

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        """Handle the end of a pipe."""
        if fd == 0:
            self._writable.set()
        if fd == 1:
            self.output.feed_eof()

    def pause_writing(self) -> None:
        """Handle a full standard input: the command does not read."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Handle a standard input that has room again."""
        self._writable.set()

    def process_exited(self) -> None:
        """Handle the end of the command. Its descendants are dead, unless its supervisor was killed."""
        self._supervisors.discard(self._pid)
        if not SUPERVISED:
            self._kill(signal.SIGKILL)
        elif supervisor.own_children is not None and self._take_report() in {b"", supervisor.OK}:
            self._kill_adopted(
                ADOPTION_ROUNDS
            )  # it reported no end; a quick command may not even have reported its start
            return
        self.exited.set()

    def _kill_adopted(self, rounds: int) -> None:
        """Kill the descendants of a supervisor that was killed. This process adopted them.

        Descendants of living supervisors never become children of this process. So they are all its children except
        supervisors and the children that it had before.
        """
        adopted = set(supervisor.children()) - self._supervisors - (supervisor.own_children or set())
        if self._starting:  # there may be a supervisor whose pid is not known yet
            adopted = set()
        for pid in adopted:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        if rounds and (adopted or self._starting):
            asyncio.get_running_loop().call_later(ADOPTION_SECONDS, self._kill_adopted, rounds - 1)
        else:
            self.exited.set()

    def feed(self, data: bytes) -> None:
        """Write standard input and close it. It is buffered, so a command that prints before it reads cannot block."""
        stdin = cast(asyncio.WriteTransport | None, self._transport.get_pipe_transport(0))
        if stdin is None or stdin.is_closing():
            return  # the command ended before it read its input; its exit status is enough
        stdin.write(data)
        stdin.write_eof()

    async def read_line(self, bytes_max: int) -> bytes | None:
        """Return the next line of output without its end, None at the end. Raise LineTooLong. Use it or ``output``."""
        return await self._lines.read(bytes_max)

    async def write(self, data: bytes) -> None:
        """Write to standard input and leave it open. Wait while more than the buffer of the pipe is unread.

        The data is lost if the command closed its input or ended; the end of its output is enough.
        """
        stdin = cast(asyncio.WriteTransport | None, self._transport.get_pipe_transport(0))
        if stdin is None or stdin.is_closing():
            return
        stdin.write(data)
        await self._writable.wait()

    @property
    def problem(self) -> str | None:
        """Why the box ended the command, or could not start it; None if neither happened."""
        code = self._take_report()[1:]
        return self._sandbox.problem(code) if self._sandbox and code else None

    @property
    def pid(self) -> int:
        """The number of the direct child: the supervisor, on Linux."""
        return self._pid

    @property
    def status(self) -> int | None:
        """The exit status; a negative number is the signal that ended the command."""
        return self._transport.get_returncode()

    def ending(self, shown: Callable[[str], str] | None = None) -> str:
        """Return how the command ended, and its last error output as ``shown`` shows it: see ``last_words``."""
        if problem := self.problem:
            return problem
        status = self.status or 0
        words = shown(self._complaints.decode(errors="replace").strip()) if shown else ""
        return (f"exit status {status}" if status >= 0 else f"killed by signal {-status}") + (words and f": {words}")

    async def end(self) -> None:
        """Kill the command and all its descendants if it still runs, wait until it is reaped, and close the pipes."""
        for number in (signal.SIGTERM, signal.SIGKILL) if SUPERVISED else (signal.SIGKILL,):
            if not self.exited.is_set():  # SIGKILL: the supervisor did not react because something stopped it
                if self.status is None:
                    self._kill(number)
                with anyio.move_on_after(REAP_SECONDS, shield=True):
                    await self.exited.wait()
        self._transport.close()
        if self._report >= 0:
            self._take_report()
            os.close(self._report)
            self._report = -1

    def _kill(self, number: int) -> None:
        with suppress(ProcessLookupError, PermissionError):  # the group is empty (macOS: EPERM if all are zombies)
            os.killpg(self._pid, number)
            os.killpg(self._pid, signal.SIGCONT)


def _home() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:  # a user without an entry, as in containers
        return "/"
