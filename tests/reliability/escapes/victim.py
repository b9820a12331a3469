"""The victim of the escapes: a small server that runs commands in a box, or outside of it, and guards a canary.

``python victim.py DIRECTORY``: it prints the places of its secrets as a line of JSON, and takes one request a line.
"""

import asyncio
import ctypes
import json
import os
import shutil
import socket
import sys
import time
from pathlib import Path
from typing import Any

from athena_core.system import supervisor
from athena_core.system.process import REAP_SECONDS, CannotStart, Child, environment
from athena_core.system.sandbox import WORKSPACE, Sandbox, SandboxLimits
from tests.reliability.escapes.attack import NUMBERS

CANARY = f"canary-{os.urandom(6).hex()}"
ESCAPES = "tests/reliability/escapes"
OUTPUT_MAX = 4_000_000
NEIGHBOUR = "import sys, time; neighbour = sys.stdin.read(); print(id(neighbour), flush=True); time.sleep(1000)"
"""Another command of the server, without a box, that holds the canary in its memory and environment."""


def places(directory: Path) -> dict[str, Any]:
    """Lay out the files of the victim. Return the target of the attacks."""
    workspace, other, state = directory / "workspaces/one", directory / "workspaces/two", directory / "state"
    for place in (workspace, other, state, directory / "home/.ssh", directory / "tmp", directory / "pipes"):
        place.mkdir(parents=True)
    for name in (".athena", "sub/.ssh", ".git/hooks", ESCAPES):
        (workspace / name).mkdir(parents=True)
    secrets = (state / "log.db", other / "notes.txt", directory / "home/.ssh/id")
    for file in (*secrets, *(workspace / name for name in (".athena/log.db", ".env", "sub/.ssh/id", ".git/config"))):
        file.write_text(CANARY)
    (workspace / "link-to-log").symlink_to(state / "log.db")
    (workspace / "link-to-state").symlink_to(state)
    (workspace / "link-to-socket").symlink_to(state / "socket")
    for file in Path(__file__).parent.glob("*.py"):
        shutil.copy(file, workspace / ESCAPES)
    closed = shutil.ignore_patterns(".athena", ".env", ".ssh", ".git")
    tree = shutil.copytree(workspace, directory / "tree", symlinks=True, ignore=closed)  # as a mirror would be
    found = {"workspace": workspace, "tree": tree, "other": other, "state": state, "home": directory / "home"}
    found |= {"tmp": directory / "tmp", "socket": state / "socket", "pipes": directory / "pipes"}
    return {name: str(place) for name, place in found.items()} | {"canary": CANARY, "pid": os.getpid()}


def key() -> int:
    """Put a key into the keyring of this session. Return its number, 0 if the kernel has no keys."""
    call = ctypes.CDLL(None).syscall
    call(NUMBERS["keyctl"], 1, None)  # a new session keyring
    number: int = call(NUMBERS["add_key"], b"user", b"athena-test", CANARY.encode(), len(CANARY), -3)
    return max(number, 0)


async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send the canary to a client."""
    writer.write(CANARY.encode())
    writer.close()


class Datagrams(asyncio.DatagramProtocol):
    """A service that answers datagrams with the canary."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.transport.sendto(CANARY.encode(), addr)


async def listen(target: dict[str, Any]) -> None:
    """Listen on all kinds of sockets."""
    server = await asyncio.start_server(greet, "0.0.0.0", 0)  # noqa: S104  (any address of the machine)
    target["tcp"] = target["tcp6"] = server.sockets[0].getsockname()[1]
    if socket.has_ipv6:
        try:
            target["tcp6"] = (await asyncio.start_server(greet, "::1", 0)).sockets[0].getsockname()[1]
        except OSError:
            target["tcp6"] = 9
    await asyncio.start_unix_server(greet, target["socket"])
    target["abstract"] = f"athena-{CANARY}"
    abstract = socket.socket(socket.AF_UNIX)
    abstract.bind(f"\0{target['abstract']}")
    await asyncio.start_unix_server(greet, sock=abstract)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Datagrams, ("127.0.0.1", 0))
    target["udp"] = transport.get_extra_info("sockname")[1]


def box(target: dict[str, Any], limits: dict[str, int]) -> Sandbox:
    """Return the box of the workspace."""
    return Sandbox(
        Path(target["tree"]),
        readonly=(Path(target["pipes"]),),
        fixed=((Path(target["workspace"]), ".git"),),
        place=WORKSPACE,
        limits=SandboxLimits(**limits),
    )


async def run(target: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
    """Run a command to its end or timeout. Return its output and how it ended."""
    sandbox = box(target, request.get("limits", {})) if request["boxed"] else None
    began = time.monotonic()
    try:
        child = await Child.start(
            tuple(request["argv"]),
            environment(),
            directory=sandbox.shown if sandbox else Path(target["workspace"]),
            fed=False,
            merged=True,
            sandbox=sandbox,
        )
    except CannotStart as error:
        return {"output": "", "problem": f"cannot start: {error}", "status": None, "seconds": 0.0, "stopped": False}
    output, most = b"", 0

    async def follow() -> None:
        nonlocal output, most
        while piece := await child.output.read(65_536):
            most += len(piece)
            output += piece[: OUTPUT_MAX - len(output)]

    following = asyncio.create_task(follow())
    stopped = False
    try:
        await asyncio.wait_for(child.exited.wait(), request.get("timeout", 60))
    except TimeoutError:
        stopped = True
    ending = time.monotonic()
    if not stopped:  # the end of a command may be known before its last output
        await asyncio.wait((following,), timeout=REAP_SECONDS)
    await child.end()
    following.cancel()
    return {
        **{"output": output.decode(errors="replace")[:200_000], "bytes": most, "problem": child.problem},
        **{"status": child.status, "ending": child.ending(), "stopped": stopped},
        **{"seconds": ending - began, "end_seconds": time.monotonic() - ending},
    }


async def main(directory: Path) -> None:
    """Serve requests until standard input ends."""
    supervisor.protect()
    target = places(directory)
    target["key"] = key()
    os.environ["VICTIM_SECRET"] = CANARY
    leak = os.open(f"{target['state']}/log.db", os.O_RDWR)
    os.set_inheritable(leak, True)
    await listen(target)
    words = (sys.executable, "-c", NEIGHBOUR)
    neighbour = await Child.start(words, environment() | {"SECRET": CANARY}, merged=True)  # without a box
    neighbour.feed(f"memory-{CANARY[::-1]}".encode())
    target["neighbour"] = neighbour_pid(neighbour)
    target["address"] = int(await neighbour.output.readline())
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader(limit=1 << 22)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    print(json.dumps(target | {"python": sys.executable}), flush=True)
    while line := await lines.readline():
        print(json.dumps(await run(target, json.loads(line))), flush=True)
    await neighbour.end()


def neighbour_pid(child: Child) -> int:
    """Return the pid of the command below its supervisor."""
    words = Path(f"/proc/{child._pid}/task/{child._pid}/children").read_text().split()
    return int(words[0])


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
