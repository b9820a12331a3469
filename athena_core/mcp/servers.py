"""The MCP servers that the operator registered: how each is started or reached, and what it may see.

A client names a server. Its program, its environment and its URL stand in the operator's file only, secrets in neither.
"""

import re
import shutil
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeAlias
from urllib.parse import urlsplit

import msgspec

from athena_core.definitions.profile import MCP_SERVER_PATTERN
from athena_core.enums import McpTransport, SandboxNetwork
from athena_core.operator_file import FileFault, check_size, read_operator_file, table_of
from athena_core.system.process import PATH
from athena_core.text import one_line
from athena_core.values import MILLISECONDS_MAX, Body, ClientId

FILE_BYTES_MAX = 262_144
SERVERS_MAX = 64
WORDS_MAX = 64
ENTRIES_MAX = 100
TEXT_CHARS_MAX = 8_192
START_MS_MAX = 600_000

OWN_NAME = "athena"
"""The name under which outside agents see Athena's own tools."""
WORKSPACE = "{workspace}"
"""The placeholder for the directory that the server works in."""
NAME = re.compile(MCP_SERVER_PATTERN)
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
PLACEHOLDER = re.compile(r"\{[a-z]+\}")
NEVER_SHOWN = tuple(map(Path, ("/proc", "/dev", "/sys")))
OF_PROGRAMS = ("environment", "credentials", "readOnly", "network", "sandbox", "shared")
OF_URLS = ("credential", "private")
"""Members that only a server with ``command``, and only one with ``url`` may have."""

Text: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=TEXT_CHARS_MAX)]
Timeout: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=MILLISECONDS_MAX)]


class McpServer(Body):
    """A registered MCP server: a program with ``command``, or a server at ``url``.

    ``credentials`` are names of credentials by variable. ``network`` is ``egress`` if the program may reach the hosts
    of the profile's ``allowedEgress``. ``trust_hints``: calls of tools that the server calls read-only are repeated
    after a crash. ``shared``: one process works for all runs of an executor, in an empty directory. ``private``: the
    URL may be an address that is not public, and plain http there.
    """

    name: str
    command: Annotated[tuple[Text, ...], msgspec.Meta(min_length=1, max_length=WORDS_MAX)] | None = None
    environment: Annotated[dict[str, Text], msgspec.Meta(max_length=ENTRIES_MAX)] = {}
    credentials: Annotated[dict[str, ClientId], msgspec.Meta(max_length=ENTRIES_MAX)] = {}
    read_only: Annotated[tuple[Text, ...], msgspec.Meta(max_length=WORDS_MAX)] = ()
    network: SandboxNetwork = "none"
    sandbox: bool = True
    url: Text | None = None
    credential: ClientId | None = None
    private: bool = False
    trust_hints: bool = False
    shared: bool = False
    start_timeout_ms: Annotated[int, msgspec.Meta(ge=1, le=START_MS_MAX)] = 30_000
    call_timeout_ms: Timeout = 60_000

    @property
    def transport(self) -> McpTransport:
        """The transport by which Athena reaches the server."""
        return "stdio" if self.url is None else "http"

    @property
    def place(self) -> tuple[str, str, int]:
        """The scheme, the host and the port of the URL."""
        parts = urlsplit(self.url or "")
        return parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)

    @property
    def credential_names(self) -> tuple[str, ...]:
        """The names of the credentials that it needs."""
        return tuple(dict.fromkeys((*self.credentials.values(), *([self.credential] if self.credential else []))))

    def missing(self) -> list[str]:
        """Return what this machine lacks for it: its program, and paths of ``read_only``. Blocks."""
        program = (self.command or ("",))[0]
        found = self.url is not None or shutil.which(program, path=self.environment.get("PATH", PATH))
        lacks = [] if found else [f"the program {program} is not installed"]
        return lacks + [f"{path} does not exist" for path in self.read_only if not Path(path).exists()]

    def argv(self, workspace: Path) -> tuple[str, ...]:
        """Return the program and its arguments for a directory."""
        return tuple(word.replace(WORKSPACE, str(workspace)) for word in self.command or ())

    def variables(self, workspace: Path) -> dict[str, str]:
        """Return the variables of the program for a directory, without secrets."""
        return {name: text.replace(WORKSPACE, str(workspace)) for name, text in self.environment.items()}


