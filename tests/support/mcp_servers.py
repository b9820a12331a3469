"""The operator's file of MCP servers, with fake servers in it."""

import json
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from tests.support.fake_mcp import SWITCHES

FAKE_MCP = Path(__file__).with_name("fake_mcp.py")


def fake_command(*switches: str) -> list[str]:
    """Return the command of a fake server on its standard streams."""
    assert all(switch.partition("=")[0] in SWITCHES for switch in switches)
    return [sys.executable, "-I", "-S", str(FAKE_MCP), *switches]


def fake_server(*switches: str, **members: object) -> dict[str, object]:
    """Return the members of a fake server in the file. It runs outside of a sandbox unless ``sandbox`` is true."""
    return {"command": fake_command(*switches), "sandbox": False, "readOnly": [str(FAKE_MCP)]} | members


def mcp_servers_file(directory: Path, servers: Mapping[str, Mapping[str, object]]) -> Path:
    """Write the file. Return its path."""
    lines = []
    for name, members in servers.items():
        lines.append(f"[servers.{name}]")
        lines += [f"{key} = {_toml(value)}" for key, value in members.items()]
    path = directory / "mcp-servers.toml"
    path.write_text("\n".join((*lines, "")))
    path.chmod(0o600)
    return path


def processes(word: str) -> list[int]:
    """Return the processes that have a word in their arguments."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if word.encode() in (place / "cmdline").read_bytes():
                found.append(int(place.name))
    return found


def _toml(value: object) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_toml(one)}" for key, one in value.items()) + " }"
    return json.dumps(value)
