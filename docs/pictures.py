"""The pictures of the command line, drawn from real output: ``python -m docs.pictures``.

The script starts a server on an empty state directory and gives it some work. Then it runs the commands on a
pseudo-terminal and draws their output as SVG.
"""

import fcntl
import json
import os
import pty
import re
import shlex
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
COLUMNS, LINES = 118, 40
SESSIONS = ("billing", "billing", "release-notes", "triage", "triage", "triage", "research")
SLOW = 'while read -r line || [ -n "$line" ]; do last=$line; done; sleep 20; printf \'%s\' "$last"'
EVENTS = 60_000
FONT = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)
"""The fonts of other hosts, which a drawing does not need: a reader has a monospaced one."""

CURSOR_UP = re.compile(r"\x1b\[[0-9]*[AKJ]|\x1b\[\?[0-9]+[hl]|\r")


def terminal(arguments: list[str], environment: dict[str, str], directory: Path) -> Iterator[bytes]:
    """Run a command on a pseudo-terminal and yield its output, piece by piece."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    command = [sys.executable, "-m", "athena_cli", *arguments]
    process = subprocess.Popen(command, cwd=directory, env=environment, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    with suppress(OSError):  # the other end is closed
        while part := os.read(ours, 65_536):
            yield part
    os.close(ours)
    process.wait()


def draw(name: str, command: str, written: str) -> None:
    """Draw terminal output as an SVG."""
    console = Console(record=True, width=COLUMNS + 4, file=open(os.devnull, "w"), force_terminal=True)  # noqa: SIM115, PTH123
    console.print(Text.assemble(("$ ", "bold green"), command))
    console.print(Text.from_ansi(written.replace("\r\n", "\n")))
    path = ROOT / "docs" / "images" / f"{name}.svg"
    path.write_text(FONT.sub("", console.export_svg(title="athena")), "utf-8")
    print(f"wrote {path.relative_to(ROOT)}")


@contextmanager
def server(directory: Path) -> Iterator[tuple[httpx2.Client, dict[str, str]]]:
    """Run a server on an empty state directory, with a slow default model."""
    model = directory / "slow.sh"
    model.write_text(SLOW)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ATHENA_", "NO_COLOR"))}
    environment |= {
        "PYTHONPATH": str(ROOT),
        "ATHENA_STATE_DIR": str(directory / "state"),
        "ATHENA_LOCAL_PROVIDER_CMD": "/bin/sh",
        "ATHENA_LOCAL_PROVIDER_ARGS": str(model),
        "TERM": "xterm-256color",
        "COLUMNS": str(COLUMNS),
    }
    command = [sys.executable, "-m", "athena_cli", "api", "serve", "--port", "0"]
    with (directory / "server.log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=directory, env=environment, stdout=subprocess.PIPE, stderr=log, text=True
        )
    assert process.stdout is not None
    url = f"http://127.0.0.1:{json.loads(process.stdout.readline())['port']}"
    environment["ATHENA_API_BASE_URL"] = url
    try:
        with httpx2.Client(base_url=url + "/api/v1", timeout=60) as client:
            yield client, environment
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def work(client: httpx2.Client) -> None:
    """Create runs that are completed, running, waiting and rejected, and schedules."""

    def post(path: str, body: dict[str, Any], **headers: str) -> None:
        client.post(path, json=body, headers=headers)

    client.put("/policy", json={"schemaVersion": 1, "maxConcurrentRuns": 3, "costBudgetDailyUsd": 20})
    for number, session in enumerate(SESSIONS):
        post("/runs", {"sessionId": session, "input": f"Task {number}"})
    for session in ("research", "triage", "release-notes"):
        slow = {"sessionId": session, "input": "Take your time", "provider": "local-exec"}
        post("/runs", slow, prefer="respond-async")
    post("/runs", {"sessionId": "billing", "input": "One too many"})
    post("/schedules", {"id": "nightly-report", "sessionId": "reports", "input": "Report", "cron": "0 2 * * *"})
    post("/schedules", {"id": "inbox", "sessionId": "inbox", "input": "Look", "everyMinutes": 15})


def incident(client: httpx2.Client) -> tuple[str, str]:
    """Create runs that time out after a change of the policy. Return the times before and after it."""

    def ask(session: str, **body: Any) -> str:
        client.post("/runs", json={"sessionId": session, "input": "Check the invoices"} | body)
        return client.get("/policy", params={"asOf": "2999-01-01"}).headers["athena-as-of"]

    policy = {"schemaVersion": 1, "maxConcurrentRuns": 8}
    client.put("/policy", json=policy)
    before = ask("invoices-1")
    client.put("/policy", json=policy | {"defaultRunTimeoutMs": 2_000})
    for session in ("invoices-1", "invoices-2"):
        after = ask(session, provider="local-exec")
    return before, after


def fill(directory: Path, client: httpx2.Client) -> None:
    """Create enough events for a replay that takes some seconds."""
    body = {"input": "x" * 40}
    while int(client.get("/events", params={"limit": 1}).json()["data"]["head"]) < EVENTS:
        for _ in range(500):
            client.post("/directives", json=body)


def main() -> None:
    """Draw all pictures."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        with server(directory) as (client, environment):
            work(client)
            for picture, words in (("top", "top --once"), ("runs-list", "runs list --limit 12")):
                written = b"".join(terminal(words.split(), environment, directory)).decode()
                draw(picture, f"athena {words}", written)
            before, after = incident(client)
            for picture, command in (
                ("diff", ["diff", before, after]),
                ("bisect", ["bisect", "/policy", "defaultRunTimeoutMs < 60000"]),
            ):
                written = b"".join(terminal(command, environment, directory)).decode()
                draw(picture, f"athena {shlex.join(command)}", written)
            fill(directory, client)
            began, frames = time.monotonic(), list[str]()
            for part in terminal(["replay"], environment, directory):
                frames.append(CURSOR_UP.sub("", part.decode()))
            bars = [frame for frame in frames if "━" in frame and "100%" not in frame]
            middle = bars[len(bars) // 2] if bars else frames[-1]
            draw("replay", f"athena replay    # after {(time.monotonic() - began) / 2:.1f} s", middle.strip("\n"))


if __name__ == "__main__":
    main()
