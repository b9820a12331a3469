"""The operator's file of MCP servers: what it allows, and the one line for each mistake."""

from pathlib import Path

import pytest

from athena_core.clock import FixedClock
from athena_core.errors import ConfigError
from athena_core.mcp.registered import RegisteredMcpServers
from athena_core.mcp.servers import FILE_BYTES_MAX, SERVERS_MAX, McpServer, read_mcp_servers
from athena_core.system.problems import Problems

WHOLE = """
[servers.git]
command = ["mcp-server-git", "--repository", "{workspace}"]
environment = { TZ = "UTC", REPOSITORY = "{workspace}/x" }
credentials = { GITHUB_TOKEN = "github", OTHER = "github" }
readOnly = ["/opt/mcp"]
network = "egress"
sandbox = false
trustHints = true
shared = true
startTimeoutMs = 1000
callTimeoutMs = 2000
[servers.docs]
url = "https://mcp.example.com/mcp?v=1"
credential = "docs"
[servers.near]
url = "http://127.0.0.1:8080/mcp"
private = true
"""
PROGRAM = '[servers.git]\ncommand = ["git"]\n'
URL = '[servers.docs]\nurl = "https://example.com/mcp"\n'


def read(tmp_path: Path, text: str) -> dict[str, McpServer]:
    path = tmp_path / "servers.toml"
    path.write_text(text)
    return dict(read_mcp_servers(path))


def test_each_member_is_read(tmp_path: Path) -> None:
    servers = read(tmp_path, WHOLE)
    git, docs, near = servers["git"], servers["docs"], servers["near"]
    place = Path("/srv")
    assert git.argv(place) == ("mcp-server-git", "--repository", "/srv")
    assert git.variables(place) == {"TZ": "UTC", "REPOSITORY": "/srv/x"}
    assert (git.transport, git.credential_names, git.network, git.sandbox) == ("stdio", ("github",), "egress", False)
    assert (git.trust_hints, git.shared, git.start_timeout_ms, git.call_timeout_ms) == (True, True, 1_000, 2_000)
    assert (docs.transport, docs.place, docs.credential_names) == ("http", ("https", "mcp.example.com", 443), ("docs",))
    assert (near.place, near.private) == (("http", "127.0.0.1", 8080), True)
    plain = read(tmp_path, PROGRAM)["git"]
    assert (plain.sandbox, plain.network, plain.shared, plain.trust_hints) == (True, "none", False, False)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("servers", "not valid TOML"),
        ("\xff", "not valid TOML"),
        ("[server.git]\n", "unknown member 'server'"),
        ("servers = 1\n", "servers: expected a table"),
        ("[servers]\ngit = 1\n", "servers.git: expected a table"),
        ("[servers.Git]\ncommand = ['git']\n", "servers: the name 'Git' is"),
        ("[servers.a__b]\ncommand = ['git']\n", "servers: the name 'a__b' is"),
        ("[servers.athena]\ncommand = ['git']\n", "servers: the name 'athena' is 'athena'"),
        (f"[servers.{'a' * 33}]\ncommand = ['git']\n", "is 'athena', or is not"),
        ("[servers.git]\n", "servers.git: exactly one of command and url is needed"),
        (PROGRAM + "url = 'https://example.com'\n", "exactly one of command and url is needed"),
        (PROGRAM + "name = 'x'\n", "unknown member 'name'"),
        (PROGRAM + "argv = ['x']\n", "unknown field `argv`"),
        (PROGRAM + "credential = 'x'\n", "servers.git.credential: is allowed beside url only"),
        (PROGRAM + "private = true\n", "servers.git.private: is allowed beside url only"),
        *((URL + f"{line}\n", "is allowed beside command only") for line in ("sandbox = true", "shared = false")),
        *((URL + f"{line}\n", "is allowed beside command only") for line in ("environment = {}", "network = 'none'")),
        *((URL + f"{line}\n", "is allowed beside command only") for line in ("readOnly = []", "credentials = {}")),
        ("[servers.git]\ncommand = []\n", "Expected `array` of length >= 1"),
        ("[servers.git]\ncommand = 'git'\n", "servers.git.command: Expected `array | null`, got `str`."),
        ("[servers.git]\ncommand = ['bin/git']\n", "expected an absolute path, or a name"),
        ('[servers.git]\ncommand = ["git", "a\\u0000"]\n', "command[1]: the text has control characters"),
        ("[servers.git]\ncommand = ['git', '{home}']\n", "command[1]: unknown placeholder {home}"),
        (PROGRAM + "environment = { 'A=B' = 'x' }\n", "environment: 'A=B' is not allowed"),
        (PROGRAM + "environment = { ATHENA_X = 'x' }\n", "environment: 'ATHENA_X' is not allowed"),
        (PROGRAM + "environment = { A = 1 }\n", "Expected `str`"),
        (PROGRAM + "environment = { A = 'x' }\ncredentials = { A = 'x' }\n", "A stands in environment, too"),
        (PROGRAM + "credentials = { A = 'two words' }\n", "regex"),
        *(
            (PROGRAM + f"readOnly = ['{path}']\n", "readOnly[0]: expected")
            for path in ("opt", "/", "/a/../b", "/proc/1")
        ),
        (PROGRAM + "network = 'all'\n", "Invalid enum value 'all'"),
        (PROGRAM + "startTimeoutMs = 0\n", "Expected `int` >= 1"),
        (PROGRAM + "startTimeoutMs = 600001\n", "Expected `int` <= 600000"),
        (PROGRAM + "callTimeoutMs = 86400001\n", "Expected `int` <= 86400000"),
        (PROGRAM + "sandbox = 'no'\n", "Expected `bool`"),
        *(
            (f"[servers.docs]\nurl = '{url}'\n", "servers.docs.url: expected a URL")
            for url in (
                "example.com",
                "ftp://a",
                "https://",
                "https://u@a",
                "https://a/#x",
                "https://a b",
                "https://a:0",
            )
        ),
        ("[servers.docs]\nurl = 'http://example.com'\n", "plain http is allowed only with private = true"),
        (URL + "credential = 'two words'\n", "regex"),
        ("".join(f"[servers.s{n}]\ncommand = ['x']\n" for n in range(SERVERS_MAX + 1)), "more than 64 entries"),
        ("#" * (FILE_BYTES_MAX + 1), "the file is larger than"),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read(tmp_path, text)
    assert said in refused.value.message
    assert "\n" not in refused.value.message
    assert refused.value.message.startswith("ATHENA_MCP_SERVERS: ")


def test_a_file_that_others_may_write_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "servers.toml"
    path.write_text(PROGRAM)
    path.chmod(0o666)
    with pytest.raises(ConfigError, match="ATHENA_MCP_SERVERS"):
        read_mcp_servers(path)


@pytest.mark.anyio
async def test_a_file_is_read_again_and_a_bad_one_changes_nothing(tmp_path: Path) -> None:
    path, problems = tmp_path / "servers.toml", Problems(FixedClock())
    path.write_text(PROGRAM)
    servers = RegisteredMcpServers(path)
    assert (servers.configured, servers.names) == (True, frozenset({"git"}))
    path.write_text("[servers")
    await servers.reload(problems)
    assert servers.names == {"git"}
    assert "not valid TOML" in str(problems.failing())
    path.write_text(URL)
    await servers.reload(problems)
    assert servers.names == {"docs"}
    assert servers.find("git") is None
    assert not problems.failing()
    assert (RegisteredMcpServers().configured, RegisteredMcpServers().names) == (False, frozenset())
