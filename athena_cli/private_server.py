"""Servers that a command starts for itself: one of Athena as a child process, and one of a model on loopback."""

import asyncio
import ctypes
import json
import signal
import socket
import sys
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path

import httpx2

from athena_cli.exit_codes import Failed, Misused
from athena_core.settings import other_environment
from athena_core.system import private_file
from athena_core.system.supervisor import PR_SET_PDEATHSIG

HOST, PORT, PORT_MAX = "127.0.0.1", 8787, 65_535
START_SECONDS, STOP_SECONDS, LOOK_SECONDS = 60, 8, 0.1
LOG_CHARS = 2_000

if sys.platform == "linux":
    _prctl = ctypes.CDLL(None).prctl  # loaded here, because the child may do little before it starts its program

    def _end_with_parent() -> None:
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)

else:

    def _end_with_parent() -> None:
        """Do nothing: the system cannot end a process with its parent."""


def free_port(wanted: int | None) -> int:
    """Return the wanted port (0: any), by default 8787 or a free one. Raise Misused if the wanted one is taken."""
    if wanted is not None and not 0 <= wanted <= PORT_MAX:
        raise Misused(f"--port: {wanted} is not a port; expected 0 to {PORT_MAX}")
    for port in (PORT, 0) if wanted is None else (wanted,):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError as error:
                if port and wanted is None:
                    continue
                raise Misused(f"--port: cannot listen on {port}: {error.strerror}. Choose another one.") from error
            return int(probe.getsockname()[1])
    raise AssertionError("unreachable")


class PrivateServer:
    """A server in a directory of its own, a child process that can be killed and started again on its port."""

    def __init__(self, directory: Path, settings: Mapping[str, str], port: int) -> None:
        self.url = f"http://{HOST}:{port}"
        self.log_path = directory / "server.log"
        self._directory = directory
        self._port = port
        self.environment = other_environment() | dict(settings)
        self.process: asyncio.subprocess.Process | None = None

    async def start(self, http: httpx2.AsyncClient) -> None:
        """Start it, and wait until it is ready. Raise Failed."""
        with open(self.log_path, "ab", opener=private_file.opener) as log:  # noqa: PTH123 - Path.open takes no opener
            self.process = await self.athena("api", "serve", "--port", str(self._port), out=log.fileno())
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until and self.process.returncode is None:
            with suppress(httpx2.HTTPError):
                if (await http.get("/readyz")).status_code == 200:
                    return
            await asyncio.sleep(LOOK_SECONDS)
        raise Failed(f"the server did not start: {self.log_path.read_text(errors='replace')[-LOG_CHARS:]}")

    async def athena(self, *words: str, out: int) -> asyncio.subprocess.Process:
        """Start an athena command with the server's settings, in a session of its own."""
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "athena_cli", *words),
            cwd=self._directory,  # without an .env file
            env=self.environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=out,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_end_with_parent,  # noqa: PLW1509 - one system call
        )

    async def kill(self) -> int:
        """Kill it with SIGKILL. Return its process id."""
        assert self.process is not None
        with suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()
        return self.process.pid

    async def stop(self) -> None:
        """Stop it with SIGTERM, and kill it if it takes too long."""
        if self.process is None or self.process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            self.process.terminate()
        with suppress(TimeoutError):
            await asyncio.wait_for(self.process.wait(), STOP_SECONDS)
            return
        await self.kill()

    async def verify(self) -> str:
        """Verify the log with ``athena verify``. Return its outcome as a sentence."""
        process = await self.athena("verify", "-o", "json", out=asyncio.subprocess.PIPE)
        said, _ = await process.communicate()
        try:
            report = json.loads(said.splitlines()[-1])
            if report["ok"] and process.returncode == 0:
                return f"ok: {report['head']:,} events, {report['runs']:,} runs, the chain is unbroken"
        except (IndexError, KeyError, TypeError, ValueError):
            pass
        return f"failed: {said.decode(errors='replace')[-LOG_CHARS:]}"


class LoopbackModel:
    """An HTTP server of a model on a free loopback port. Each connection is one request, which ``respond`` answers."""

    def __init__(self) -> None:
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    async def listen(self) -> str:
        """Listen. Return the URL without a path."""
        self._server = await asyncio.start_server(self._connected, HOST, 0)
        return f"http://{HOST}:{self._server.sockets[0].getsockname()[1]}"

    def close(self) -> None:
        """Stop listening, and break off all answers."""
        if self._server is not None:
            self._server.close()
        for task in self._serving:
            task.cancel()

    async def respond(self, head: str, size: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer a request: its head in lower case, and the size in bytes of its body, which is not read yet."""
        raise NotImplementedError

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer), suppress(ConnectionError, EOFError, asyncio.LimitOverrunError, ValueError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            size = next((int(line[15:]) for line in head.splitlines() if line.startswith("content-length:")), 0)
            await self.respond(head, size, reader, writer)
