"""Tests of the way out of a real box: the relay, the socket and the proxy together, and no other way."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from athena_core.definitions.profile import Egress
from athena_core.system.process import Child, environment
from athena_core.system.sandbox import Sandbox, probe
from athena_core.tools.egress_proxy import EgressProxy

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(sys.platform != "linux", reason="bubblewrap needs Linux"),
]

SCRIPT = """
import json, os, socket, sys, urllib.error, urllib.request
port, other = int(sys.argv[1]), sys.argv[2]

def get(url, **handlers):
    try:
        opener = urllib.request.build_opener(*[urllib.request.ProxyHandler({})] if handlers else [])
        return opener.open(url, timeout=20).read().decode()
    except urllib.error.HTTPError as error:
        return f"{error.code} {error.reason}"
    except OSError as error:
        return type(getattr(error, "reason", error)).__name__

def connect(family, address):
    try:
        with socket.socket(family, socket.SOCK_STREAM) as end:
            end.settimeout(20)
            end.connect(address)
        return "connected"
    except OSError as error:
        return type(error).__name__ + f" {error.errno}"

print(json.dumps({
    "allowed": get(f"http://a.example:{port}/"),
    "twice": get(f"http://a.example:{port}/"),
    "not allowed": get(f"http://b.example:{port}/"),
    "not public": get("http://private.example/"),
    "tunnel": get(f"https://a.example:{port}/"),
    "past the proxy": get(f"http://127.0.0.1:{port}/", direct=True),
    "by address": connect(socket.AF_INET, ("1.1.1.1", 443)),
    "metadata": connect(socket.AF_INET, ("169.254.169.254", 80)),
    "socket of another run": connect(socket.AF_UNIX, other),
    "relay": connect(socket.AF_INET, ("127.0.0.1", 3128)),
    "interfaces": sorted(name for _, name in socket.if_nameindex()),
    "variables": sorted(name for name in os.environ if name.lower().endswith("_proxy")),
}))
"""


async def resolve(host: str, port: int) -> list[str]:
    return ["10.0.0.1" if host == "private.example" else "127.0.0.1"]


@asynccontextmanager
async def answering() -> AsyncIterator[int]:
    """Serve ``hello`` on loopback, outside of the box."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello")
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()


async def output_of(box: Sandbox, *command: str) -> bytes:
    child = await Child.start(command, environment(), directory=box.workspace, sandbox=box, fed=False, merged=True)
    try:
        output = await child.output.read(-1)
        await child.exited.wait()
    finally:
        await child.end()
    return output


async def reached(workspace: Path, *, network: bool) -> dict[str, Any]:
    """Return what a command in a box reaches, beside the proxy of another run."""
    assert probe().available, probe()
    egress = (Egress(host="a.example"), Egress(host="private.example"))
    async with (
        answering() as port,
        EgressProxy(egress, allow_loopback=True, resolve=resolve) as way,
        EgressProxy(egress, allow_loopback=True, resolve=resolve) as other,
    ):
        box = Sandbox(workspace, proxy=way.socket if network else None)
        output = await output_of(box, sys.executable, "-I", "-S", "-c", SCRIPT, str(port), str(other.socket))
    found: dict[str, Any] = json.loads(output)
    return found


async def test_a_box_with_egress_reaches_allowed_hosts_and_nothing_else(tmp_path: Path) -> None:
    assert await reached(tmp_path, network=True) == {
        "allowed": "hello",
        "twice": "hello",
        "not allowed": "403 Not in allowedEgress",
        "not public": "403 Address not public",
        "tunnel": "OSError",  # Port not in allowedEgress
        "past the proxy": "ConnectionRefusedError",
        "by address": "OSError 101",
        "metadata": "OSError 101",
        "socket of another run": "FileNotFoundError 2",
        "relay": "connected",
        "interfaces": ["lo"],
        "variables": ["HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"],
    }


async def test_a_box_without_egress_reaches_nothing(tmp_path: Path) -> None:
    found = await reached(tmp_path, network=False)
    assert found.pop("interfaces") == ["lo"]
    assert found.pop("variables") == []
    assert not {"hello", "connected"} & set(found.values())


async def test_a_box_has_no_way_out_once_its_proxy_has_ended(tmp_path: Path) -> None:
    async with answering() as port:
        async with EgressProxy((Egress(host="a.example"),), allow_loopback=True, resolve=resolve) as way:
            box = Sandbox(tmp_path, proxy=way.socket)
            script = f"import urllib.request as u; print(u.urlopen('http://a.example:{port}/').read()); input(); "
            script += f"print(u.urlopen('http://a.example:{port}/').read())"
            command = (sys.executable, "-I", "-S", "-u", "-c", script)
            child = await Child.start(command, environment(), directory=tmp_path, sandbox=box, merged=True)
            assert await child.output.readline() == b"b'hello'\n"
        try:
            child.feed(b"\n")
            rest = await child.output.read(-1)
        finally:
            await child.end()
    assert b"hello" not in rest
    assert b"Traceback" in rest
