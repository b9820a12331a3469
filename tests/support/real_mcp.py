"""The real MCP servers: some of the development packages, and some that ``make mcp`` installs from npm."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tests.support.programs import lack

PLACE = Path(__file__).parents[2] / ".mcp" / "servers" / "node_modules"
"""Directory with the packages of the lock in ``tests/mcp/servers``."""
PYTHON = Path(sys.executable).parent
NODE = shutil.which("node")


def everything(*arguments: str) -> tuple[str, ...]:
    """Return the command of the server that has one of everything."""
    return (NODE or "node", str(PLACE / ".bin" / "mcp-server-everything"), *arguments)


def filesystem(directory: Path) -> tuple[str, ...]:
    """Return the command of the server for the files below a directory."""
    return (NODE or "node", str(PLACE / ".bin" / "mcp-server-filesystem"), str(directory))


def git(repository: Path) -> tuple[str, ...]:
    """Return the command of the server for a git repository."""
    return (str(PYTHON / "mcp-server-git"), "--repository", str(repository))


def clock() -> tuple[str, ...]:
    """Return the command of the server for times and zones."""
    return (str(PYTHON / "mcp-server-time"), "--local-timezone", "UTC")


def missing(argv: tuple[str, ...]) -> str:
    """Return why a command cannot run here; empty if it can."""
    lacks = [one for one in argv[:2] if not one.startswith("-") and not Path(one).exists()]
    return lack(Path(lacks[0]).name, remedy="make mcp") if lacks else ""


@contextmanager
def everything_over_http(log: Path) -> Iterator[str]:
    """Run the server that has one of everything over streamable HTTP. Yield its URL."""
    with closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    environment = {"PATH": os.environ["PATH"], "PORT": str(port)}
    with log.open("wb") as output:
        process = subprocess.Popen(everything("streamableHttp"), env=environment, stdout=output, stderr=output)
        try:
            yield f"http://127.0.0.1:{port}/mcp"
        finally:
            process.kill()
            process.wait()