def read_mcp_servers(path: Path | None) -> Mapping[str, McpServer]:
    """Read the operator's file. Without a path no server is registered.

    Raise ConfigError with one line that names the member. Blocks.
    """
    if path is None:
        return {}
    return read_operator_file("ATHENA_MCP_SERVERS", path, FILE_BYTES_MAX, parse_mcp_servers)


def parse_mcp_servers(data: bytes) -> dict[str, McpServer]:
    """Parse the content of the file. Raise FileFault."""
    check_size(data, FILE_BYTES_MAX)
    try:
        document = tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise FileFault("", f"not valid TOML ({one_line(str(error))[:200]}). Correct the file.") from None
    for member in document:
        if member != "servers":
            raise FileFault("", f"unknown member {one_line(member)[:60]!r}. Known is servers.")
    found = table_of(document.get("servers", {}), "servers")
    if len(found) > SERVERS_MAX:
        raise FileFault("servers", f"more than {SERVERS_MAX} entries. Remove some.")
    return {name: _server(name, entry) for name, entry in found.items()}


def _server(name: str, value: Any) -> McpServer:
    if not NAME.fullmatch(name) or name == OWN_NAME:
        allowed = "a small letter or a digit, then at most 31 of these and '-'"
        raise FileFault("servers", f"the name {one_line(name)[:60]!r} is {OWN_NAME!r}, or is not {allowed}.")
    place = f"servers.{name}"
    table = table_of(value, place)
    if "name" in table:
        raise FileFault(place, "unknown member 'name'. The name stands in the heading.")
    try:
        server = msgspec.convert({**table, "name": name}, McpServer)
    except msgspec.ValidationError as error:
        reason, _, member = one_line(str(error)).partition(" - at `$")
        raise FileFault(place + member.rstrip("`"), f"{reason[:200]}.") from None
    if (server.command is None) == (server.url is None):
        raise FileFault(place, "exactly one of command and url is needed.")
    given, other, wrong = ("command", "url", OF_URLS) if server.url is None else ("url", "command", OF_PROGRAMS)
    for member in wrong:
        if member in table:
            raise FileFault(f"{place}.{member}", f"is allowed beside {other} only, not beside {given}. Remove it.")
    if server.url is not None:
        _check_url(server, f"{place}.url")
    else:
        _check_program(server, place)
    return server


def _check_url(server: McpServer, place: str) -> None:
    url = server.url or ""
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good or not url.isascii() or not url.isprintable() or " " in url or parts.username or parts.fragment:
        raise FileFault(place, "expected a URL as https://host/path, without a user and a fragment.")
    if parts.scheme == "http" and not server.private:
        raise FileFault(place, "plain http is allowed only with private = true.")


def _check_program(server: McpServer, place: str) -> None:
    command = server.command or ()
    if "/" in command[0] and not command[0].startswith("/"):
        raise FileFault(f"{place}.command", "expected an absolute path, or a name that is found in PATH.")
    texts = {f"command[{at}]": word for at, word in enumerate(command)}
    texts |= {f"environment.{name}": text for name, text in server.environment.items()}
    for member, text in texts.items():
        if not re.sub(r"[\n\t]", "", text).isprintable():
            raise FileFault(f"{place}.{member}", "the text has control characters. Remove them.")
        for found in PLACEHOLDER.findall(text):
            if found != WORKSPACE:
                raise FileFault(f"{place}.{member}", f"unknown placeholder {found[:40]}. Known is {WORKSPACE}.")
    for member, names in (("environment", server.environment), ("credentials", server.credentials)):
        for name in names:
            if not VARIABLE.fullmatch(name) or name.startswith("ATHENA_"):
                raise FileFault(f"{place}.{member}", f"{one_line(name)[:60]!r} is not allowed as a variable's name.")
    if both := sorted(server.environment.keys() & server.credentials.keys()):
        raise FileFault(f"{place}.credentials", f"{both[0]} stands in environment, too. Remove one of them.")
    for at, text in enumerate(server.read_only):
        path = Path(text)
        plain = path.is_absolute() and ".." not in path.parts and path != Path("/") and text.isprintable()
        if not plain or any(path.is_relative_to(one) for one in NEVER_SHOWN):
            shown = ", ".join(map(str, NEVER_SHOWN))
            raise FileFault(f"{place}.readOnly[{at}]", f"expected an absolute path without '..', outside of {shown}.")
