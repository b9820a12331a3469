"""A server that a command of this package starts for itself, as a child process on a state directory of its own."""

import asyncio
import ctypes
import json
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import httpx2

from athena_cli.exit_codes import Failed
from athena_core.settings import other_environment
from athena_core.system import private_file
from athena_core.system.supervisor import PR_SET_PDEATHSIG

HOST = "127.0.0.1"
START_SECONDS, STOP_SECONDS, LOOK_SECONDS = 60, 8, 0.1
LOG_CHARS = 2_000

if sys.platform == "linux":
    _prctl = ctypes.CDLL(None).prctl  # loaded here, because the child may do little before it starts its program

    def _end_with_parent() -> None:
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)

else:

    def _end_with_parent() -> None:
        """Do nothing: the system cannot end a process with its parent."""


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
        """Start an athena command on the demo's state directory, in a session of its own."""
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
