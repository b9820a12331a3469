"""Sample events of an MCP server, and of a run that calls its tools."""

from msgspec.structs import replace

from athena_core.definitions.profile import McpPolicy
from athena_core.domain import run
from athena_core.domain.mcp_server import HashedTool, McpServerAccepted, McpServerListed, stream_of
from athena_core.tools.approval import question_sha256
from tests.support.events.ask import FORM, QUESTION, SALT
from tests.support.events.run import CALLED, CREATED, RESULT, SPEC

SERVER = stream_of("git")
LOG, COMMIT, COMMIT_CHANGED = "6b" * 32, "6c" * 32, "6d" * 32
LISTED = McpServerListed(
    server="git",
    protocol_version="2026-07-28",
    tools=(HashedTool(name="log", sha256=LOG, read_only=True), HashedTool(name="commit", sha256=COMMIT)),
    definitions="[]",
    server_info="{}",
)
CHANGED = replace(LISTED, tools=(LISTED.tools[0], HashedTool(name="commit", sha256=COMMIT_CHANGED)))
ACCEPTED = McpServerAccepted(server="git", tools={"log": LOG, "commit": COMMIT_CHANGED}, by="ada")
POLICY = McpPolicy(tools=("*",), rules=None, approval="allow")
PINNED = replace(
    CREATED,
    harness_profile_snapshot=replace(SPEC, mcp={"git": POLICY}),
    profile_named=True,
    mcp_tools={"git": {"log": LOG, "commit": COMMIT}},
)
MCP_ATTACHED = run.McpAttached(server="git", transport="stdio", protocol_version="2026-07-28", tools=2)
MCP_CALLED = replace(CALLED, tool_name="git__commit", repeatable=False)
MCP_RESULT = replace(RESULT, tool_name="git__commit")
ELICITED = replace(
    QUESTION,
    origin="mcp",
    ask_id="ask_7",
    tool_call_id="call_1",
    tool_name="git__commit",
    server="git",
    chars=0,
    arguments=None,
    title="Commit to main?",
    subject_sha256=question_sha256(SALT, "Commit to main?", (), FORM),
)
