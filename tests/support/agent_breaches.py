"""Logs that break one rule of outside agents each."""

from msgspec.structs import replace

from athena_core.domain import run
from athena_core.event import Event
from athena_core.values import Usage
from tests.support.breach import Breach, Step, breach, lived
from tests.support.events.agent import (
    AGENT_ALLOWED,
    AGENT_ASKED,
    AGENT_CALLED,
    AGENT_PERMITTED,
    ATTACHED,
    CREATED_FOR_AGENT,
)
from tests.support.events.run import CALLED, COMPLETED, CREATED, LEASED, PAID, RESULT, STARTED, TAKEN
from tests.support.forged_log import Forge

STARTED_AGAIN = run.RunStarted(attempt=2)


def working(*events: Event, created: run.RunCreated = CREATED_FOR_AGENT) -> Step:
    return lived(*events, begun=(created, LEASED, STARTED))


def legal(forge: Forge) -> None:
    """Write a run of an agent with a permission and calls of models, that a second executor takes over."""
    again = replace(ATTACHED, how="resumed")
    first, second, third = (replace(PAID, turn=turn) for turn in (1, 2, 3))
    working(ATTACHED, first, AGENT_ASKED, AGENT_ALLOWED, AGENT_PERMITTED, RESULT)(forge)
    later = replace(AGENT_CALLED, turn=2, tool_call_id="call_2"), replace(RESULT, tool_call_id="call_2")
    forge.add(
        "run_1",
        replace(second, failed=True),
        second,
        TAKEN,
        STARTED_AGAIN,
        again,
        *later,
        third,
        replace(COMPLETED, usage=Usage(total_tokens=12)),
    )


AGENT_BREACHES: tuple[Breach, ...] = (
    breach("attached_without_an_agent", "agents", 4, "by the agent codex; its profile names None")(
        working(ATTACHED, created=CREATED)
    ),
    breach("attached_another_agent", "agents", 4, "by the agent claude; its profile names codex")(
        working(replace(ATTACHED, agent="claude"))
    ),
    breach("attached_in_another_mode", "agents", 4, "in the mode auto; its profile names ask")(
        working(replace(ATTACHED, mode="auto"))
    ),
    breach("called_before_the_agent", "agents", 4, "before an agent took up the run")(working(AGENT_CALLED)),
    breach("called_before_the_agent_was_back", "agents", 7, "before an agent took up the run")(
        working(ATTACHED, TAKEN, STARTED_AGAIN, AGENT_CALLED)
    ),
    breach("called_by_an_agent_of_no_profile", "agents", 4, "has origin agent; its agent is None")(
        working(AGENT_CALLED, created=CREATED)
    ),
    breach("called_by_the_loop", "agents", 5, "has origin None; its agent is codex")(working(ATTACHED, CALLED)),
    breach("allowed_as_another_kind", "permitted", 7, "which is about another call")(
        working(ATTACHED, AGENT_ASKED, AGENT_ALLOWED, replace(AGENT_PERMITTED, kind="edit"))
    ),
    breach("called_as_repeatable", "agents", 5, "of an agent has no kind, or may be repeated")(
        working(ATTACHED, replace(AGENT_CALLED, repeatable=True))
    ),
)
