"""Logs that break one rule of MCP servers each."""

from msgspec.structs import replace

from athena_core.definitions.profile import McpPolicy
from athena_core.domain import run
from athena_core.enums import Approval
from athena_core.event import Event
from tests.support.breach import Breach, Step, breach, wrote
from tests.support.events.ask import answered
from tests.support.events.mcp import (
    ACCEPTED,
    CHANGED,
    COMMIT_CHANGED,
    ELICITED,
    LISTED,
    MCP_ATTACHED,
    MCP_CALLED,
    MCP_RESULT,
    PINNED,
    SERVER,
)
from tests.support.events.run import COMPLETED, LEASED, STARTED
from tests.support.forged_log import Forge


def working(*events: Event, created: run.RunCreated = PINNED) -> Step:
    """Return a run that is bound to the tools of a listed server, at position 2."""
    return wrote(SERVER, LISTED, "run_1", created, LEASED, STARTED, *events)


def with_approval(approval: Approval) -> run.RunCreated:
    policy = McpPolicy(tools=("*",), approval=approval)
    return replace(PINNED, harness_profile_snapshot=replace(PINNED.harness_profile_snapshot, mcp={"git": policy}))


def legal(forge: Forge) -> None:
    """Write a run whose server asks twice during a call, and a server whose change is accepted."""
    again = replace(ELICITED, ask_id="ask_8")
    values = {"values": '{"answer":"yes"}'}
    questions = (ELICITED, answered("answer", ELICITED, **values), again, answered("decline", again))
    working(MCP_ATTACHED, MCP_CALLED, *questions, MCP_RESULT, COMPLETED)(forge)
    forge.add(SERVER, CHANGED, ACCEPTED)
    pins = {"git": {"commit": COMMIT_CHANGED}}
    forge.add("run_2", replace(with_approval("ask"), session_id="t", mcp_tools=pins), LEASED, STARTED)
    forge.add("run_2", MCP_CALLED, run.RunFailed(code="TURN_LIMIT", retryable=False))


def called_by_the_answer_to_a_server(forge: Forge) -> None:
    made = replace(MCP_CALLED, ask_id="ask_7")
    working(MCP_CALLED, ELICITED, answered("answer", ELICITED), MCP_RESULT, made)(forge)


MCP_BREACHES: tuple[Breach, ...] = (
    breach("listed_elsewhere", "mcp_servers", 1, "mcp-server.listed of git is in stream mcp:other")(
        "mcp:other", LISTED
    ),
    breach("accepted_what_was_not_listed", "mcp_servers", 2, "git had not listed commit as accepted")(
        SERVER, LISTED, ACCEPTED
    ),
    breach("bound_to_an_unnamed_server", "mcp_pins", 2, "which its profile does not name")(
        working(created=replace(PINNED, mcp_tools={"other": {"log": "6b" * 32}}))
    ),
    breach("bound_to_a_tool_that_was_not_accepted", "mcp_pins", 2, "were not accepted: commit")(
        working(created=replace(PINNED, mcp_tools={"git": {"commit": COMMIT_CHANGED}}))
    ),
    breach("called_without_an_ask", "mcp_approvals", 6, "demands an ask or denies it")(
        working(MCP_CALLED, MCP_RESULT, created=with_approval("ask"))
    ),
    breach("called_although_denied", "mcp_approvals", 6, "demands an ask or denies it")(
        working(replace(MCP_CALLED, ask_id=None), MCP_RESULT, created=with_approval("deny"))
    ),
    breach("elicited_without_a_call", "elicited", 5, "without an open call")(working(ELICITED)),
    breach("elicited_after_the_result", "elicited", 7, "without an open call")(
        working(MCP_CALLED, MCP_RESULT, ELICITED)
    ),
    breach("elicited_a_permission", "elicited", 6, "without an open call")(
        working(MCP_CALLED, replace(ELICITED, origin="loop"))
    ),
    (called_by_the_answer_to_a_server, "permitted", 9, "no answer to ask_7 allowed it"),
)
