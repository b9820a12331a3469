"""Sample events of a run that an outside agent works on."""

from msgspec.structs import replace

from athena_core.definitions.profile import AgentPolicy, SandboxPolicy
from athena_core.domain import run
from athena_core.tools.approval import call_sha256
from tests.support.events.ask import SALT, answered, asked
from tests.support.events.run import CREATED, SPEC

AGENT_SPEC = replace(
    SPEC,
    agent=AgentPolicy(name="codex", mode="ask"),
    sandbox=SandboxPolicy(mode="required"),
    workspace="session",
)
CREATED_FOR_AGENT = replace(CREATED, harness_profile_snapshot=AGENT_SPEC)
ATTACHED = run.AgentAttached(
    agent="codex",
    agent_version="2.6.0",
    protocol_version=1,
    agent_session_id="session-1",
    how="new",
    model="mock-model",
    mode="ask",
)
AGENT_CALLED = run.ToolCalled(
    turn=1,
    tool_call_id="call_1",
    chars=2,
    repeatable=False,
    origin="agent",
    kind="execute",
    asked=False,
    unknown_name="Running a command",
    arguments="{}",
)
AGENT_ASKED = asked(
    origin="agent",
    tool_name="codex:execute",
    tool_kind="execute",
    arguments="{}",
    chars=2,
    subject_sha256=call_sha256(SALT, "codex:execute", "{}"),
)
AGENT_ALLOWED = replace(answered(), subject_sha256=AGENT_ASKED.subject_sha256)
AGENT_PERMITTED = replace(AGENT_CALLED, ask_id="ask_1", asked=True)
